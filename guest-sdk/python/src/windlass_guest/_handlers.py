"""What makes a function a handler, and handlers a component."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from . import _schema
from ._context import Context
from ._retry import RetryPolicy

F = TypeVar("F", bound=Callable[..., Any])

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""What modules and handlers may be called."""


@dataclass(frozen=True)
class Schedule:
    """A recurring job that comes with the module."""

    expression: str
    """Five or six fields of cron, `@daily` and its kin, or `every 90s`."""
    name: str | None = None
    """Its name within the module; the handler's where absent."""
    time_zone: str | None = None
    """An IANA time zone; UTC where absent."""
    payload: Any = None
    """The payload of each job."""
    misfire: Literal["skip", "run-once", "catch-up"] = "run-once"
    """What happens to the instants that passed while no host was there."""


@dataclass(frozen=True)
class Spec:
    """A handler and what is said of it."""

    function: Callable[..., Any]
    is_async: bool
    name: str
    summary: str | None
    context: str | None
    """The parameter that takes the context."""
    payload: str | None
    """The one that takes the payload."""
    payload_hint: Any
    payload_schema: dict[str, Any] | None
    result_schema: dict[str, Any] | None
    queue: str | None
    priority: int | None
    max_attempts: int | None
    retry: RetryPolicy | None
    timeout: float | None
    cancel_grace: float | None
    fuel: int | None
    memory_bytes: int | None
    redact: tuple[str, ...]
    """JSON Pointers into the payload and the result."""
    schedules: tuple[Schedule, ...]


@overload
def handler(function: F) -> F: ...


@overload
def handler(
    *,
    name: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | None = None,
    cancel_grace: float | None = None,
    fuel: int | None = None,
    memory_bytes: int | None = None,
    redact: tuple[str, ...] = (),
    schedules: tuple[Schedule, ...] = (),
) -> Callable[[F], F]: ...


def handler(function: F | None = None, **settings: Any) -> F | Callable[[F], F]:
    """Make a function a handler; it stays the function that it is. While an `async` one waits, it takes no thread.

    It takes a `Context`, or the payload, or both in any order, each told by its type hint. The payload's hint is its JSON Schema,
    which the host checks before a job is taken; without a parameter for it, any payload will do. The docstring's first line is the
    summary. Spans are in seconds; what `redact` names by JSON Pointers, such as `/card`, is masked for those who only look. What is
    not said comes from the operator's defaults.

    Raises:
        TypeError: the signature is another one, or a hint is nothing that JSON knows.
        ValueError: the name is none.

    """

    def decorate(function: F) -> F:
        function.__windlass__ = _spec(function, **settings)  # type: ignore[attr-defined]
        return function

    return decorate if function is None else decorate(function)


def export(module: str, version: str, *handlers: Callable[..., Any]) -> type:
    """Make handlers a component, under the module's name and with the author's version.

    Give what comes back the name `Handlers` in the module that componentize-py is given, for the world `sync-module`; or, of async
    handlers, the name `AsyncHandlers`, for `async-module`; or both, each with its own handlers, for `mixed-module`.
    `windlass build` finds out which.

    Raises:
        TypeError: something is no handler, or some are async and others are not.
        ValueError: two have the same name, or the module's name is none.

    """
    _check_name("module", module)
    specs: dict[str, Spec] = {}
    for function in handlers:
        spec = spec_of(function)
        if spec.name in specs:
            raise ValueError(f"two handlers are called `{spec.name}`: give one another name, @handler(name=…)")
        specs[spec.name] = spec
    if not specs:
        raise ValueError("export: expected at least one handler")
    if len({spec.is_async for spec in specs.values()}) > 1:
        names = ", ".join(name for name, spec in specs.items() if spec.is_async)
        raise TypeError(f"export: expected handlers that are all async or all plain, and only these are async: {names}")
    from . import _component

    return _component.exported(module, version, specs)


def spec_of(function: Callable[..., Any]) -> Spec:
    """Give what is said of a handler.

    Raises:
        TypeError: it is none.

    """
    spec = getattr(function, "__windlass__", None)
    if not isinstance(spec, Spec):
        raise TypeError(f"{function!r} is no handler: put @handler before it")
    return spec


def _spec(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | None = None,
    cancel_grace: float | None = None,
    fuel: int | None = None,
    memory_bytes: int | None = None,
    redact: tuple[str, ...] = (),
    schedules: tuple[Schedule, ...] = (),
) -> Spec:
    name = name or function.__name__
    _check_name("handler", name)
    if isinstance(redact, str):
        raise TypeError(f"{name}: expected `redact` as ({redact!r},), and not as one text")
    hints = typing.get_type_hints(function)
    context = payload = None
    for parameter in inspect.signature(function).parameters:
        if parameter not in hints:
            raise TypeError(f"{name}: the parameter `{parameter}` needs a type hint: `Context`, or the payload's type")
        if hints[parameter] is Context and context is None:
            context = parameter
        elif payload is None:
            payload = parameter
        else:
            raise TypeError(f"{name}: expected a context and a payload at most, and there is `{parameter}` too")
    result = hints.get("return", Any)
    return Spec(
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        name=name,
        summary=(inspect.getdoc(function) or "").partition("\n")[0] or None,
        context=context,
        payload=payload,
        payload_hint=hints[payload] if payload else Any,
        payload_schema=_schema.schema(hints[payload]) if payload else None,
        result_schema=None if result is Any else _schema.schema(result),
        queue=queue,
        priority=priority,
        max_attempts=max_attempts,
        retry=retry,
        timeout=timeout,
        cancel_grace=cancel_grace,
        fuel=fuel,
        memory_bytes=memory_bytes,
        redact=redact,
        schedules=schedules,
    )


def _check_name(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"`{name}` is not a {what} name: expected 1 to 100 of a-z, A-Z, 0-9, `_`, `-` and `.`")
