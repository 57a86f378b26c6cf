"""Makes the types of `models` of JSON that was read. Fields that are not known are passed over: a newer host has more."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

from . import _json

Reader = Callable[[Any], Any]


class Unreadable(ValueError):
    """An answer is not of the shape that was expected; the message says where."""


@functools.cache
def reader(kind: Any) -> Reader:
    """Give what reads a type: a dataclass, a list or dict of what can be read, an instant, an id, a word, plain JSON."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin in (typing.Union, types.UnionType):
        (inner,) = (reader(argument) for argument in arguments if argument is not type(None))
        return lambda value: None if value is None else inner(value)
    if origin in (list, tuple):
        return _list_of(reader(arguments[0]), origin)
    if origin is dict:
        return _dict_of(reader(arguments[1]))
    if dataclasses.is_dataclass(origin or kind):
        return _dataclass(kind)
    if kind is datetime.datetime:
        return lambda value: _json.read_instant(_of(str, value))
    if kind is uuid.UUID:
        return lambda value: uuid.UUID(_of(str, value))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return lambda value: kind(_of(str, value))
    if kind is float:
        return lambda value: float(_of((int, float), value))
    return lambda value: _of(kind, value)


def _of(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Unreadable(f"expected {getattr(kind, '__name__', 'a number')} and not {value!r:.80}")
    return value


def _list_of(inner: Reader, into: type) -> Reader:
    return lambda value: into(inner(item) for item in _of(list, value))


def _dict_of(inner: Reader) -> Reader:
    return lambda value: {key: inner(item) for key, item in _of(dict, value).items()}


def _dataclass(kind: Any) -> Reader:
    made = typing.get_origin(kind) or kind
    # `Page[Job]` reads its items as jobs.
    variables = dict(zip(getattr(made, "__parameters__", ()), typing.get_args(kind), strict=False))
    hints = typing.get_type_hints(made)
    # Made when first used: types may hold each other.
    fields = [
        (field.name, field.metadata.get("wire", field.name), _with(hints[field.name], variables), _is_optional(field))
        for field in dataclasses.fields(made)
    ]

    def read(value: Any) -> Any:
        given = _of(dict, value)
        values = {}
        for name, wire, hint, is_optional in fields:
            if wire in given:
                try:
                    values[name] = reader(hint)(given[wire])
                except ValueError as error:
                    raise Unreadable(f"{wire}: {error}") from None
            elif not is_optional:
                raise Unreadable(f"{made.__name__} without `{wire}`")
        return made(**values)

    return read


def _with(hint: Any, variables: dict[Any, Any]) -> Any:
    if hint in variables:
        return variables[hint]
    if typing.get_origin(hint) is list and typing.get_args(hint)[0] in variables:
        return list[variables[typing.get_args(hint)[0]]]  # type: ignore[misc]
    return hint


def _is_optional(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
