"""What is asked of the host: jobs and what may be said of them."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from . import _json
from ._ids import job_id, new_job_id
from .models import Enqueued

Span = datetime.timedelta | float
"""A span of time: a `timedelta`, or a number of seconds."""


@dataclass(frozen=True)
class Retry:
    """How long to wait before an attempt that follows a failure; made with one of its class methods."""

    wire: Mapping[str, Any]
    """As the API has it."""

    @classmethod
    def fixed(cls, delay: Span) -> Retry:
        """Wait as long each time."""
        return cls({"kind": "fixed", "delay_ms": _json.milliseconds(delay)})

    @classmethod
    def linear(cls, delay: Span) -> Retry:
        """Wait this long times the number of the attempt that failed."""
        return cls({"kind": "linear", "delay_ms": _json.milliseconds(delay)})

    @classmethod
    def exponential(cls, base: Span, longest: Span) -> Retry:
        """Wait twice as long each time, up to a bound, drawn at random from half to one and a half of that."""
        return cls({"kind": "exponential", "base_ms": _json.milliseconds(base), "max_ms": _json.milliseconds(longest)})

    @classmethod
    def delays(cls, *delays: Span) -> Retry:
        """Wait these, one after the other; the last one repeats."""
        return cls({"kind": "delays", "delays_ms": [_json.milliseconds(delay) for delay in delays]})


ContinueOn = Literal["success", "failure", "finished"]
"""How the parents of a job must have ended for it to be run."""

OnConflict = Literal["reject", "existing", "replace"]
"""What becomes of a unique job where another one is there: it is refused, not made, or its payload and time go to the other."""


@dataclass(frozen=True)
class After:
    """The jobs that a job continues: it waits for them, and `at` or `delay` count from when they are done."""

    jobs: Sequence[uuid.UUID | str]
    """Its parents: 1 to 100 different jobs that are there already, or stand earlier in the same call."""
    on: ContinueOn = "success"
    """How they must have ended. With `success` it waits on while one has failed, since that one may be requeued."""

    def wire(self) -> dict[str, Any]:
        """Write it as the API takes it."""
        return {"jobs": [str(job_id(job)) for job in self.jobs], "on": self.on}


@dataclass(frozen=True)
class Unique:
    """What a job must be the only one of, among those of its handler.

    Those with the same key, or with the same values in these fields of the payload, or, where neither is given, with the same
    payload.
    """

    key: str | None = None
    """The key: 1 to 200 bytes."""
    fields: Sequence[str] = ()
    """JSON Pointers into the payload, such as `/customer/id`, at most 20; not together with `key`."""
    states: Sequence[str] | None = None
    """In which states the other one counts: while it is not ended where absent."""
    period: Span | None = None
    """How long after its making the other one counts; however long where absent."""
    on_conflict: OnConflict = "reject"
    """What becomes of this one then."""

    def wire(self) -> dict[str, Any]:
        """Write it as the API takes it."""
        wire: dict[str, Any] = {"on_conflict": self.on_conflict}
        optional = {
            "key": self.key,
            "fields": list(self.fields) or None,
            "states": None if self.states is None else [getattr(state, "value", state) for state in self.states],
            "period_ms": None if self.period is None else _json.milliseconds(self.period),
        }
        wire.update((name, value) for name, value in optional.items() if value is not None)
        return wire


class JobOptions(TypedDict, total=False):
    """What may be said of a job beside its handler and payload; the fields of `JobRequest` tell what each means."""

    id: uuid.UUID | str
    queue: str | None
    priority: int | None
    max_attempts: int | None
    retry: Retry | None
    timeout: Span | None
    tags: Sequence[str]
    headers: Mapping[str, str]
    wait_for_handler: bool
    after: After | None
    unique: Unique | None
    expires_at: datetime.datetime | None
    limit_key: str | None


@dataclass(frozen=True)
class JobRequest:
    """A job to be made. Only the handler must be given.

    The rest comes from the handler's own settings, and then from the operator's defaults.
    """

    handler: str
    """Where it goes: `module/handler`."""
    payload: Any = None
    """What it is to work on: anything that JSON knows, a dataclass or a pydantic model. At most 256 KiB as JSON."""
    id: uuid.UUID | str = field(default_factory=new_job_id)
    """Its id, made here: a request that is sent twice, as when its answer was lost, makes one job."""
    queue: str | None = None
    """The queue, instead of the handler's; `default` where neither says."""
    priority: int | None = None
    """0, the first to be taken, to 9; 5 where neither request nor handler says."""
    max_attempts: int | None = None
    """How many attempts it has in all, 1 to 1000; 10 where neither says."""
    retry: Retry | None = None
    """The delay before an attempt that follows a failure."""
    timeout: Span | None = None
    """How long a run may take."""
    tags: Sequence[str] = ()
    """What to find it by: at most 20, each of at most 100 bytes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What to attach to it, handed to the handler: at most 50, 8 KiB in all."""
    wait_for_handler: bool = False
    """Whether to wait for a handler that no module has yet, rather than refuse the job."""
    after: After | None = None
    """The jobs that it continues."""
    unique: Unique | None = None
    """What it must be the only one of."""
    expires_at: datetime.datetime | None = None
    """If it has not been started by then, it is deleted."""
    limit_key: str | None = None
    """What it counts under where an operator limits keys."""
    at: datetime.datetime | None = None
    """Not before this instant, which names its time zone."""
    delay: Span | None = None
    """Not before this much later; at most one of this and `at`."""

    def wire(self) -> dict[str, Any]:
        """Write it as the API takes it.

        Raises:
            ValueError: a field cannot be written.

        """
        return {"id": str(job_id(self.id)), **self.template()}

    def template(self) -> dict[str, Any]:
        """Write it without an id, as recurring jobs have it.

        Raises:
            ValueError: a field cannot be written.

        """
        if isinstance(self.tags, str):
            raise ValueError(f"tags: expected a list of texts, such as [{self.tags!r}], and not one text")
        wire: dict[str, Any] = {"handler": self.handler, "payload": self.payload}
        optional = {
            "queue": self.queue,
            "priority": self.priority,
            "max_attempts": self.max_attempts,
            "retry": None if self.retry is None else dict(self.retry.wire),
            "timeout_ms": None if self.timeout is None else _json.milliseconds(self.timeout),
            "run_at": None if self.at is None else _json.instant(self.at),
            "delay_ms": None if self.delay is None else _json.milliseconds(self.delay),
            "tags": list(self.tags) or None,
            "headers": dict(self.headers) or None,
            "wait_for_handler": self.wait_for_handler or None,
            "after": None if self.after is None else self.after.wire(),
            "unique": None if self.unique is None else self.unique.wire(),
            "expires_at": None if self.expires_at is None else _json.instant(self.expires_at),
            "limit_key": self.limit_key,
        }
        wire.update((name, value) for name, value in optional.items() if value is not None)
        return wire


Misfire = Literal["skip", "run-once", "catch-up"]
"""What happens to instants of a schedule that passed while no host was there."""


class JobFilter(TypedDict, total=False):
    """Which jobs to list or count; what is absent does not matter."""

    state: str | None
    queue: str | None
    module: str | None
    handler: str | None
    tag: str | None
    created_from: datetime.datetime | None
    created_before: datetime.datetime | None
    text: str | None


def parents_of(given: Any) -> list[uuid.UUID]:
    """Read one parent or several, by their ids or as they were enqueued.

    Raises:
        ValueError: something is no job id.

    """
    parents: Sequence[Any] = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return [job_id(parent.id if isinstance(parent, Enqueued) else parent) for parent in parents]
