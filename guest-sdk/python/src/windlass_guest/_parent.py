"""How the jobs ended that a job continues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

from . import _schema
from ._errors import Fatal

T = TypeVar("T")


class ParentError(Exception):
    """Nothing can be told of a parent. Where it is not caught, the run fails: for good where no attempt would change that."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown
        """It is no parent of this job, or has been removed since it ended; else the storage could not be reached."""


@dataclass(frozen=True)
class Failure:
    """Why the last run of a parent did not succeed."""

    code: str
    """Its short, stable name."""
    message: str
    """One sentence for people."""
    details: Any = None
    """Anything else that was kept."""


@dataclass(frozen=True)
class Parent:
    """How a job ended that this one continues."""

    id: str
    """Its id."""
    handler: str
    """Where it went: `module/handler`."""
    state: str
    """`succeeded`, `failed` or `deleted`; another state where it was requeued meanwhile."""
    result: Any = None
    """What it gave, as JSON has it; `None` where it gave nothing."""
    failure: Failure | None = None
    """Why its last run did not succeed, where one did not."""

    def read(self, kind: type[T]) -> T:
        """Give the result as what a type promises, such as a dataclass or `list[int]`.

        Raises:
            Fatal: it is something else, with the code `bad-parent-result`: no further attempt would change that.

        """
        try:
            return cast(T, _schema.read(kind, self.result))
        except (TypeError, ValueError) as error:
            told = f"failed to read the result of job {self.id} ({self.handler}): {error}"
            raise Fatal("bad-parent-result", told) from error
