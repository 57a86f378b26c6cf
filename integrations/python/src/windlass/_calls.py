"""Every request of the API and how its answer is read, in one place; nothing here sends anything.

The clients, which differ in how they send, have one line for each.
"""

from __future__ import annotations

import base64
import datetime
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from . import _json, models
from ._ids import job_id
from ._read import reader
from .requests import JobRequest, Misfire

T = TypeVar("T")

JSON = "application/json"

USUAL_PATIENCE = 30.0
"""How long an answer may take, in seconds."""

COMPILING_PATIENCE = 600.0
"""The same for a deploy, which compiles: components of Python or JavaScript take long."""

LONGEST_WAIT = 60.0
"""No request waits longer for a job; it is asked again then."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how to read its answer."""

    what: str
    """What it does; completes "failed to …"."""
    method: str
    path: str
    """Below `/api/v1/`."""
    read: Callable[[Any], T]
    """Makes the result of the answer's JSON, or of nothing."""
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    """What is told besides."""
    repeatable: bool = True
    """Whether it does no harm to send it again where its answer was lost."""
    patience: float = USUAL_PATIENCE
    """How long its answer may take, in seconds."""


Id = uuid.UUID | str


def enqueue(request: JobRequest) -> Call[models.Enqueued]:
    """Make a job; repeatable, since it has its id."""
    body = _json.write(request.wire())
    return Call(f"enqueue {request.handler}", "POST", "jobs", reader(models.Enqueued), body=body)


def enqueue_many(requests: Iterable[JobRequest]) -> Call[list[models.Enqueued]]:
    """Make many jobs, all or none."""
    jobs = [request.wire() for request in requests]
    return Call(f"enqueue {len(jobs)} jobs", "POST", "jobs/bulk", reader(list[models.Enqueued]), body=_json.write(jobs))


def get(job: Id) -> Call[models.Job]:
    """Read a job."""
    return Call(f"read job {job}", "GET", f"jobs/{job_id(job)}", reader(models.Job))


def wait(job: Id, seconds: float) -> Call[models.Job]:
    """Read a job when it has ended, or as it is after this long."""
    timeout = ("timeout_ms", str(_json.milliseconds(min(seconds, LONGEST_WAIT))))
    patience = LONGEST_WAIT + USUAL_PATIENCE
    return Call(
        f"wait for job {job}", "GET", f"jobs/{job_id(job)}/wait", reader(models.Job), (timeout,), patience=patience
    )


def jobs(filters: Mapping[str, Any], cursor: str | None, limit: int | None) -> Call[models.Page[models.JobSummary]]:
    """Read a page of jobs."""
    query = _query({**filters, "cursor": cursor, "limit": limit})
    return Call("list jobs", "GET", "jobs", reader(models.Page[models.JobSummary]), query)


def count(filters: Mapping[str, Any]) -> Call[models.FilteredCount]:
    """Count jobs."""
    return Call("count jobs", "GET", "jobs/count", reader(models.FilteredCount), _query(filters))


def counts() -> Call[dict[str, int]]:
    """Count jobs by state."""
    return Call("count jobs", "GET", "counts", reader(dict[str, int]))


def logs(job: Id, cursor: str | None, limit: int | None) -> Call[models.Page[models.LogLine]]:
    """Read a page of what a job logged."""
    query = _query({"cursor": cursor, "limit": limit})
    kind = reader(models.Page[models.LogLine])
    return Call(f"read the logs of job {job}", "GET", f"jobs/{job_id(job)}/logs", kind, query)


def cancel(job: Id) -> Call[models.CommandReply]:
    """Cancel a job; repeated it would be refused, as if it had not worked."""
    path = f"jobs/{job_id(job)}/cancel"
    return Call(f"cancel job {job}", "POST", path, reader(models.CommandReply), repeatable=False)


def delete(job: Id) -> Call[models.CommandReply]:
    """Delete a job."""
    path = f"jobs/{job_id(job)}"
    return Call(f"delete job {job}", "DELETE", path, reader(models.CommandReply), repeatable=False)


def requeue(job: Id, expected_state: str | None, fresh: bool, newest: bool) -> Call[models.CommandReply]:
    """Enqueue a job anew."""
    how: dict[str, Any] = {"fresh": fresh, "newest": newest}
    if expected_state is not None:
        how["expected_state"] = _word(expected_state)
    path = f"jobs/{job_id(job)}/requeue"
    read = reader(models.CommandReply)
    return Call(f"requeue job {job}", "POST", path, read, body=_json.write(how), repeatable=False)


def modules() -> Call[list[models.Module]]:
    """Read all modules."""
    return Call("list modules", "GET", "modules", reader(list[models.Module]))


def module(name: str) -> Call[models.Module]:
    """Read one module."""
    return Call(f"read module {name}", "GET", f"modules/{_segment(name)}", reader(models.Module))


def deploy(
    component: bytes, name: str | None, activate: bool, signature: str | None, force: bool
) -> Call[models.Deployed]:
    """Deploy a component; a version that is there already stays as it is."""
    query = _query({"name": name, "activate": _yes(activate), "force": "true" if force else None})
    signed = None if signature is None else base64.b64encode(signature.encode()).decode()
    return Call(
        f"deploy {name or 'a component'}",
        "POST",
        "modules",
        reader(models.Deployed),
        query,
        body=component,
        content_type="application/wasm",
        headers=() if signed is None else (("windlass-signature", signed),),
        patience=COMPILING_PATIENCE,
    )


