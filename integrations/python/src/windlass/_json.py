"""JSON as it travels: integers of any size keep their digits, and what is not JSON is refused before it is sent."""

import dataclasses
import datetime
import json
import uuid
from typing import Any


def write(value: Any) -> bytes:
    """Write a value as compact JSON.

    Besides what JSON knows, it takes dataclasses, pydantic models, instants and UUIDs.

    Raises:
        ValueError: it cannot be written as JSON: NaN, text that is not Unicode, something that contains itself.
        TypeError: it is of a type that JSON does not know.

    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not Unicode and so not JSON: {error}") from None


def read(text: "bytes | str") -> Any:
    """Read JSON.

    Raises:
        ValueError: it is not JSON.

    """
    return json.loads(text)


def instant(value: datetime.datetime) -> str:
    """Write an instant as the API does: RFC 3339 in UTC, to the millisecond.

    Raises:
        ValueError: it names no time zone, so that it could be any of two dozen instants.

    """
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(f"{value!r} names no time zone: use `datetime.now(timezone.utc)` or another with a zone")
    in_utc = value.astimezone(datetime.timezone.utc)
    return in_utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{in_utc.microsecond // 1000:03}Z"


def read_instant(text: str) -> datetime.datetime:
    """Read an instant as the API writes it.

    Raises:
        ValueError: it is none.

    """
    # Python 3.10 knows neither `Z` nor fractions of another length than three or six digits.
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def milliseconds(span: "datetime.timedelta | float") -> int:
    """Write a span as the API does. Numbers are seconds; a part of a millisecond counts as one.

    Raises:
        ValueError: it is negative or no number.

    """
    seconds = span.total_seconds() if isinstance(span, datetime.timedelta) else float(span)
    if not 0 <= seconds < 1e15:
        raise ValueError(f"{span!r} is no span of time: expected seconds, 0 or more, or a timedelta")
    # Rounded first to what a float of seconds means: 0.1 s are 100 ms and not 101.
    return -int(-round(seconds * 1000, 3) // 1)


def _plain(value: Any) -> Any:
    """Write what JSON does not know as something that it does."""
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime.datetime):
        return instant(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(
        f"a {type(value).__name__} is not JSON: give a dict, a list, text, a number, a dataclass or a model"
    )
