"""The clients that need no host."""

from __future__ import annotations

import uuid
from typing import cast

import pytest
from anyio.from_thread import BlockingPortal

from conftest import Awaited
from windlass import Client, JobRequest, State, errors
from windlass.testing import AsyncFakeClient, FakeClient, FakeHost


@pytest.fixture(params=["sync", "async"])
def fake(request: pytest.FixtureRequest, portal: BlockingPortal) -> FakeClient:
    """A fake of either kind."""
    return FakeClient() if request.param == "sync" else cast(FakeClient, Awaited(portal, AsyncFakeClient()))


def test_it_keeps_what_it_is_asked_for(fake: FakeClient) -> None:
    made = fake.enqueue("mail/send", {"to": "ann", "n": 2**53 + 1}, queue="mail", tags=["a"])
    fake.schedule("mail/send", {"to": "bob"}, delay=5)
    job = fake.host.assert_enqueued("mail/send", {"to": "ann", "n": 2**53 + 1}, queue="mail")
    assert (job.id, job.state) == (made.id, State.ENQUEUED)
    assert fake.host.assert_enqueued("mail/send", delay_ms=5000).state is State.SCHEDULED
    assert [job.payload["to"] for job in fake.host.enqueued("mail/send")] == ["ann", "bob"]
    fake.host.assert_nothing_enqueued("mail/receive")
    assert fake.get(made.id).job.tags == ["a"]
    assert [job.id for job in fake.jobs().items] == [job.id for job in reversed(fake.host.enqueued())]
    assert fake.counts()["scheduled"] == 1
    assert fake.logs(made.id).items == []


def test_what_is_not_as_asserted_is_told_with_all_jobs(fake: FakeClient) -> None:
    fake.enqueue("mail/send", {"to": "ann"})
    with pytest.raises(
        AssertionError, match=r"one job of mail/send with \{'to': 'bob'\}, and there are 0; .*\n.*\"ann\""
    ):
        fake.host.assert_enqueued("mail/send", {"to": "bob"})
    with pytest.raises(AssertionError, match="queue"):
        fake.host.assert_enqueued("mail/send", queue="other")
    fake.enqueue("mail/send", {"to": "ann"})
    with pytest.raises(AssertionError, match="there are 2"):
        fake.host.assert_enqueued("mail/send")
    with pytest.raises(AssertionError, match="expected no job"):
        fake.host.assert_nothing_enqueued()


def test_a_test_says_how_a_job_ends(fake: FakeClient) -> None:
    good, bad = (made.id for made in fake.enqueue_many([JobRequest("a/b"), JobRequest("a/b")]))
    fake.host.succeed(good, {"sum": 3})
    assert fake.result(good) == {"sum": 3}
    fake.host.fail(bad, "no luck", code="unlucky")
    with pytest.raises(errors.JobFailed, match="no luck"):
        fake.result(bad)
    failure = fake.get(bad).failure
    assert failure is not None
    assert (failure.cause, failure.code) == ("handler", "unlucky")
    assert fake.requeue(bad).state is State.ENQUEUED
    with pytest.raises(errors.WaitTimeout):
        fake.wait(bad, 0)


def test_it_refuses_what_a_host_refuses(fake: FakeClient) -> None:
    job = fake.enqueue("a/b")
    assert fake.enqueue("a/b", id=job.id).existing
    with pytest.raises(errors.Conflict):
        fake.requeue(job.id)
    assert fake.cancel(job.id).state is State.DELETED
    with pytest.raises(errors.Conflict):
        fake.delete(job.id)
    with pytest.raises(errors.NotFound):
        fake.get(uuid.uuid4())
    with pytest.raises(ValueError, match="not JSON compliant"):
        fake.enqueue("a/b", float("inf"))
    with pytest.raises(errors.NotFound, match="the fake host knows jobs and recurring jobs"):
        fake.modules()


def test_recurring_jobs_are_put_and_removed(fake: FakeClient) -> None:
    assert fake.put_recurring("nightly", "@daily", "a/b", {"x": 1}).request.schedule == "@daily"
    assert fake.host.recurring["nightly"]["job"] == {"handler": "a/b", "payload": {"x": 1}}
    fake.remove_recurring("nightly")
    with pytest.raises(errors.NotFound):
        fake.remove_recurring("nightly")


def test_several_clients_ask_one_host() -> None:
    host = FakeHost()
    first, second = FakeClient(host), FakeClient(host)
    assert second.get(first.enqueue("a/b").id).job.path == "a/b"
    assert isinstance(first, Client)
