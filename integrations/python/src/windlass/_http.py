"""What both clients know of HTTP: where the host is, who one is there, how a call stands on the wire."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import Any

import httpx

from . import _calls, _events, _flow

DEFAULT_URL = "http://127.0.0.1:7878"
"""Where a host listens unless it is told otherwise."""

DEFAULT_PATIENCE = 10.0
"""For how long, in seconds, a host that does not answer is tried again: as long as one takes to start or restart."""

CONNECTING = 5.0
"""How long a connection may take, in seconds."""


@dataclass(frozen=True)
class Place:
    """Where the host is and who one is there."""

    url: str
    token: str | None
    manner: _flow.Manner

    @classmethod
    def of(cls, url: str | None, token: str | None, patience: float) -> Place:
        """Check what was given, and take from the environment what was not.

        Raises:
            ValueError: something cannot be.

        """
        url = url or os.environ.get("WINDLASS_URL") or DEFAULT_URL
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"url: `{url}` is not an address ({error}): expected such as {DEFAULT_URL}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"url: `{url}` is not an address: expected such as {DEFAULT_URL}")
        if parsed.userinfo or parsed.query or parsed.fragment:
            raise ValueError(f"url: expected an address alone, such as {DEFAULT_URL}; a token is given as token=…")
        token = token or os.environ.get("WINDLASS_TOKEN") or None
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError(
                "token: expected one as `windlass token new` makes them, such as wl_…, without spaces or line ends"
            )
        if not patience >= 0:
            raise ValueError(f"patience: expected seconds, 0 or more, and not {patience!r}")
        url = url.rstrip("/")
        return cls(url, token, _flow.Manner(url, patience))

    @property
    def is_local(self) -> bool:
        """Whether it is this machine, to which no proxy leads."""
        host = httpx.URL(self.url).host
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def options(self) -> dict[str, Any]:
        """Make the settings of an httpx client."""
        return {
            "headers": {} if self.token is None else {"authorization": f"Bearer {self.token}"},
            "trust_env": not self.is_local,
            # A redirect would take the token elsewhere.
            "follow_redirects": False,
        }

    def request(self, call: _calls.Call[Any]) -> dict[str, Any]:
        """Write a call as httpx takes it."""
        headers = {"accept": "application/json, application/problem+json"}
        if call.body is not None:
            headers["content-type"] = call.content_type
        headers.update(call.headers)
        return {
            "method": call.method,
            "url": f"{self.url}/api/v1/{call.path}",
            "params": list(call.query) or None,
            "content": call.body,
            "headers": headers,
            "timeout": httpx.Timeout(call.patience, connect=CONNECTING),
        }


def answer(response: httpx.Response, body: bytes) -> _flow.Answer:
    """Take from a response what matters."""
    headers = response.headers
    return _flow.Answer(response.status_code, headers.get("content-type", ""), headers.get("retry-after"), body)


def trouble(error: httpx.TransportError) -> _flow.NotSent | _flow.Lost:
    """Tell whether the request can have reached the host."""
    words = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError):
        return _flow.NotSent(words)
    return _flow.Lost(words)


def stream_request(http: httpx.Client | httpx.AsyncClient, place: Place, following: _events.Following) -> httpx.Request:
    """Write the request for a stream of events."""
    return http.build_request(
        "GET",
        f"{place.url}/api/v1/events",
        params=httpx.QueryParams(tuple(following.query)),
        headers=following.headers(),
        timeout=httpx.Timeout(_events.SILENCE, connect=CONNECTING),
    )
