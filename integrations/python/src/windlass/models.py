"""What the host tells, as it tells it: instants are `datetime` in UTC, spans end in `_ms`, sizes in `_bytes`.

Fields that a newer host adds are passed over.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class State(str, enum.Enum):
    """Where a job is in its life."""

    SCHEDULED = "scheduled"
    """Waits for an instant: delayed, snoozed or about to be retried."""
    AWAITING = "awaiting"
    """Waits for other jobs to finish, or for its handler to be deployed."""
    ENQUEUED = "enqueued"
    """Waits for a slot."""
    PROCESSING = "processing"
    """Is run by a server."""
    SUCCEEDED = "succeeded"
    """Ended well."""
    FAILED = "failed"
    """Ended badly, with no attempt left or worth making."""
    DELETED = "deleted"
    """Was deleted or cancelled, or what it waited for will not come."""

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (State.SUCCEEDED, State.FAILED, State.DELETED)


@dataclass(frozen=True)
class Enqueued:
    """The answer to a request for a job."""

    id: uuid.UUID
    """The job's id."""
    existing: bool = False
    """Whether this job was there before, by its id, as when a request was sent again, or as one that a unique job must not stand
    beside, and none was made."""
    replaced: bool = False
    """Whether it was there before and got the payload and the time of the request."""


@dataclass(frozen=True)
class AfterJobs:
    """What a job that continues others waits for."""

    jobs: list[uuid.UUID]
    """Its parents."""
    on: str = "success"
    """How they must have ended: `success`, `failure` or `finished`."""


@dataclass(frozen=True)
class CommandReply:
    """The answer to a command on one job."""

    id: uuid.UUID
    """The job."""
    state: State
    """The state that it is in now."""
    pending: bool
    """Whether the job is still being run: the command takes effect when its sandbox has stopped."""


@dataclass(frozen=True)
class Failure:
    """Why a run did not succeed."""

    cause: str
    """What made it fail: `handler`, `trap`, `timeout`, `out-of-fuel`, `out-of-memory` and so on."""
    message: str
    """One sentence for people."""
    code: str | None = None
    """The handler's own name for it; absent unless the handler said so."""
    details: Any = None
    """What else the handler attached."""
    backtrace: str | None = None
    """Where in the component it happened, innermost first."""


@dataclass(frozen=True)
class Usage:
    """What a run used."""

    fuel: int
    """About one per instruction."""
    peak_memory_bytes: int
    """The most memory that it had at once."""
    wall_us: int
    """From the start of the run to its end, in microseconds."""
    log_bytes: int
    """What it wrote to logs, standard output and standard error."""
    sent_bytes: int
    """What it sent over HTTP."""
    received_bytes: int
    """What it received over HTTP."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    percent: float
    """0 to 100."""
    at: datetime.datetime
    """When it said so."""
    note: str | None = None
    """What it is doing."""


@dataclass(frozen=True)
class HistoryLine:
    """One step in a job's life."""

    to: State
    """The state after."""
    at: datetime.datetime
    """When."""
    by: str
    """Who."""
    from_: State | None = field(default=None, metadata={"wire": "from"})
    """The state before; absent on the first line."""
    reason: str | None = None
    """Why."""
    run: int | None = None
    """The run, on the lines that begin and end one."""
    attempt: int | None = None
    """The attempt, on the lines that begin and end a run."""
    usage: Usage | None = None
    """What the run used, on the line that ends it."""
    failure: Failure | None = None
    """Why the run did not succeed, on the line that ends it."""


@dataclass(frozen=True)
class JobSummary:
    """A job as lists show it."""

    id: uuid.UUID
    """Its id."""
    module: str
    """The module that it goes to."""
    handler: str
    """The handler within it."""
    mode: str
    """How the handler runs: `sync` or `async`."""
    queue: str
    """Its queue."""
    priority: int
    """0, the first to be taken, to 9."""
    state: State
    """Where it is in its life."""
    attempt: int
    """The attempt that runs or ran last; 0 before the first."""
    max_attempts: int
    """How many attempts it has in all."""
    run: int
    """The run that runs or ran last; 0 before the first."""
    created_at: datetime.datetime
    """When it was made."""
    reason: str | None = None
    """Why it is in its state, where that is not plain."""
    tags: list[str] = field(default_factory=list)
    """What to find it by."""
    run_at: datetime.datetime | None = None
    """When it may start, while it is scheduled."""
    started_at: datetime.datetime | None = None
    """When its last run began."""
    finished_at: datetime.datetime | None = None
    """When it ended."""
    server: uuid.UUID | None = None
    """The server that runs it."""
    version: str | None = None
    """The digest of the version that it runs on, from its first start."""
    cancel_requested: bool = False
    """Whether somebody asked for it to be cancelled."""
    progress: Progress | None = None
    """How far it is."""
    usage: Usage | None = None
    """What its last run used."""
    failure: Failure | None = None
    """Why its last run did not succeed."""

    @property
    def path(self) -> str:
        """Where it goes: `module/handler`."""
        return f"{self.module}/{self.handler}"


