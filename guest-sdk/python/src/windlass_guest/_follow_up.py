"""Jobs that a handler asks for, and what they depend on besides their turn."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from . import _json
from ._retry import RetryPolicy

ContinueOn = Literal["success", "failure", "finished"]
"""How all jobs must have ended that a job continues."""

OnConflict = Literal["existing", "replace"]
"""What becomes of a job where another one is there: it is left out, since a follow-up job never fails the one that asks for it; or
the other one gets its payload and its time, where it still waits."""


@dataclass(frozen=True)
class Unique:
    """What a follow-up job must be the only one of, among the unfinished jobs of its handler.

    Those with the same key, or with the same values in these fields of the payload, or, where neither is given, with the same
    payload.
    """

    key: str | None = None
    """1 to 200 bytes."""
    fields: Sequence[str] = ()
    """JSON Pointers into the payload, such as `/order`, at most 20; not together with `key`."""
    period: float | None = None
    """How long after its making the other one counts, in seconds; however long where absent."""
    on_conflict: OnConflict = "existing"
    """What becomes of this one where another is there."""

    def wire(self) -> dict[str, Any]:
        """Write it as the contract takes it.

        Raises:
            ValueError: a field is not as it must be.

        """
        if isinstance(self.fields, str):
            raise ValueError(f"unique: expected a list of fields, such as [{self.fields!r}], and not one text")
        if self.key is not None and self.fields:
            raise ValueError("unique: expected a key or fields, and not both")
        wire: dict[str, Any] = {"on_conflict": self.on_conflict}
        if self.key is not None:
            wire["key"] = self.key
        if self.fields:
            wire["fields"] = list(self.fields)
        if self.period is not None:
            wire["period_ms"] = max(0, round(self.period * 1000))
        return wire


@dataclass(frozen=True)
class FollowUp:
    """A job that a handler asks for."""

    handler: str
    payload: str
    queue: str | None = None
    priority: int | None = None
    delay: float | None = None
    at: datetime.datetime | None = None
    max_attempts: int | None = None
    retry: RetryPolicy | None = None
    timeout: float | None = None
    tags: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[str] = ()
    on: ContinueOn = "success"
    unique: Unique | None = None
    expires_at: datetime.datetime | None = None
    limit_key: str | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.at is not None:
            raise ValueError("expected `delay` or `at`, and not both")
        for name, texts in (("tags", self.tags), ("after", self.after)):
            if isinstance(texts, str):
                raise ValueError(f"{name}: expected a list of texts, such as [{texts!r}], and not one text")
        for name, instant in (("at", self.at), ("expires_at", self.expires_at)):
            if instant is not None and instant.tzinfo is None:
                raise ValueError(f"{name}: expected an instant with its time zone, such as datetime.now(timezone.utc)")

    def extensions(self) -> list[tuple[str, str]]:
        """Write what the contract takes by name.

        Raises:
            ValueError: a field is not as it must be.

        """
        named: dict[str, Any] = {}
        if self.after:
            named["after"] = {"jobs": list(self.after), "on": self.on}
        if self.unique is not None:
            named["unique"] = self.unique.wire()
        if self.expires_at is not None:
            utc = self.expires_at.astimezone(datetime.timezone.utc)
            named["expires_at"] = utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        if self.limit_key is not None:
            named["limit_key"] = self.limit_key
        return [(name, _json.write(value)) for name, value in named.items()]
