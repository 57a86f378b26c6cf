"""What a handler raises where it has no result. Any other exception is a `Retry` with the code `error`."""

from __future__ import annotations

from typing import Any


class JobError(Exception):
    """Why a run did not succeed; one of the classes below."""


class _Failure(JobError):
    def __init__(self, code: str, message: str, *, details: Any = None) -> None:
        super().__init__(message)
        self.code = code
        """A short, stable name for programs to tell failures apart by, such as `card-declined`."""
        self.message = message
        """One sentence for people."""
        self.details = details
        """Anything else worth keeping, that JSON knows."""


class Retry(_Failure):
    """It went wrong and may go right later: try again after the delay of the job's retry policy, or after this one."""

    def __init__(self, code: str, message: str, *, details: Any = None, after: float | None = None) -> None:
        super().__init__(code, message, details=details)
        self.after = after
        """In seconds, instead of the retry policy's."""


class Fatal(_Failure):
    """It went wrong and always will: no further attempt."""


class Snooze(JobError):
    """Nothing went wrong, it is only too early: run again after this many seconds. The attempt does not count."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:g} s")
        self.seconds = seconds


class Cancelled(JobError):
    """The handler saw that its job was cancelled and has put its things in order."""
