"""Handlers in Python on a real host: the example, under limits that fit it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from conftest import PATIENCE, Host, component
from windlass import After, Client, State, errors


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a host whose runs may have no more than what is said here."""
    folder = tmp_path_factory.mktemp("handlers")
    limits = (
        '[limits]\nmemory = "64MiB"\nfuel = 10_000_000_000\n[limits.max]\nmemory = "96MiB"\nfuel = 100_000_000_000\n'
    )
    # Compiling an interpreter takes seconds, and on a busy machine minutes.
    (folder / "windlass.toml").write_text(limits + '[compile]\ntimeout = "8min"\n')
    host = Host(folder)
    try:
        host.start()
        with Client(host.url) as client:
            client.deploy(component("python-text"))
            yield client
    finally:
        host.stop()


def test_a_component_describes_its_handlers_by_their_type_hints(client: Client) -> None:
    (version,) = client.module("python-text").versions
    handlers = {handler.name: handler for handler in version.handlers}
    assert set(handlers) == {"statistics", "remember", "publish", "total", "divide"}
    assert version.sdk.startswith("windlass-guest for Python")
    statistics = handlers["statistics"]
    assert (statistics.mode, statistics.queue, statistics.max_attempts) == ("sync", "texts", 3)
    assert (statistics.timeout_ms, statistics.memory_bytes) == (60_000, 96 << 20)
    assert statistics.summary == "Counts lines, words and characters of a text, and its most frequent words."
    assert statistics.payload_schema["$defs"]["Text"]["required"] == ["text"]


def test_a_text_is_counted_within_the_limits(client: Client) -> None:
    text = "To be, or not to be: that is the question.\n" * 300
    job = client.wait(client.enqueue("python-text/statistics", {"text": text, "top": 2}).id, PATIENCE)
    assert job.state is State.SUCCEEDED, job.failure
    assert job.result == {"lines": 300, "words": 3000, "characters": len(text), "frequent": {"to": 600, "be": 600}}
    assert [(line.level, line.message, line.fields) for line in client.logs(job.id).items] == [
        ("info", "counted", {"words": 3000})
    ]
    usage = job.job.usage
    assert usage is not None
    print(f"fuel {usage.fuel}, peak memory {usage.peak_memory_bytes} bytes, {usage.wall_us} µs")  # noqa: T201
    assert 0 < usage.peak_memory_bytes <= 96 << 20
    assert job.job.progress is not None


def test_a_follow_up_job_is_made_with_the_result_and_finds_its_checkpoint(client: Client) -> None:
    made = client.enqueue("python-text/statistics", {"text": "a b", "remember": True}).id
    assert client.wait(made, PATIENCE).state is State.SUCCEEDED
    (follow_up,) = client.jobs(tag="remembered").items
    ended = client.wait(follow_up.id, PATIENCE)
    assert (ended.state, ended.result, ended.job.attempt) == (State.SUCCEEDED, 2, 2)
    failures = [line.failure for line in ended.history if line.failure]
    assert [(failure.code, failure.details) for failure in failures] == [("not-yet", {"words": 2})]
    assert [line.message for line in client.logs(follow_up.id).items] == ["attempt 2 finds 2 words"]


def test_a_durable_step_is_not_done_again_by_the_next_attempt(client: Client) -> None:
    job = client.wait(client.enqueue("python-text/publish", {"text": "a b"}).id, PATIENCE)
    assert (job.state, job.job.attempt, job.result) == (State.SUCCEEDED, 2, 1)
    lines = [line for line in client.logs(job.job.id).items if line.level == "info"]
    assert [line.fields for line in lines] == [{"key": f"{job.job.id}-publish", "characters": 3}]


def test_a_job_reads_what_those_gave_that_it_continues(client: Client) -> None:
    texts = [client.enqueue("python-text/statistics", {"text": text}).id for text in ("a b c", "d e")]
    assert client.result(client.enqueue("python-text/total", after=After(texts)).id, PATIENCE) == 5
    # One that a handler asks for, to continue itself, and only once.
    made = client.enqueue("python-text/statistics", {"text": "a b", "remember": True}).id
    assert client.wait(made, PATIENCE).state is State.SUCCEEDED
    details = [client.get(job.id) for job in client.jobs(tag="total").items]
    (total,) = (detail for detail in details if detail.after and detail.after.jobs == [made])
    assert (client.result(total.job.id, PATIENCE), total.limit_key) == (2, "totals")


def test_a_payload_that_the_hints_do_not_allow_is_refused_before_there_is_a_job(client: Client) -> None:
    with pytest.raises(errors.PayloadMismatch, match="text"):
        client.enqueue("python-text/statistics", {"top": 2})
    with pytest.raises(errors.PayloadMismatch, match="integer"):
        client.enqueue("python-text/divide", {"a": 1, "b": 0.5})


def test_what_is_raised_fails_the_job_with_its_code_or_its_traceback(client: Client) -> None:
    job = client.wait(client.enqueue("python-text/divide", {"a": 1, "b": 0}).id, PATIENCE)
    assert job.state is State.FAILED
    assert job.failure is not None
    assert (job.failure.cause, job.failure.code) == ("handler", "error")
    assert job.failure.message == "ZeroDivisionError: division by zero"
    # Sources do not come along, so lines are told by their numbers alone.
    assert re.search(r'/app\.py", line \d+, in divide\n', job.failure.details["traceback"])
    assert client.result(client.enqueue("python-text/divide", {"a": 1, "b": 4}).id, PATIENCE) == 0.25
    fatal = client.wait(client.enqueue("python-text/statistics", {"text": "", "top": -1}).id, PATIENCE)
    assert fatal.failure is not None
    assert (fatal.job.attempt, fatal.failure.code) == (1, "bad-top")
