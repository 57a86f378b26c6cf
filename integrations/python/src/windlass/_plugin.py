"""What the plugins share: a client, a proxy for the dashboard and perhaps a host, from start-up to shutdown."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from . import _http
from ._proxy import DashboardProxy
from .async_client import AsyncClient
from .errors import NotStarted
from .worker import Worker

T = TypeVar("T")


class Plugin:
    """What lives as long as the application does."""

    def __init__(
        self, url: str | None, token: str | None, patience: float, client: AsyncClient | None, check_at_start: bool
    ) -> None:
        self._place = _http.Place.of(url, token, patience)
        self._patience = patience
        self._given = client
        self._check_at_start = check_at_start
        self._client: AsyncClient | None = None
        self._proxy: DashboardProxy | None = None
        self.worker: Worker | None = None

    @property
    def client(self) -> AsyncClient:
        """The client.

        Raises:
            NotStarted: the application is not running.

        """
        return _started(self._client, "client")

    @property
    def proxy(self) -> DashboardProxy:
        """The proxy for the dashboard.

        Raises:
            NotStarted: the application is not running.

        """
        return _started(self._proxy, "dashboard")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start all and, at the end, stop it in the reverse order.

        Raises:
            WindlassError: the host does not answer, does not take the token, or does not start.

        """
        async with contextlib.AsyncExitStack() as stack:
            if self.worker is not None:
                await stack.enter_async_context(self.worker.running_async(self._place.url))
            client = self._given
            if client is None:
                place = self._place
                client = AsyncClient(place.url, token=place.token, patience=self._patience)
                stack.push_async_callback(client.aclose)
                if self._check_at_start:
                    # A wrong address or token shows now, and not with the first user.
                    await client.counts()
            proxy = DashboardProxy(self._place)
            stack.push_async_callback(proxy.aclose)
            stack.callback(self._end)
            self._client, self._proxy = client, proxy
            yield

    def _end(self) -> None:
        self._client = self._proxy = None


def _started(thing: T | None, what: str) -> T:
    if thing is None:
        raise NotStarted(
            f"the {what} of Windlass is there from the application's start-up to its shutdown, and it is neither before nor "
            "after: in tests, use the test client as a context (`with TestClient(app) as client:`), and start the application "
            "with its lifespan"
        )
    return thing
