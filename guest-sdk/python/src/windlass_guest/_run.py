"""One run of a handler: what it is called with, and what its exceptions mean."""

from __future__ import annotations

import json
import traceback
from typing import Any

from . import _json, _schema
from ._context import CheckpointError, Context, EnqueueError, Host, Job
from ._errors import Fatal, JobError, Retry
from ._handlers import Spec

MAX_TRACEBACK = 8_000
"""How much of a traceback is kept, in characters: its end, where the exception is."""


def run(spec: Spec, job: Job, host: Host) -> str | None:
    """Run a handler and give its result as JSON text; nothing where it has none.

    Raises:
        JobError: it did not succeed.

    """
    arguments: dict[str, Any] = {}
    if spec.context:
        arguments[spec.context] = Context(job, host)
    if spec.payload:
        try:
            arguments[spec.payload] = _schema.read(spec.payload_hint, json.loads(job.payload))
        except (TypeError, ValueError) as error:
            # No further attempt would change that.
            raise Fatal("bad-payload", f"the payload is not as the handler expects it: {error}") from error
    try:
        result = spec.function(**arguments)
    except JobError:
        raise
    except CheckpointError as error:
        raise Retry("checkpoint", str(error)) from error
    except EnqueueError as error:
        raise Retry("enqueue", str(error)) from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        told = "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
        raise Retry("error", message, details={"traceback": told}) from error
    if result is None:
        return None
    try:
        return _json.write(result)
    except (TypeError, ValueError) as error:
        raise Fatal("bad-result", f"the result cannot be written as JSON: {error}") from error
