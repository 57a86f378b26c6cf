"""The client of Windlass, which runs background jobs in WebAssembly sandboxes.

`Client` and `AsyncClient` speak to a host; `windlass.fastapi` and `windlass.litestar` put the second into an application,
together with the dashboard and, for development, a host; `windlass.testing` has clients that need no host.
"""

from . import errors
from .async_client import AsyncClient, AsyncEventStream
from .client import Client, EventStream
from .errors import (
    HostUnavailable,
    IncompatibleHost,
    JobFailed,
    NotStarted,
    Problem,
    WaitTimeout,
    WindlassError,
    WorkerFailed,
)
from .models import (
    CanaryDropped,
    CommandReply,
    Deployed,
    Enqueued,
    Event,
    Failure,
    Job,
    JobSummary,
    LogLine,
    Module,
    Page,
    Queue,
    RecurringJob,
    Retired,
    Server,
    State,
)
from .requests import After, JobRequest, Retry, Unique
from .worker import Worker

__version__ = "0.1.0"

__all__ = [
    "After",
    "AsyncClient",
    "AsyncEventStream",
    "CanaryDropped",
    "Client",
    "CommandReply",
    "Deployed",
    "Enqueued",
    "Event",
    "EventStream",
    "Failure",
    "HostUnavailable",
    "IncompatibleHost",
    "Job",
    "JobFailed",
    "JobRequest",
    "JobSummary",
    "LogLine",
    "Module",
    "NotStarted",
    "Page",
    "Problem",
    "Queue",
    "RecurringJob",
    "Retired",
    "Retry",
    "Server",
    "State",
    "Unique",
    "WaitTimeout",
    "WindlassError",
    "Worker",
    "WorkerFailed",
    "errors",
]