def activate(name: str, digest: str, force: bool) -> Call[models.Module]:
    """Make a version the one that new jobs go to."""
    path = f"modules/{_segment(name)}/activate"
    what = f"activate version {digest:.12} of module {name}"
    body = _json.write({"digest": digest, "force": force})
    return Call(what, "POST", path, reader(models.Module), body=body)


def begin_canary(name: str, digest: str, percent: int, force: bool) -> Call[models.Module]:
    """Send a share of the new jobs to a version; the same again changes nothing."""
    path = f"modules/{_segment(name)}/canary"
    what = f"begin a canary of version {digest:.12} of module {name}"
    body = _json.write({"digest": digest, "percent": percent, "force": force})
    return Call(what, "PUT", path, reader(models.Module), body=body)


def promote_canary(name: str, force: bool) -> Call[models.Module]:
    """Send all new jobs to the canary; repeated there would be none."""
    path = f"modules/{_segment(name)}/promote"
    body = _json.write({"force": force})
    return Call(
        f"promote the canary of module {name}", "POST", path, reader(models.Module), body=body, repeatable=False
    )


def drop_canary(name: str, keep_pins: bool) -> Call[models.CanaryDropped]:
    """Send all new jobs to the active version again; repeated there would be no canary."""
    path = f"modules/{_segment(name)}/canary"
    query = _query({"keep_pins": _yes(keep_pins)})
    read = reader(models.CanaryDropped)
    return Call(f"drop the canary of module {name}", "DELETE", path, read, query, repeatable=False)


def retire(name: str, digest: str, keep_pins: bool) -> Call[models.Retired]:
    """Retire a version; one that is retired stays so."""
    path = f"modules/{_segment(name)}/retire"
    what = f"retire version {digest:.12} of module {name}"
    return Call(
        what, "POST", path, reader(models.Retired), body=_json.write({"digest": digest, "keep_pins": keep_pins})
    )


def queues() -> Call[list[models.Queue]]:
    """Read all queues."""
    return Call("list queues", "GET", "queues", reader(list[models.Queue]))


def set_paused(queue: str, paused: bool) -> Call[models.Queue]:
    """Stop or resume taking jobs from a queue."""
    verb = "pause" if paused else "resume"
    return Call(f"{verb} queue {queue}", "POST", f"queues/{_segment(queue)}/{verb}", reader(models.Queue))


def servers() -> Call[list[models.Server]]:
    """Read all servers."""
    return Call("list servers", "GET", "servers", reader(list[models.Server]))


def recurring_jobs(cursor: str | None, limit: int | None) -> Call[models.Page[models.RecurringJob]]:
    """Read a page of recurring jobs."""
    query = _query({"cursor": cursor, "limit": limit})
    return Call("list recurring jobs", "GET", "recurring", reader(models.Page[models.RecurringJob]), query)


def recurring_job(name: str) -> Call[models.RecurringJob]:
    """Read one recurring job."""
    return Call(f"read recurring job {name}", "GET", f"recurring/{_segment(name)}", reader(models.RecurringJob))


def put_recurring(
    name: str,
    schedule: str,
    job: JobRequest,
    time_zone: str | None,
    misfire: Misfire,
    catch_up_limit: int | None,
) -> Call[models.RecurringJob]:
    """Put a recurring job in place; the same again changes nothing."""
    request: dict[str, Any] = {"schedule": schedule, "misfire": misfire, "job": job.template()}
    if time_zone is not None:
        request["time_zone"] = time_zone
    if catch_up_limit is not None:
        request["catch_up_limit"] = catch_up_limit
    path = f"recurring/{_segment(name)}"
    return Call(f"put recurring job {name}", "PUT", path, reader(models.RecurringJob), body=_json.write(request))


def remove_recurring(name: str) -> Call[None]:
    """Remove a recurring job."""
    path = f"recurring/{_segment(name)}"
    return Call(f"remove recurring job {name}", "DELETE", path, lambda _: None, repeatable=False)


def set_recurring_paused(name: str, paused: bool) -> Call[models.RecurringJob]:
    """Pass a recurring job over, or go on with its next instant."""
    verb = "pause" if paused else "resume"
    path = f"recurring/{_segment(name)}/{verb}"
    return Call(f"{verb} recurring job {name}", "POST", path, reader(models.RecurringJob))


def trigger_recurring(name: str) -> Call[models.Enqueued]:
    """Enqueue a recurring job's job now; repeated it would make another one."""
    path = f"recurring/{_segment(name)}/trigger"
    return Call(f"trigger recurring job {name}", "POST", path, reader(models.Enqueued), repeatable=False)


def _segment(name: str) -> str:
    """A name as a part of a path; what is no name at all is refused here, since it would lead elsewhere."""
    if not name or name in (".", ".."):
        raise ValueError(f"`{name}` is no name: expected 1 to 100 of a-z, A-Z, 0-9, `_`, `-` and `.`")
    return quote(name, safe="")


def _query(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _word(value)) for name, value in values.items() if value is not None)


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _word(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return _json.instant(value)
    return str(value.value) if isinstance(value, models.State) else str(value)
