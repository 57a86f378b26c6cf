"""Both clients against a real host."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import uuid

import pytest

from conftest import PATIENCE, component, until
from windlass import CanaryDropped, Client, JobRequest, Retired, Retry, State, _calls, errors

BIG = 2**53 + 1
"""The first integer that a float cannot tell from its neighbour."""


@dataclasses.dataclass
class Add:
    a: int
    b: int


def test_a_job_is_enqueued_runs_and_gives_its_result(client: Client) -> None:
    made = client.enqueue("mixed/add", Add(1, 2), tags=["sums"], headers={"traceparent": "00-1"}, priority=3)
    assert made.id.version == 7
    assert not made.existing
    job = client.wait(made.id, PATIENCE)
    assert (job.state, job.result, job.payload) == (State.SUCCEEDED, 3, {"a": 1, "b": 2})
    assert (job.job.path, job.job.tags, job.job.priority, job.headers) == (
        "mixed/add",
        ["sums"],
        3,
        {"traceparent": "00-1"},
    )
    assert job.job.usage is not None
    assert job.job.usage.fuel > 0
    assert [line.to for line in job.history] == [State.ENQUEUED, State.PROCESSING, State.SUCCEEDED]
    assert job.job.finished_at is not None
    assert job.job.finished_at >= job.job.created_at
    assert job.job.created_at.tzinfo is datetime.timezone.utc


def test_integers_beyond_2_to_the_53_keep_their_digits_both_ways(client: Client) -> None:
    job = client.enqueue("mixed/add", {"a": BIG, "b": 0})
    assert client.result(job.id, PATIENCE) == BIG
    huge = {"n": 10**40 + 1, "text": "ä\u2028😀", "list": [1.0, -0.5, None, True]}
    kept = client.enqueue("nobody/yet", huge, wait_for_handler=True)
    assert client.get(kept.id).payload == huge


def test_a_request_that_is_sent_again_makes_no_second_job(client: Client) -> None:
    request = JobRequest("faults/noop", tags=["once"])
    assert not client.enqueue_many([request])[0].existing
    again = client.enqueue("faults/noop", id=request.id)
    assert again.existing
    assert again.id == request.id


def test_many_jobs_are_made_all_or_none(client: Client) -> None:
    tag = str(uuid.uuid4())
    made = client.enqueue_many(JobRequest("faults/noop", tags=[tag], queue="many") for _ in range(1500))
    assert len({job.id for job in made}) == 1500
    assert client.count(tag=tag).count == 1500
    assert len(list(client.all_jobs(tag=tag))) == 1500
    good, bad = JobRequest("faults/noop", tags=[tag]), JobRequest("faults/nothing", tags=[tag])
    with pytest.raises(errors.UnknownHandler, match="faults/nothing"):
        client.enqueue_many([good, bad])
    assert client.count(tag=tag).count == 1500


def test_a_job_is_scheduled_at_an_instant_or_after_a_delay(client: Client) -> None:
    in_an_hour = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=2))) + datetime.timedelta(hours=1)
    at = client.get(client.schedule("faults/noop", at=in_an_hour).id)
    assert at.state is State.SCHEDULED
    assert at.job.run_at is not None
    assert abs(at.job.run_at - in_an_hour) < datetime.timedelta(milliseconds=1)
    later = client.get(client.schedule("faults/noop", delay=datetime.timedelta(days=1)).id)
    assert later.job.run_at is not None
    assert later.job.run_at - later.job.created_at >= datetime.timedelta(days=1)
    soon = client.schedule("mixed/add", Add(2, 2), delay=0.05)
    assert client.result(soon.id, PATIENCE) == 4
    with pytest.raises(ValueError, match="one of `at` and `delay`"):
        client.schedule("faults/noop")
    with pytest.raises(ValueError, match="time zone"):
        client.schedule("faults/noop", at=datetime.datetime(2030, 1, 1))


def test_a_job_that_fails_says_why_and_is_requeued(client: Client) -> None:
    job = client.enqueue("faults/flaky", {"succeed_on": 2}, max_attempts=1, retry=Retry.fixed(0.01), timeout=5).id
    with pytest.raises(errors.JobFailed, match="attempt 1 failed on purpose") as failed:
        client.result(job, PATIENCE)
    assert (failed.value.job, failed.value.state, failed.value.cause) == (job, "failed", "handler")
    seen = client.get(job)
    assert seen.retry == {"kind": "fixed", "delay_ms": 10}
    assert seen.timeout_ms == 5000
    assert seen.failure is not None
    assert seen.failure.code == "not-yet"
    reply = client.requeue(job, expected_state=State.FAILED, newest=True)
    assert (reply.id, reply.state, reply.pending) == (job, State.ENQUEUED, False)
    assert client.wait(job, PATIENCE).job.run == 2
    with pytest.raises(errors.Conflict, match="not succeeded as expected"):
        client.requeue(job, expected_state="succeeded")


def test_a_job_is_cancelled_while_it_runs_and_deleted_afterwards(client: Client) -> None:
    job = client.enqueue("faults/sleepy", {"ms": 3_600_000}).id
    until("a run", lambda: client.get(job).state is State.PROCESSING)
    with pytest.raises(errors.WaitTimeout, match=r"processing after 0\.05 s"):
        client.wait(job, 0.05)
    assert client.cancel(job).id == job
    ended = client.wait(job, PATIENCE)
    assert (ended.state, ended.job.reason) == (State.DELETED, "cancelled")
    with pytest.raises(errors.Conflict, match="cannot be cancelled"):
        client.cancel(job)
    waiting = client.schedule("faults/noop", delay=3600).id
    assert client.delete(waiting).state is State.DELETED
    with pytest.raises(errors.JobFailed, match="ended as deleted"):
        client.result(waiting, PATIENCE)


def test_logs_are_read_page_by_page_and_go_on(client: Client) -> None:
    job = client.enqueue("faults/flaky", {"succeed_on": 3}, retry=Retry.delays(0.01)).id
    client.wait(job, PATIENCE)
    page = client.logs(job, limit=1)
    assert [line.message for line in page.items] == ["attempt 1 fails on purpose"]
    assert page.items[0].level == "warn"
    rest = client.logs(job, cursor=page.next)
    assert [line.run for line in rest.items] == [2]
    assert client.logs(job, cursor=rest.next).items == []


def test_jobs_are_listed_by_filter_and_counted(client: Client) -> None:
    tag = str(uuid.uuid4())
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    jobs = [client.schedule("faults/noop", {"text": tag}, delay=3600, tags=[tag], queue="listed").id for _ in range(3)]
    page = client.jobs(tag=tag, state=State.SCHEDULED, created_from=before, limit=2)
    assert [job.id for job in page.items] == [jobs[2], jobs[1]]
    last = client.jobs(tag=tag, state="scheduled", created_from=before, limit=2, cursor=page.next)
    assert [job.id for job in last.items] == [jobs[0]]
    assert last.next is None
    assert client.jobs(text=tag, queue="listed", module="faults", handler="noop").items[0].queue == "listed"
    assert client.counts()["scheduled"] >= 3


def test_a_recurring_job_is_put_paused_triggered_and_removed(client: Client) -> None:
    name = f"nightly-{uuid.uuid4()}"
    put = client.put_recurring(
        name,
        "30 2 * * mon-fri",
        "mixed/add",
        Add(BIG, 1),
        time_zone="Europe/Berlin",
        misfire="catch-up",
        catch_up_limit=5,
    )
    assert (put.name, put.paused, len(put.next_runs)) == (name, False, 5)
    assert put.request.job["payload"] == {"a": BIG, "b": 1}
    assert (put.request.misfire, put.request.time_zone, put.request.catch_up_limit) == ("catch-up", "Europe/Berlin", 5)
    assert client.pause_recurring(name).paused
    assert not client.resume_recurring(name).paused
    triggered = client.trigger_recurring(name)
    assert client.result(triggered.id, PATIENCE) == BIG + 1
    seen = client.get_recurring(name)
    assert seen.last is not None
    assert (seen.last.job, seen.last.state) == (triggered.id, State.SUCCEEDED)
    assert name in [job.name for job in client.recurring(limit=1000).items]
    client.remove_recurring(name)
    with pytest.raises(errors.NotFound, match=name):
        client.remove_recurring(name)
    with pytest.raises(errors.InvalidField, match="`schedule` never comes"):
        client.put_recurring(name, "30 2 30 2 *", "mixed/add")
    with pytest.raises(ValueError, match="id of its own"):
        client.put_recurring(name, "@daily", "mixed/add", id=uuid.uuid4())


def test_queues_are_paused_and_servers_are_seen(client: Client) -> None:
    queue = f"q-{uuid.uuid4()}"
    job = client.enqueue("faults/noop", queue=queue).id
    client.wait(job, PATIENCE)
    assert client.pause_queue(queue).paused
    held = client.enqueue("faults/noop", queue=queue).id
    (seen,) = [seen for seen in client.queues() if seen.name == queue]
    assert (seen.paused, seen.enqueued) == (True, 1)
    assert seen.oldest_at is not None
    assert not client.resume_queue(queue).paused
    assert client.wait(held, PATIENCE).state is State.SUCCEEDED
    (server,) = client.servers()
    assert server.async_slots.total == 100


def test_modules_are_deployed_activated_and_refused(client: Client) -> None:
    name = f"m-{uuid.uuid4()}"
    first = client.deploy(component("faults"), name)
    assert (first.module, first.version.active, first.already_known) == (name, True, False)
    second = client.deploy(component("guests/mixed"), name, activate=False)
    assert not second.version.active
    assert client.deploy(component("faults"), name).already_known
    active = client.activate(name, second.version.digest)
    assert [version.digest for version in active.versions if version.active] == [second.version.digest]
    handlers = {handler.name: handler for version in client.module(name).versions for handler in version.handlers}
    assert handlers["sleepy"].mode == "async"
    assert "ms" in handlers["sleepy"].payload_schema["properties"]
    assert name in [module.name for module in client.modules()]
    with pytest.raises(errors.ModuleRefused, match="component"):
        client.deploy(b"this is a text", name)
    with pytest.raises(errors.NotFound, match="has no version"):
        client.activate(name, "0" * 64)


def test_a_canary_is_begun_promoted_and_dropped_and_a_version_retired(client: Client) -> None:
    name = f"m-{uuid.uuid4()}"
    first = client.deploy(component("faults"), name).version.digest
    second = client.deploy(component("guests/mixed"), name, activate=False).version.digest

    def shares() -> dict[str, int | str | None]:
        versions = client.module(name).versions
        return {version.digest: "active" if version.active else version.canary_percent for version in versions}

    with pytest.raises(errors.NotFound, match="has no canary"):
        client.promote_canary(name)
    with pytest.raises(errors.Conflict, match="active"):
        client.begin_canary(name, first, 10)
    with pytest.raises(errors.Problem, match="percent"):
        client.begin_canary(name, second, 101)
    client.begin_canary(name, second, 5)
    begun = client.begin_canary(name, second, 10)
    assert {version.digest: version.canary_percent for version in begun.versions} == {first: None, second: 10}
    assert client.drop_canary(name) == CanaryDropped(second, 0)
    with pytest.raises(errors.NotFound, match="has no canary"):
        client.drop_canary(name, keep_pins=True)
    client.begin_canary(name, second, 10)
    with pytest.raises(errors.Conflict):
        client.retire(name, second)
    client.promote_canary(name)
    assert shares() == {first: None, second: "active"}
    assert client.retire(name, first) == Retired(first, 0)
    # Once more changes nothing.
    assert client.retire(name, first, keep_pins=True) == Retired(first, 0)
    assert [version.digest for version in client.module(name).versions if version.retired_at] == [first]


def test_a_version_that_jobs_wait_in_vain_for_is_active_only_by_force(client: Client) -> None:
    name = f"m-{uuid.uuid4()}"
    first = client.deploy(component("faults"), name).version.digest
    waits = client.schedule(f"{name}/noop", delay=3600).id
    with pytest.raises(errors.WouldBreak, match="noop"):
        client.deploy(component("guests/mixed"), name)
    kept = client.deploy(component("guests/mixed"), name, activate=False).version.digest
    with pytest.raises(errors.WouldBreak, match="noop"):
        client.activate(name, kept)
    # What a canary lacks goes on to the active version.
    client.begin_canary(name, kept, 50)
    with pytest.raises(errors.WouldBreak, match="noop"):
        client.promote_canary(name)
    promoted = client.promote_canary(name, force=True)
    assert [version.digest for version in promoted.versions if version.active] == [kept]
    assert client.activate(name, first, force=True).versions
    forced = client.deploy(component("guests/mixed"), name, force=True)
    assert (forced.version.active, "noop" in forced.dropped_handlers) == (True, True)
    client.delete(waits)


def test_a_signature_goes_along_with_a_component(client: Client) -> None:
    # A host that asks for none takes any; what a host does with one its own tests say.
    call = _calls.deploy(b"", None, True, "untrusted comment: ü\n", False)
    (signed,) = call.headers
    assert (signed[0], base64.b64decode(signed[1]).decode()) == ("windlass-signature", "untrusted comment: ü\n")
    assert client.deploy(component("faults"), f"m-{uuid.uuid4()}", signature="untrusted comment: ü\n").version.active
