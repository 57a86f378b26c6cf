"""The dashboard under a path of the application: a reverse proxy to the host, which streams both ways.

What the host gets is a request of the application's own: the application's token, none of the browser's cookies and
credentials, nothing that tells of proxies. So a host that is open to its own machine only takes it, and it is up to the
application, by what it has `auth` ask, who gets here. The host's own check for requests of other sites cannot see where
the page is, and is made here instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

import anyio
import httpx

from . import _calls, _http, _json

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
"""Those that the host knows."""

PASSED_ON = frozenset(
    b"accept accept-encoding accept-language cache-control content-length content-type if-none-match last-event-id "
    b"user-agent".split()
)
"""What the host is told of the browser's request."""

KEPT_BACK = frozenset(
    # What is between this program and the host alone, and what would sign the browser in there.
    b"connection keep-alive transfer-encoding te trailer upgrade proxy-authenticate set-cookie www-authenticate".split()
)
"""What the browser is not told of the host's answer."""


SAFE = "/:@!$&'()*+,;=~-._"
"""What stands in a path as it is."""

LED = "&"
"""What a query ends with where `leads_to` has led there. It means nothing to anybody else."""


class Left(Exception):
    """The browser went away before it had sent all."""


class DashboardProxy:
    """Passes requests on to the host."""

    def __init__(self, place: _http.Place) -> None:
        self._place = place
        # As many streams of events as there are pages; how many that may be the host decides.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(**place.options(), limits=limits)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __call__(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a path below the prefix, given without its first slash."""
        headers = dict(scope["headers"])
        refused = refusal(scope["method"], path, headers)
        if refused is not None:
            status, code, detail = refused
            problem = {"code": code, "title": "not through this dashboard", "status": status, "detail": detail}
            await _say(send, status, _json.write(problem), b"application/problem+json")
            return
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        request = self._http.build_request(
            scope["method"],
            httpx.URL(f"{self._place.url}/{quote(path, safe=SAFE)}", query=scope.get("query_string") or None),
            headers=_passed_on(headers),
            content=_body(receive) if has_body else None,
            timeout=httpx.Timeout(_calls.COMPILING_PATIENCE, connect=_http.CONNECTING),
        )
        async with anyio.create_task_group() as tasks:

            async def leave_with_browser() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            if not has_body:
                tasks.start_soon(leave_with_browser)
            try:
                response = await self._http.send(request, stream=True)
            except Left:
                return
            except httpx.TransportError as error:
                text = f"No Windlass host answers at {self._place.url}: {error or type(error).__name__}."
                # No problem document, which would be the host's: so the dashboard knows that the host is lost.
                await _say(send, 502, text.encode(), b"text/plain; charset=utf-8")
                tasks.cancel_scope.cancel()
                return
            if has_body:
                tasks.start_soon(leave_with_browser)
            await _stream(response, send)
            tasks.cancel_scope.cancel()


def refusal(method: str, path: str, headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
    """What is not passed on: the status, code and detail of a problem."""
    if is_foreign(method, headers):
        return 403, "forbidden", "this dashboard does not take requests from pages of other web sites"
    if path.startswith("api/v1/session") and method not in ("GET", "HEAD"):
        # The host would not sign the browser in, but whoever has the application's token.
        return 409, "conflict", "signing in and out is up to the application that this dashboard is a part of"
    if any(part in (".", "..") for part in path.split("/")):
        return 404, "not-found", f"there is nothing at /{path}"
    return None


def is_foreign(method: str, headers: dict[bytes, bytes]) -> bool:
    """Whether a request that changes something comes from a page of another site.

    A browser that says how the page is related is believed; of another one the page's origin must be where the request goes.
    """
    if method in ("GET", "HEAD"):
        return False
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host")


def _passed_on(headers: dict[bytes, bytes]) -> dict[str, str]:
    passed_on = {name: value for name, value in headers.items() if name in PASSED_ON}
    # What httpx itself can decode is nothing to the browser.
    passed_on.setdefault(b"accept-encoding", b"identity")
    passed_on.setdefault(b"accept", b"*/*")
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in passed_on.items()}


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _stream(response: httpx.Response, send: Send) -> None:
    try:
        headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in KEPT_BACK]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        try:
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.TransportError:
            # The host is gone. Streams just end then, and the browser comes back; what has a length lacks some of it.
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        with anyio.CancelScope(shield=True):
            await response.aclose()


async def redirect(send: Send, location: str) -> None:
    """Lead elsewhere."""
    headers = [(b"location", location.encode("latin-1")), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _say(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def check_auth(auth: object) -> None:
    """See that there is somebody to ask.

    Raises:
        TypeError: there is not.

    """
    if not callable(auth):
        raise TypeError(
            f"auth: expected what says who may see the dashboard, and not {auth!r}; whoever sees it can read, retry and delete jobs"
        )


def clean_prefix(prefix: str) -> str:
    """Check the path that the dashboard is to be under.

    Raises:
        ValueError: it is none, or the root, where the application itself is.

    """
    cleaned = prefix.rstrip("/")
    if not cleaned.startswith("/") or "{" in cleaned or "//" in cleaned:
        raise ValueError(f"prefix: expected a path such as /jobs, and not `{prefix}`")
    return cleaned


def leads_to(prefix: str, path: str | None, query: str) -> str | None:
    """Where a request is led, by its path below the prefix, which is `None` without even a slash; `None` where it is answered.

    The dashboard is at the prefix with a slash, and a request without it is led there: relative, since what stands before it is not
    known here. Where the application takes the slash from every path, both look alike here, and leading would never end; so who was
    led is known by the end of their query. Who had asked with a slash is led one folder too deep by that, and is led back.
    """
    last = prefix.rsplit("/", 1)[1]
    was_led = query.endswith(LED)
    if path is None:
        return None if was_led else f"{last}/?{query}{LED}"
    return f"../?{query}" if was_led and path == last else None
