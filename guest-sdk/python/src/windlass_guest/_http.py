"""HTTP as async handlers have it: what is sent and what comes back. Neither knows WASI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MAX_RESPONSE_BYTES = 16 << 20
"""How large the body of a response may be where nothing else is said."""

TIMEOUT = 30.0
"""How long the host waits for a connection, for the headers, and between two pieces of the body, in seconds each."""


class HttpError(Exception):
    """There is no response, or none that will do. Where it is not caught, the run is tried again, with the code `http`."""


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = TIMEOUT
    max_response_bytes: int = MAX_RESPONSE_BYTES

    def parts(self) -> tuple[bool, str, str]:
        """Give whether it is `https`, the host with its port, and the path with its query.

        Raises:
            ValueError: the URL is none that can be asked.

        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`{self.url}` is not a URL to ask: expected http://… or https://…, with a host")
        if parts.username is not None:
            raise ValueError("a URL with a name or password in it is not sent: use the header `authorization`")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return parts.scheme == "https", parts.netloc, path


@dataclass(frozen=True)
class Response:
    """What came back, whatever its status. Redirects are not followed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case; where one came several times, its values with commas between."""
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as UTF-8, with replacement characters for what is none."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            HttpError: it is none.

        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise HttpError(f"the body of the response is not JSON: {error}") from None

    def raise_for_status(self) -> Response:
        """Give the response where its status is 200 to 299.

        Raises:
            HttpError: it is another.

        """
        if not 200 <= self.status < 300:
            raise HttpError(f"expected a status of 200 to 299, not {self.status}")
        return self


def joined(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Headers by name."""
    made: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        made[name] = f"{made[name]}, {value}" if name in made else value
    return made
