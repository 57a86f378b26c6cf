"""The bridge to WASI 0.3: what an async handler waits for. It is there where the world is one of `windlass:python`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from ._http import HttpError, Request, Response, joined

try:
    import wit_world  # type: ignore[import-not-found]
    from componentize_py_types import Err, Ok  # type: ignore[import-not-found]
    from wit_world.imports import client, monotonic_clock  # type: ignore[import-not-found]
    from wit_world.imports import wasi_http_types as http
except ImportError:  # A component that was built without it, or no component at all.
    IS_THERE = False
else:
    IS_THERE = True

T = TypeVar("T")

PIECE_BYTES = 64 << 10
"""How much of a body is read at once."""

METHODS = ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")
"""Those that WASI knows by name."""


def _check() -> None:
    if not IS_THERE:
        raise RuntimeError(
            "this component cannot wait: build it with `-d guest-sdk/python/wit -w windlass:python/async-module`"
        )


class Waits:
    """What one run waits for.

    componentize-py cannot call off what was begun, and a component that ends while something is under way traps. So whoever no
    longer wants to wait is let go, and the run ends when all of it has.
    """

    def __init__(self) -> None:
        self._begun: set[asyncio.Task[Any]] = set()

    async def sleep(self, seconds: float) -> None:
        """Let others run meanwhile."""
        await self._await(_sleep(seconds))

    async def fetch(self, request: Request) -> Response:
        """Send a request and read the whole response."""
        return await self._await(_fetch(request))

    async def ended(self) -> None:
        """Wait for what is still under way."""
        while self._begun:
            await asyncio.gather(*self._begun, return_exceptions=True)

    async def _await(self, wanted: Coroutine[Any, Any, T]) -> T:
        _check()
        task = asyncio.create_task(wanted)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)


async def _sleep(seconds: float) -> None:
    await monotonic_clock.wait_for(max(0, round(seconds * 1e9)))


async def _fetch(request: Request) -> Response:
    # Futures send their default when they are dropped, which must not be before somebody reads it.
    writer, contents = wit_world.byte_stream() if request.body else (None, None)
    no_trailers, trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(_nothing)
    outgoing, _sent = http.Request.new(_headers(request), contents, trailers, _options(request))
    _address(outgoing, request)
    # The body flows while the response is awaited: a server may begin its answer before it has read all.
    return await _with(_receive(outgoing, request), _send(writer, request.body), no_trailers.write(Ok(None)))


async def _with(wanted: Awaitable[T], *beside: Awaitable[Any]) -> T:
    """Await all, also where one fails: what is not awaited to its end makes the component trap at its own."""
    awaited = asyncio.gather(*beside, return_exceptions=True)
    try:
        return await wanted
    finally:
        await awaited


async def _send(writer: Any, body: bytes) -> None:
    if writer is not None:
        with writer:
            await writer.write_all(body)


async def _receive(outgoing: Any, request: Request) -> Response:
    try:
        response = await client.send(outgoing)
    except Err as error:
        raise HttpError(f"no response from {request.url}: {_said(error.value)}") from None
    status = response.get_status_code()
    with response.get_headers() as fields:
        headers = joined([(name, value.decode("latin-1")) for name, value in fields.copy_all()])
    done, told = wit_world.result_unit_wasi_http_types_error_code_future(_nothing)
    stream, trailers = http.Response.consume_body(response, told)
    body = bytearray()
    with stream:
        while not stream.writer_dropped and len(body) <= request.max_response_bytes:
            body += await stream.read(PIECE_BYTES)
    # A body that broke off ends like any other; only the trailers tell.
    ended = await _with(trailers.read(), done.write(Ok(None)))
    if len(body) > request.max_response_bytes:
        raise HttpError(f"the response of {request.url} has more than {request.max_response_bytes} bytes")
    if isinstance(ended, Err):
        raise HttpError(f"the response of {request.url} broke off: {_said(ended.value)}")
    return Response(status, headers, bytes(body))


def _headers(request: Request) -> Any:
    try:
        return http.Fields.from_list([(name, value.encode()) for name, value in request.headers.items()])
    except Err as error:
        raise HttpError(f"the host refused a header of the request: {_said(error.value)}") from None


def _options(request: Request) -> Any:
    options = http.RequestOptions()
    nanoseconds = max(1, round(request.timeout * 1e9))
    for put in (options.set_connect_timeout, options.set_first_byte_timeout, options.set_between_bytes_timeout):
        try:
            put(nanoseconds)
        except Err:
            # A host that knows no such limit; the run's own then holds.
            continue
    return options


def _address(outgoing: Any, request: Request) -> None:
    is_https, authority, path = request.parts()
    method = request.method.lower()
    made = getattr(http, f"Method_{method.capitalize()}")() if method in METHODS else http.Method_Other(request.method)
    try:
        outgoing.set_method(made)
        outgoing.set_scheme(http.Scheme_Https() if is_https else http.Scheme_Http())
        outgoing.set_authority(authority)
        outgoing.set_path_with_query(path)
    except Err:
        raise HttpError(f"the host refused the method or the address: {request.method} {request.url}") from None


def _nothing() -> Any:
    return Ok(None)


def _said(error: Any) -> str:
    """A case of WASI's in words: `ErrorCode_ConnectionRefused`, or `ErrorCode_InternalError` with its text."""
    kind = type(error).__name__.rpartition("_")[2]
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind).strip()
    text = getattr(error, "value", None)
    return f"{words}: {text}" if text else words