@dataclass(frozen=True)
class Job:
    """A job with all that is known of it."""

    job: JobSummary
    """What lists show."""
    payload: Any
    """What it works on."""
    retry: dict[str, Any]
    """The delays between its attempts, as `Retry` writes them."""
    history: list[HistoryLine]
    """Its life so far, oldest first."""
    headers: dict[str, str] = field(default_factory=dict)
    """What the application attached."""
    timeout_ms: int | None = None
    """How long a run may take, where the job says."""
    result: Any = None
    """What it gave, once it has succeeded."""
    after: AfterJobs | None = None
    """The jobs that it continues."""
    expires_at: datetime.datetime | None = None
    """If it has not been started by then, it is deleted; absent once it was started or requeued."""
    limit_key: str | None = None
    """What it counts under where an operator limits keys."""
    removed_at: datetime.datetime | None = None
    """When it will be removed, once it has ended."""

    @property
    def id(self) -> uuid.UUID:
        """Its id."""
        return self.job.id

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self.job.state

    @property
    def failure(self) -> Failure | None:
        """Why its last run did not succeed."""
        return self.job.failure


@dataclass(frozen=True)
class LogLine:
    """A line that a run wrote."""

    run: int
    """The run that wrote it."""
    at: datetime.datetime
    """When."""
    level: str
    """How much it matters: `trace`, `debug`, `info`, `warn` or `error`."""
    message: str
    """The line."""
    fields: Any = None
    """What was attached to it."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list."""

    items: list[T]
    """The entries."""
    next: str | None = None
    """What to give as `cursor` for the next page; absent on the last one."""
    searched_to: datetime.datetime | None = None
    """Where the search for entries was cut short: everything newer than this was looked at; `next` goes on from there."""
    damaged: int = 0
    """How many entries of this part were left out, since what is kept of them is damaged."""


@dataclass(frozen=True)
class FilteredCount:
    """How many jobs pass a filter."""

    count: int
    """How many were counted: at most 100,000."""
    more: bool
    """Whether there may be more."""


@dataclass(frozen=True)
class RecurringOutcome:
    """What came of the last time that a recurring job was due or triggered."""

    at: datetime.datetime
    """The instant that it was due; the one of the command where it was triggered."""
    job: uuid.UUID | None = None
    """The job that was enqueued, or with `left_out` the one that was there; absent where none was, as `refused` tells."""
    state: State | None = None
    """The job's state; absent where it has been removed."""
    failure: Failure | None = None
    """Why the job's last run did not succeed."""
    refused: str | None = None
    """Why no job was enqueued."""
    left_out: bool = False
    """Whether none was enqueued since it is unique and must not stand beside `job`, which was there already."""


@dataclass(frozen=True)
class RecurringRequest:
    """What a recurring job enqueues and when, as it was put."""

    schedule: str
    """When."""
    job: dict[str, Any]
    """The job that is enqueued each time, as `POST /jobs` takes it."""
    misfire: str = "run-once"
    """What happens to instants that passed while no host was there: `skip`, `run-once` or `catch-up`."""
    time_zone: str | None = None
    """The IANA time zone that the schedule's clock shows; UTC where absent."""
    catch_up_limit: int | None = None
    """How many missed instants are caught up with at most."""


@dataclass(frozen=True)
class RecurringJob:
    """A recurring job with all that is known of it."""

    name: str
    """Its name."""
    request: RecurringRequest
    """What it enqueues and when, as it was put."""
    paused: bool
    """Whether it is passed over."""
    since: datetime.datetime
    """When its present schedule was put."""
    next_runs: list[datetime.datetime]
    """When it is due next, and the instants that follow; five at most."""
    module: str | None = None
    """The module that brought it; absent where an operator or an application put it."""
    last: RecurringOutcome | None = None
    """What came of it last; absent before the first time."""


