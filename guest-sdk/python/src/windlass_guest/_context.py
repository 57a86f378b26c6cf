"""A handler's view of its job and its host."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import _json
from ._checkpoints import Checkpoints
from ._errors import Cancelled, Retry
from ._follow_up import ContinueOn, FollowUp, Unique
from ._http import MAX_RESPONSE_BYTES, TIMEOUT, Request, Response
from ._parent import Parent
from ._retry import RetryPolicy


class EnqueueError(Exception):
    """A follow-up job was not taken."""


@dataclass(frozen=True)
class Job:
    """The job that a handler is asked to do."""

    id: str
    handler: str
    queue: str = "default"
    run: int = 1
    attempt: int = 1
    max_attempts: int = 10
    payload: str = "null"
    enqueued_at: int = 0
    deadline: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    parents: Sequence[str] = ()


class Host(Protocol):
    """What a context asks: the host, or a test."""

    def log(self, level: str, message: str, fields: str | None) -> None: ...
    def progress(self, percent: float, note: str | None) -> None: ...
    def cancelled(self) -> bool: ...
    def remaining(self) -> float | None: ...
    def get_checkpoint(self, key: str) -> str | None: ...
    def put_checkpoint(self, key: str, value: str) -> None: ...
    def get_parent(self, id: str) -> Parent: ...  # noqa: A002
    def config(self, key: str) -> str | None: ...
    def secret(self, key: str) -> str | None: ...
    def enqueue(self, job: FollowUp) -> str: ...
    def pause(self, seconds: float) -> None: ...
    async def sleep(self, seconds: float) -> None: ...
    async def fetch(self, request: Request) -> Response: ...


class Context(Checkpoints):
    """What a handler may ask about its job, and what it may tell the host meanwhile."""

    @property
    def id(self) -> str:
        """The job's id, a UUID: the same for every attempt."""
        return self._job.id

    @property
    def handler(self) -> str:
        """The handler's name within its module."""
        return self._job.handler

    @property
    def queue(self) -> str:
        """The queue that the job was taken from."""
        return self._job.queue

    @property
    def run(self) -> int:
        """The number of this claim of the job: strictly increasing, never given back."""
        return self._job.run

    @property
    def attempt(self) -> int:
        """The counted try, from 1."""
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        """How many attempts the job has in all."""
        return self._job.max_attempts

    @property
    def headers(self) -> Mapping[str, str]:
        """What the application attached to the job."""
        return self._job.headers

    @property
    def enqueued_at(self) -> datetime.datetime:
        """When the job was made, in UTC."""
        return _instant(self._job.enqueued_at)

    @property
    def deadline(self) -> datetime.datetime | None:
        """When the host stops this run, in UTC; absent where it has no limit."""
        return None if self._job.deadline is None else _instant(self._job.deadline)

    @property
    def parents(self) -> Sequence[str]:
        """The ids of the jobs that this one continues, in the order in which they were given."""
        return self._job.parents

    def parent(self, id: str) -> Parent:  # noqa: A002
        """Tell how one of them ended, with what it gave.

        ```python
        charged = ctx.parent(ctx.parents[0]).read(int)
        ```

        Raises:
            ParentError: it is no parent of this job, has been removed since, or the storage cannot be reached.

        """
        return self._host.get_parent(id)

    def remaining(self) -> float | None:
        """How much of the run's time is left, in seconds; absent where it has no limit."""
        return self._host.remaining()

    def cancelled(self) -> bool:
        """Whether somebody asked for the job to be cancelled; only told to handlers with a `cancel_grace`."""
        return self._host.cancelled()

    def check_cancelled(self) -> None:
        """End the run where somebody asked for that.

        Raises:
            Cancelled: somebody did.

        """
        if self.cancelled():
            raise Cancelled

    def progress(self, percent: float, note: str | None = None) -> None:
        """Say how far the run is, 0 to 100."""
        self._host.progress(percent, note)

    def trace(self, message: str, **fields: Any) -> None:
        """Log every step, for the author alone."""
        self._log("trace", message, fields)

    def debug(self, message: str, **fields: Any) -> None:
        """Log what helps to understand a failure."""
        self._log("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Log what normally happens."""
        self._log("info", message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        """Log what should not happen and was dealt with."""
        self._log("warn", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Log what failed."""
        self._log("error", message, fields)

    def config(self, key: str) -> str | None:
        """Give a setting of the module; absent where the operator set none."""
        return self._host.config(key)

    def secret(self, key: str) -> str | None:
        """Give a secret that is granted to the module; absent where none is. Do not log it."""
        return self._host.secret(key)

    def require_config(self, key: str) -> str:
        """Give a setting that the handler cannot do without.

        Raises:
            Retry: the operator set none, with the code `missing-setting`: one may be set.

        """
        return _there("config value", key, self.config(key))

    def require_secret(self, key: str) -> str:
        """Give a secret that the handler cannot do without.

        Raises:
            Retry: none is granted, with the code `missing-setting`: one may be.

        """
        return _there("secret", key, self.secret(key))

    def enqueue(
        self,
        handler: str,
        payload: Any = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | None = None,
        at: datetime.datetime | None = None,
        max_attempts: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        tags: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        after: Sequence[str] = (),
        on: ContinueOn = "success",
        unique: Unique | None = None,
        expires_at: datetime.datetime | None = None,
        limit_key: str | None = None,
    ) -> str:
        """Ask for a job and give its id. It is enqueued when this handler succeeds, in the same step.

        `handler` is `module/handler`, or the name of a handler of the same module. It starts `delay` seconds after this handler's
        success, or at the instant `at`, which names its time zone; what has not been started at `expires_at` is deleted. `timeout`
        is in seconds too. `after` are the ids of jobs that it continues, `ctx.id` and those of other follow-up jobs among them; all
        must have ended as `on` says, and `delay` then counts from there. `unique` is what it must be the only one of, `limit_key`
        what it counts under where an operator limits keys.

        Raises:
            EnqueueError: it was not taken.
            ValueError: something of it is not as it must be.

        """
        text = _json.write(payload)
        job = FollowUp(
            handler=handler,
            payload=text,
            queue=queue,
            priority=priority,
            delay=delay,
            at=at,
            max_attempts=max_attempts,
            retry=retry,
            timeout=timeout,
            tags=tags,
            headers=headers or {},
            after=after,
            on=on,
            unique=unique,
            expires_at=expires_at,
            limit_key=limit_key,
        )
        return self._host.enqueue(job)

    async def sleep(self, seconds: float) -> None:
        """Wait, in an async handler; others run meanwhile. `asyncio.sleep` is not there."""
        await self._host.sleep(seconds)

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = TIMEOUT,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send an HTTP request, in an async handler, and give the whole response, whatever its status.

        The operator grants a module the hosts that it may reach. `timeout`, in seconds, holds for connecting, for the headers and
        between two pieces of the body, each by itself. Several at once: `asyncio.gather(*(ctx.fetch(url) for url in urls))`.

        Raises:
            HttpError: there is no response, or it is larger than allowed.
            ValueError: the URL is none that can be asked.

        """
        request = Request(method, url, headers or {}, body, timeout, max_response_bytes)
        request.parts()
        return await self._host.fetch(request)

    def _log(self, level: str, message: str, fields: dict[str, Any]) -> None:
        self._host.log(level, message, _json.write(fields) if fields else None)


def _instant(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)


def _there(what: str, key: str, value: str | None) -> str:
    if value is None:
        raise Retry("missing-setting", f"the {what} `{key}` is missing: ask the operator to grant it to this module")
    return value
