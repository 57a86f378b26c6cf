"""What the type hints of a handler say: the JSON Schema of its payload, and how a payload becomes what the hints promise."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any

PLAIN: dict[Any, dict[str, Any]] = {
    Any: {},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    dict: {"type": "object"},
    list: {"type": "array"},
}
"""Types without parts."""


def schema(hint: Any) -> dict[str, Any]:
    """Give the JSON Schema of a type.

    Raises:
        TypeError: JSON has nothing like it; the message says what it does have.

    """
    definitions: dict[str, Any] = {}
    whole = _schema(hint, definitions)
    return {**whole, "$defs": definitions} if definitions else whole


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(argument, definitions) for argument in arguments]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _object(hint, definitions)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    try:
        return dict(PLAIN[hint])
    except (KeyError, TypeError):
        known = "bool, int, float, str, None, list[…], dict[str, …], Literal, unions, enumerations, dataclasses and Any"
        raise TypeError(f"`{hint}` has no JSON Schema: use {known}") from None


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": f"#/$defs/{kind.__name__}"}
    if kind.__name__ in definitions:
        return reference
    # In place before its fields are looked at: it may hold itself.
    made: dict[str, Any] = {"type": "object"}
    definitions[kind.__name__] = made
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    if kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}("):
        made["description"] = kind.__doc__.strip()
    made["properties"] = {field.name: _schema(hints[field.name], definitions) for field in fields}
    made["required"] = [field.name for field in fields if _is_required(field)]
    return reference


def read(hint: Any, value: Any) -> Any:
    """Make what the hint promises of JSON that was read. The host has checked it against the schema.

    Raises:
        ValueError: it is something else after all.

    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_one_of(arguments, value)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is list and isinstance(value, list):
        return [read(arguments[0], item) for item in value]
    if origin is dict and isinstance(value, dict):
        return {key: read(arguments[1], item) for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _read_object(hint, value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    # A number without a fraction is an integer to JSON Schema, however it is written.
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is Any or (hint is None and value is None):
        return value
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"expected {hint}, not {value!r:.80}")


def _read_one_of(hints: tuple[Any, ...], value: Any) -> Any:
    for hint in hints:
        try:
            return read(hint, value)
        except ValueError:
            continue
    raise ValueError(f"expected one of {hints}, not {value!r:.80}")


def _read_object(kind: Any, value: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            given[field.name] = read(hints[field.name], value[field.name])
        elif _is_required(field):
            raise ValueError(f"{kind.__name__} without `{field.name}`")
    return kind(**given)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
