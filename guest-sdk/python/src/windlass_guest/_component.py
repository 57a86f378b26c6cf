"""The bridge to the contract in `wit/`: used where componentize-py has made its bindings, and nowhere else."""

from __future__ import annotations

import json
import time
from typing import Any

from . import _json, _waiting
from ._checkpoints import CheckpointError
from ._context import EnqueueError, Job
from ._errors import Fatal, JobError, Retry, Snooze
from ._follow_up import FollowUp
from ._handlers import Schedule, Spec
from ._http import Request, Response
from ._parent import Failure, Parent, ParentError
from ._retry import Delays, Exponential, Fixed, Linear, RetryPolicy
from ._run import run, run_async

try:
    from componentize_py_types import Err  # type: ignore[import-not-found]
    from wit_world import exports  # type: ignore[import-not-found]
    from wit_world.imports import config, context, log, queue  # type: ignore[import-not-found]

    try:
        from wit_world.imports import types
    except ImportError:  # Its name where something else has types too, such as HTTP.
        from wit_world.imports import windlass_job_types as types
except ImportError:  # A program of another kind, such as a test.
    IS_COMPONENT = False
else:
    IS_COMPONENT = True

# An async export is begun by a method that componentize-py adds to its own class.
Begun: Any = getattr(exports, "AsyncHandlers", object) if IS_COMPONENT else object


def exported(module: str, version: str, specs: dict[str, Spec]) -> type:
    """Make the class that componentize-py looks for."""

    def find(job: Any) -> Spec:
        spec = specs.get(job.handler)
        if spec is None:
            # The host asks for no handler that is not described.
            raise Err(_failure(Fatal("unknown-handler", f"there is no handler `{job.handler}`")))
        return spec

    class Described:
        def describe(self) -> Any:
            from . import __version__

            handlers = [_handler(spec) for spec in specs.values()]
            return types.Manifest(module, version, f"windlass-guest for Python {__version__}", handlers)

    class Handlers(Described):
        def run(self, job: Any) -> str | None:
            try:
                return run(find(job), _job(job), _Host())
            except JobError as error:
                # Without the exception behind it, which would be told to nobody.
                raise Err(_failure(error)) from None

    class AsyncHandlers(Described, Begun):  # type: ignore[misc]
        async def run(self, job: Any) -> str | None:
            host = _Host()
            try:
                return await run_async(find(job), _job(job), host)
            except JobError as error:
                raise Err(_failure(error)) from None
            finally:
                await host.waits.ended()

    return AsyncHandlers if any(spec.is_async for spec in specs.values()) else Handlers


def _job(job: Any) -> Job:
    return Job(
        job.id,
        job.handler,
        job.queue,
        job.run,
        job.attempt,
        job.max_attempts,
        job.payload,
        job.enqueued_at,
        job.deadline,
        dict(job.headers),
        tuple(job.parents),
    )


def _failure(error: JobError) -> Any:
    if isinstance(error, Snooze):
        return types.JobError_Snooze(_ms(error.seconds))
    if isinstance(error, Retry | Fatal):
        try:
            details = None if error.details is None else _json.write(error.details)
        except (TypeError, ValueError):
            details = _json.write(str(error.details))
        failure = types.Failure(error.code, error.message, details)
        if isinstance(error, Fatal):
            return types.JobError_Fatal(failure)
        if error.after is not None:
            return types.JobError_RetryAfter((_ms(error.after), failure))
        return types.JobError_Retry(failure)
    return types.JobError_Cancelled()


def _handler(spec: Spec) -> Any:
    return types.Handler(
        name=spec.name,
        summary=spec.summary,
        queue=spec.queue,
        priority=spec.priority,
        max_attempts=spec.max_attempts,
        retry=None if spec.retry is None else _retry(spec.retry),
        timeout=None if spec.timeout is None else _ms(spec.timeout),
        cancel_grace=None if spec.cancel_grace is None else _ms(spec.cancel_grace),
        fuel=spec.fuel,
        memory=spec.memory_bytes,
        payload_schema=None if spec.payload_schema is None else _json.write(spec.payload_schema),
        result_schema=None if spec.result_schema is None else _json.write(spec.result_schema),
        redact=list(spec.redact),
        schedules=[_schedule(schedule) for schedule in spec.schedules],
        extensions=[],
    )


