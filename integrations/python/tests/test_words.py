"""What needs no host: ids, spans and instants, and how answers are read."""

from __future__ import annotations

import datetime
import time
import uuid
from dataclasses import dataclass

import pytest

from windlass import After, JobRequest, Retry, State, Unique, _json, models
from windlass._ids import new_job_id
from windlass._read import Unreadable, reader
from windlass.requests import parents_of


def test_job_ids_sort_by_when_they_were_made() -> None:
    ids = []
    for _ in range(1000):
        ids.append(new_job_id())
        # Ids of the same quarter of a microsecond may stand in any order.
        started = time.perf_counter_ns()
        while time.perf_counter_ns() - started < 1000:
            pass
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {(made.version, made.variant) for made in ids} == {(7, uuid.RFC_4122)}
    assert abs((ids[-1].int >> 80) / 1000 - time.time()) < 60


@pytest.mark.parametrize(
    ("span", "milliseconds"),
    [(0, 0), (0.1, 100), (0.0001, 1), (1.5, 1500), (datetime.timedelta(days=400), 34_560_000_000), (2.3, 2300)],
)
def test_spans_are_whole_milliseconds(span: datetime.timedelta | float, milliseconds: int) -> None:
    assert _json.milliseconds(span) == milliseconds


def test_instants_travel_in_utc() -> None:
    berlin = datetime.timezone(datetime.timedelta(hours=1))
    instant = datetime.datetime(2026, 11, 23, 16, 49, 53, 120_999, berlin)
    assert _json.instant(instant) == "2026-11-23T15:49:53.120Z"
    assert _json.read_instant("2026-11-23T15:49:53.120Z") == instant.replace(microsecond=120_000)


def test_a_request_says_only_what_was_said() -> None:
    request = JobRequest("a/b", id="0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55")
    assert request.wire() == {"id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "handler": "a/b", "payload": None}
    full = JobRequest("a/b", 1, retry=Retry.exponential(1, 60), timeout=2, wait_for_handler=True, headers={"a": "b"})
    assert full.template() == {
        "handler": "a/b",
        "payload": 1,
        "retry": {"kind": "exponential", "base_ms": 1000, "max_ms": 60_000},
        "timeout_ms": 2000,
        "headers": {"a": "b"},
        "wait_for_handler": True,
    }
    assert Retry.linear(1).wire == {"kind": "linear", "delay_ms": 1000}
    assert JobRequest("a/b").id != JobRequest("a/b").id


def test_models_are_payloads() -> None:
    @dataclass
    class Inner:
        at: datetime.datetime

    @dataclass
    class Outer:
        inner: list[Inner]
        id: uuid.UUID
        state: State

    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    payload = Outer([Inner(at)], uuid.UUID(int=1), State.FAILED)
    written = (
        b'{"inner":[{"at":"2026-01-01T00:00:00.000Z"}],"id":"00000000-0000-0000-0000-000000000001","state":"failed"}'
    )
    assert _json.write(payload) == written


def test_what_a_newer_host_adds_is_passed_over_and_what_is_missing_is_named() -> None:
    read = reader(models.CommandReply)
    body = {"id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "state": "enqueued", "pending": False, "colour": "red"}
    assert read(body).state is State.ENQUEUED
    with pytest.raises(Unreadable, match="CommandReply without `pending`"):
        read({key: value for key, value in body.items() if key != "pending"})
    with pytest.raises(Unreadable, match="state: 'lost' is not a valid State"):
        read({**body, "state": "lost"})
    with pytest.raises(Unreadable, match="pending: expected bool and not 1"):
        read({**body, "pending": 1})
    with pytest.raises(Unreadable, match="items: expected list"):
        reader(models.Page[models.LogLine])({"items": None})


def test_conditions_of_a_job_travel_as_the_api_has_them() -> None:
    parent = uuid.UUID("0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55")
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    unique = Unique(fields=["/to"], states=[State.ENQUEUED], period=60, on_conflict="replace")
    request = JobRequest("a/b", after=After([parent], "finished"), unique=unique, expires_at=at, limit_key="tenant-1")
    assert request.template() == {
        "handler": "a/b",
        "payload": None,
        "after": {"jobs": [str(parent)], "on": "finished"},
        "unique": {"fields": ["/to"], "states": ["enqueued"], "period_ms": 60_000, "on_conflict": "replace"},
        "expires_at": "2026-01-01T00:00:00.000Z",
        "limit_key": "tenant-1",
    }
    assert Unique(key="k").wire() == {"key": "k", "on_conflict": "reject"}
    made = models.Enqueued(parent)
    assert parents_of(made) == parents_of([str(parent)]) == parents_of((made,)) == [parent]
    with pytest.raises(ValueError, match="is not a job id"):
        parents_of("mixed/add")
