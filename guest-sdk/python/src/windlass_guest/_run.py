"""One run of a handler: what it is called with, and what its exceptions mean."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator
from typing import Any

from . import _json, _schema
from ._checkpoints import CheckpointError
from ._context import Context, EnqueueError, Host, Job
from ._errors import Fatal, JobError, Retry
from ._handlers import Spec
from ._http import HttpError
from ._parent import ParentError

MAX_TRACEBACK = 8_000
"""How much of a traceback is kept, in characters: its end, where the exception is."""


def run(spec: Spec, job: Job, host: Host) -> str | None:
    """Run a handler and give its result as JSON text; nothing where it has none.

    Raises:
        JobError: it did not succeed.

    """
    with _exceptions_told():
        return _written(spec.function(**_arguments(spec, job, host)))


async def run_async(spec: Spec, job: Job, host: Host) -> str | None:
    """As `run`, for handlers that wait; others are just called.

    Raises:
        JobError: it did not succeed.

    """
    with _exceptions_told():
        result = spec.function(**_arguments(spec, job, host))
        return _written(await result if spec.is_async else result)


def _arguments(spec: Spec, job: Job, host: Host) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if spec.context:
        arguments[spec.context] = Context(job, host)
    if spec.payload:
        try:
            arguments[spec.payload] = _schema.read(spec.payload_hint, json.loads(job.payload))
        except (TypeError, ValueError) as error:
            # No further attempt would change that.
            raise Fatal("bad-payload", f"the payload is not as the handler expects it: {error}") from error
    return arguments


def _written(result: Any) -> str | None:
    if result is None:
        return None
    try:
        return _json.write(result)
    except (TypeError, ValueError) as error:
        raise Fatal("bad-result", f"the result cannot be written as JSON: {error}") from error


@contextlib.contextmanager
def _exceptions_told() -> Iterator[None]:
    """Make a `JobError` of whatever is raised."""
    try:
        yield
    except JobError:
        raise
    except CheckpointError as error:
        if error.why in ("superseded", "unavailable"):
            raise Retry("checkpoint", str(error)) from error
        # No further attempt would change that.
        raise Fatal("bad-checkpoint", str(error)) from error
    except EnqueueError as error:
        raise Retry("enqueue", str(error)) from error
    except ParentError as error:
        if error.unknown:
            raise Fatal("unknown-parent", str(error)) from error
        raise Retry("parent", str(error)) from error
    except HttpError as error:
        raise Retry("http", str(error)) from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        told = "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
        raise Retry("error", message, details={"traceback": told}) from error