def _schedule(schedule: Schedule) -> Any:
    misfire = {"skip": types.Misfire.SKIP, "run-once": types.Misfire.RUN_ONCE, "catch-up": types.Misfire.CATCH_UP}
    payload = None if schedule.payload is None else _json.write(schedule.payload)
    return types.Schedule(schedule.name, schedule.expression, schedule.time_zone, payload, misfire[schedule.misfire])


def _retry(policy: RetryPolicy) -> Any:
    if isinstance(policy, Fixed):
        return types.RetryPolicy_Fixed(_ms(policy.delay))
    if isinstance(policy, Linear):
        return types.RetryPolicy_Linear(_ms(policy.delay))
    if isinstance(policy, Exponential):
        return types.RetryPolicy_Exponential(types.Exponential(_ms(policy.base), _ms(policy.longest)))
    assert isinstance(policy, Delays)
    return types.RetryPolicy_Delays([_ms(delay) for delay in policy])


def _start(job: FollowUp) -> Any:
    if job.at is not None:
        return queue.Start_At(_ms(job.at.timestamp()))
    return queue.Start_Now() if job.delay is None else queue.Start_After(_ms(job.delay))


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


class _Host:
    def __init__(self) -> None:
        self.waits = _waiting.Waits()

    def log(self, level: str, message: str, fields: str | None) -> None:
        log.write(log.Level[level.upper()], message, fields)

    def progress(self, percent: float, note: str | None) -> None:
        context.progress(percent, note)

    def cancelled(self) -> bool:
        return bool(context.cancelled())

    def remaining(self) -> float | None:
        left = context.remaining()
        return None if left is None else left / 1000

    def get_checkpoint(self, key: str) -> str | None:
        try:
            kept: str | None = context.get_checkpoint(key)
        except Err as error:
            raise _checkpoint_error(error.value) from None
        return kept

    def put_checkpoint(self, key: str, value: str) -> None:
        try:
            context.put_checkpoint(key, value)
        except Err as error:
            raise _checkpoint_error(error.value) from None

    def get_parent(self, id: str) -> Parent:  # noqa: A002
        try:
            told = context.get_parent(id)
        except Err as error:
            raise ParentError(_said(error.value), unknown=type(error.value).__name__.endswith("_Unknown")) from None
        failure = told.failure and Failure(told.failure.code, told.failure.message, _read(told.failure.details))
        return Parent(id, told.handler, told.state, _read(told.result), failure)

    def config(self, key: str) -> str | None:
        value: str | None = config.get(key)
        return value

    def secret(self, key: str) -> str | None:
        value: str | None = config.secret(key)
        return value

    def enqueue(self, job: FollowUp) -> str:
        request = queue.Request(
            handler=job.handler,
            payload=job.payload,
            queue=job.queue,
            priority=job.priority,
            start=_start(job),
            max_attempts=job.max_attempts,
            retry=None if job.retry is None else _retry(job.retry),
            timeout=None if job.timeout is None else _ms(job.timeout),
            tags=list(job.tags),
            headers=list(job.headers.items()),
            extensions=job.extensions(),
        )
        try:
            made: str = queue.enqueue(request)
        except Err as error:
            raise EnqueueError(_said(error.value)) from None
        return made

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        await self.waits.sleep(seconds)

    async def fetch(self, request: Request) -> Response:
        return await self.waits.fetch(request)


def _checkpoint_error(error: Any) -> CheckpointError:
    why: Any = _case(error).replace(" ", "-")
    return CheckpointError(_said(error), why=why)


def _said(error: Any) -> str:
    """A case of the contract's in words, with its text."""
    text = getattr(error, "value", None)
    return f"{_case(error)}: {text}" if text else _case(error)


def _case(error: Any) -> str:
    """The name of a case in words: `too large` of `CheckpointError_TooLarge`, `invalid json` of `CheckpointError_InvalidJson`."""
    kind = type(error).__name__.rpartition("_")[2]
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind).strip()
