"""Windlass in a FastAPI application.

```python
app = FastAPI()
windlass = Windlass(app)                                # WINDLASS_URL and WINDLASS_TOKEN, or url=… and token=…
windlass.mount_dashboard("/jobs", auth=only_admins)     # `auth` is a dependency, as those of routes
windlass.run_worker_in_background(Worker())             # for development: a host beside the application

@app.post("/pictures/{name}")
async def shrink(name: str, windlass: WindlassClient) -> UUID:
    return (await windlass.enqueue("images/thumbnail", {"path": name, "width": 200})).id
```
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.requests import HTTPConnection

from . import _http
from ._plugin import Plugin
from ._proxy import METHODS, DashboardProxy, Receive, Scope, Send, check_auth, clean_prefix, leads_to
from .async_client import AsyncClient
from .errors import NotStarted
from .worker import Worker


class Windlass:
    """Puts Windlass into an application: a client from its start-up to its shutdown, and what else is asked for.

    `url`, `token` and `patience` are those of `AsyncClient`. At the start-up the host is asked for something, so that a
    wrong address or token ends it with an exception that says so; `check_at_start=False` leaves that out. `client` is
    used instead of a new one where it is given, as tests do with `windlass.testing.AsyncFakeClient`.
    """

    def __init__(
        self,
        app: FastAPI,
        url: str | None = None,
        *,
        token: str | None = None,
        patience: float = _http.DEFAULT_PATIENCE,
        client: AsyncClient | None = None,
        check_at_start: bool = True,
    ) -> None:
        self._app = app
        self._plugin = Plugin(url, token, patience, client, check_at_start)
        app.state.windlass = self
        inner = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            # Around the application's own, which may use the client.
            async with self._plugin.running(), inner(app) as state:
                yield state

        app.router.lifespan_context = lifespan

    @property
    def client(self) -> AsyncClient:
        """The client, outside of routes.

        Raises:
            NotStarted: the application is not running.

        """
        return self._plugin.client

    async def get_client(self) -> AsyncClient:
        """Give the client, as a dependency of routes in applications that are mounted into this one.

        Raises:
            NotStarted: the application is not running.

        """
        return self._plugin.client

    def mount_dashboard(self, prefix: str, *, auth: Callable[..., Any]) -> None:
        """Put the dashboard under a path, such as `/jobs`.

        `auth` is a dependency that is asked before every request for it: it lets nobody in by raising `HTTPException`, or by
        returning `False`. Whoever it lets in may do what the application's token may.

        Raises:
            ValueError: the prefix is no path, or the root.
            TypeError: `auth` cannot be called.

        """
        check_auth(auth)
        cleaned = clean_prefix(prefix)

        async def pass_on(request: Request, allowed: Any = Depends(auth)) -> Response:
            if allowed is False:
                raise HTTPException(403, "you may not see this dashboard")
            below = request.path_params.get("path")
            location = leads_to(cleaned, below, request.url.query)
            if location is not None:
                return RedirectResponse(location)
            return _PassedOn(self._plugin.proxy, below or "")

        add = self._app.router.add_api_route
        add(cleaned, pass_on, methods=["GET", "HEAD"], include_in_schema=False)
        add(f"{cleaned}/{{path:path}}", pass_on, methods=list(METHODS), include_in_schema=False)

    def run_worker_in_background(self, worker: Worker | None = None) -> None:
        """Have a host run beside the application, at the address that the client asks, which must be of this machine.

        It is ready before the application is, is started again where it ends, and stops after the application has.
        """
        self._plugin.worker = worker or Worker()


class _PassedOn(Response):
    """What the proxy answers."""

    def __init__(self, proxy: DashboardProxy, path: str) -> None:
        super().__init__()
        self._proxy = proxy
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._proxy(self._path, scope, receive, send)


async def windlass_client(connection: HTTPConnection) -> AsyncClient:
    """Give the client of the application, as a dependency.

    Raises:
        NotStarted: it has no plugin, or is not running.

    """
    windlass = getattr(connection.app.state, "windlass", None)
    if not isinstance(windlass, Windlass):
        raise NotStarted(
            "this application has no Windlass: make `Windlass(app)` where the application is made; a mounted one takes "
            "`Depends(windlass.get_client)` of the application that it is mounted into"
        )
    return windlass.client


WindlassClient = Annotated[AsyncClient, Depends(windlass_client)]
"""The client, as the type of a route's parameter."""

__all__ = ["Windlass", "WindlassClient", "Worker", "windlass_client"]