@dataclass(frozen=True)
class Queue:
    """A queue and what waits in it."""

    name: str
    """Its name."""
    paused: bool
    """Whether no job is taken from it."""
    enqueued: int
    """Jobs ready to be taken."""
    processing: int
    """Jobs being run."""
    oldest_at: datetime.datetime | None = None
    """When the job that waits longest became ready."""


@dataclass(frozen=True)
class Handler:
    """A handler as its component describes it. What is absent is filled in from the operator's defaults."""

    name: str
    """Its name within the module."""
    mode: str
    """`sync` or `async`."""
    summary: str | None = None
    """What it does."""
    queue: str | None = None
    """The queue of its jobs."""
    priority: int | None = None
    """The priority of its jobs, 0 to 9."""
    max_attempts: int | None = None
    """The attempts of its jobs."""
    timeout_ms: int | None = None
    """How long a run may take."""
    fuel: int | None = None
    """How many instructions a run may take, roughly."""
    memory_bytes: int | None = None
    """How much memory a run may have."""
    payload_schema: Any = None
    """The JSON Schema of payloads."""
    result_schema: Any = None
    """The JSON Schema of results."""


@dataclass(frozen=True)
class Version:
    """One immutable component of a module."""

    digest: str
    """The SHA-256 of its bytes, as 64 hexadecimal digits."""
    size_bytes: int
    """How long it is."""
    version: str
    """The author's own version."""
    sdk: str
    """What it was built with."""
    handlers: list[Handler]
    """What it can do."""
    deployed_at: datetime.datetime
    """When it was deployed first."""
    active: bool
    """Whether new jobs go to it."""
    canary_percent: int | None = None
    """How many of a hundred new jobs go to it instead of the active version: it is the canary then."""
    retired_at: datetime.datetime | None = None
    """When it was retired: nothing runs on it any more, and its bytes are gone."""


@dataclass(frozen=True)
class Module:
    """A module and its versions, the newest first."""

    name: str
    """Its name."""
    versions: list[Version]
    """Its versions."""


@dataclass(frozen=True)
class Deployed:
    """The answer to a deploy."""

    module: str
    """The module."""
    version: Version
    """The version."""
    already_known: bool
    """Whether it was there before."""
    dropped_handlers: list[str] = field(default_factory=list)
    """The handlers that the version active before had and this one, active now, has not: their jobs wait."""


@dataclass(frozen=True)
class CanaryDropped:
    """What came of dropping a canary."""

    digest: str
    """The version that was the canary."""
    unpinned: int
    """How many jobs had begun on it, wait to go on, and go on with the active version."""


@dataclass(frozen=True)
class Retired:
    """A version that was retired."""

    digest: str
    """The version."""
    unpinned: int
    """How many jobs had begun on it, wait to go on, and go on with the active version."""


@dataclass(frozen=True)
class SlotUse:
    """The slots of one kind on a server."""

    total: int
    """How many there are."""
    busy: int
    """How many run a job."""


@dataclass(frozen=True)
class Server:
    """A host process that takes jobs."""

    id: uuid.UUID
    """Its id, new at every start."""
    host: str
    """The machine it runs on, as that calls itself."""
    pid: int
    """Its process id there."""
    version: str
    """The version of Windlass."""
    queues: list[str]
    """The queues it takes from; empty where it takes from all."""
    sync_slots: SlotUse
    """Slots for sync handlers."""
    async_slots: SlotUse
    """Slots for async handlers."""
    started_at: datetime.datetime
    """When it started."""
    heartbeat_at: datetime.datetime
    """When it was last heard of."""


@dataclass(frozen=True)
class Event:
    """A hint that something changed, never what it is now: whoever hears it reads again."""

    kind: str
    """`counts`, `job`, `servers`, `queues`, `modules`, or `missed`: then read everything again."""
    id: str | None = None
    """Its id, to go on from."""
    states: tuple[State, ...] = ()
    """Of `counts`: the states whose counts changed."""
    job: uuid.UUID | None = None
    """Of `job`: the watched job that changed."""
