"""JSON as it travels between handler and host."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any


def write(value: Any) -> str:
    """Write a value; besides what JSON knows, dataclasses and enumerations.

    Raises:
        ValueError: it cannot be written, such as NaN.
        TypeError: it is of a type that JSON does not know.

    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"a {type(value).__name__} is not JSON: give a dict, a list, text, a number or a dataclass")
