"""What can go wrong. Each kind is an exception of its own, and each says what failed, where, and what to do.

What the host answers is made of the stable code of its problem document: see `Problem`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar


class WindlassError(Exception):
    """Whatever this package raises, except for `ValueError` and `TypeError` where it is called with the wrong thing."""


class HostUnavailable(WindlassError):
    """No host answered, for as long as the client is patient. Whether the last request reached it is not known."""


class IncompatibleHost(WindlassError):
    """Somebody answered, and not as a host does that this package knows: another program, or another version."""


class NotStarted(WindlassError):
    """A plugin was used before the application's start-up, or after its shutdown."""


class WorkerFailed(WindlassError):
    """The host that was to run beside the application did not start."""


class WaitTimeout(WindlassError, TimeoutError):
    """A job did not end within the time that was given; it goes on."""

    def __init__(self, job: uuid.UUID, state: str, seconds: float) -> None:
        super().__init__(
            f"job {job} is {state} after {seconds:g} s: wait longer, or look at `windlass jobs show {job}` for what holds it"
        )
        self.job = job
        """The job."""
        self.state = state
        """The state that it was in."""


class JobFailed(WindlassError):
    """A job that was waited for ended, and not well."""

    def __init__(self, job: uuid.UUID, handler: str, state: str, cause: str | None, message: str | None) -> None:
        why = f": {message}" if message else ""
        kind = f" ({cause})" if cause else ""
        super().__init__(f"job {job} of {handler} ended as {state}{kind}{why}")
        self.job = job
        """The job."""
        self.state = state
        """`failed` or `deleted`."""
        self.cause = cause
        """What made its last run fail, such as `handler` or `timeout`."""


class Problem(WindlassError):
    """The host refused a request. The kinds that are known are the classes below; a code that is not known yet is this."""

    code: ClassVar[str] = ""

    def __init__(self, what: str, body: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.what = what
        """What was asked for, and of whom."""
        self.body = body
        """The whole problem document."""
        self.given_code = str(body.get("code", ""))
        """The problem's code, as the host gave it: stable, for programs."""
        self.title = str(body.get("title", ""))
        """The kind of problem in words."""
        status = body.get("status")
        self.status = status if isinstance(status, int) else 0
        """The HTTP status."""
        self.detail = str(body.get("detail", ""))
        """What was wrong, with what, and what to do."""
        self.retry_after = retry_after
        """After how many seconds the host wants to be asked again, where it says so."""
        super().__init__(f"failed to {what}: {self.detail or self.title}{self._advice()}")

    def _advice(self) -> str:
        if "unknown field" in self.detail or "there is nothing at" in self.detail:
            return " (the host may be older than this package: bring both to the same version)"
        return ""


class BadRequest(Problem):
    """The request cannot be read, or a parameter is not as it must be."""

    code = "bad-request"


class InvalidField(Problem):
    """A field is not as it must be."""

    code = "invalid-field"


class UnknownHandler(Problem):
    """No module has the handler. Deploy it first, or enqueue with `wait_for_handler=True`."""

    code = "unknown-handler"

    def _advice(self) -> str:
        return " (deploy it with `windlass deploy FILE`, or enqueue with wait_for_handler=True)"


class PayloadMismatch(Problem):
    """The payload does not match the handler's schema."""

    code = "payload-mismatch"


class KeyReused(Problem):
    """The idempotency key was used before, with another request."""

    code = "key-reused"


class TooLarge(Problem):
    """Something is over its limit."""

    code = "too-large"


class TooSlow(Problem):
    """The request came too slowly, or broke off."""

    code = "too-slow"


class NotFound(Problem):
    """The thing does not exist, or no longer."""

    code = "not-found"


class Conflict(Problem):
    """The thing is not in a state that allows this."""

    code = "conflict"


class NotUnique(Problem):
    """The job is to be unique, and another one is there that it must not stand beside; `job` names it."""

    code = "not-unique"

    @property
    def job(self) -> uuid.UUID | None:
        """The one that stands in the way."""
        return uuid.UUID(self.body["job"]) if "job" in self.body else None


class ModuleRefused(Problem):
    """The component was refused."""

    code = "module-refused"


class WouldBreak(Problem):
    """Something would break if new jobs went to this version; the detail names what."""

    code = "would-break"


class Forbidden(Problem):
    """The request came from where none is served."""

    code = "forbidden"


class Unauthenticated(Problem):
    """The host asks for a token, and there is none, or one that it does not know or that has expired."""

    code = "unauthenticated"

    def _advice(self) -> str:
        return " (give the client one: token=…, or WINDLASS_TOKEN)"


class RoleTooLow(Problem):
    """The token's role does not allow this."""

    code = "role-too-low"


class TooManyAttempts(Problem):
    """There were too many wrong tokens of late; see `Problem.retry_after`."""

    code = "too-many-attempts"


class ReadOnly(Problem):
    """The host is only to be read."""

    code = "read-only"

    def _advice(self) -> str:
        return " (ask another host of the same storage)"


class TimedOut(Problem):
    """The host gave the request up, because it took too long; what was asked may be done all the same."""

    code = "timed-out"


class StorageUnavailable(Problem):
    """The host's storage cannot be reached; the request may be repeated."""

    code = "storage-unavailable"


class Busy(Problem):
    """The host cannot do it now, such as while it starts or stops; the request may be repeated."""

    code = "busy"


class InternalError(Problem):
    """The host did something wrong; its log tells what."""

    code = "internal"


_BY_CODE: dict[str, type[Problem]] = {kind.code: kind for kind in Problem.__subclasses__()}


def problem(what: str, body: Mapping[str, Any], retry_after: float | None = None) -> Problem:
    """Make the exception of a problem document. `what` completes "failed to …"."""
    return _BY_CODE.get(str(body.get("code", "")), Problem)(what, body, retry_after)
