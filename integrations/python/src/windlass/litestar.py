"""Windlass in a Litestar application.

```python
app = Litestar(
    [shrink],
    plugins=[
        WindlassPlugin(                                     # WINDLASS_URL and WINDLASS_TOKEN, or url=… and token=…
            dashboard=Dashboard("/jobs", auth=only_admins), # `auth` is a guard, as those of routes
            worker=Worker(),                                # for development: a host beside the application
        )
    ],
)

@post("/pictures/{name:str}")
async def shrink(name: str, windlass: WindlassClient) -> UUID:
    return (await windlass.enqueue("images/thumbnail", {"path": name, "width": 200})).id
```
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

from litestar import Litestar, asgi
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.plugins import InitPluginProtocol
from litestar.types import Guard, Receive, Scope, Send

from . import _http
from ._plugin import Plugin
from ._proxy import check_auth, clean_prefix, leads_to, redirect
from .async_client import AsyncClient
from .worker import Worker

WindlassClient = NamedDependency[AsyncClient]
"""The client, as the type of a route's parameter, which is called `windlass`."""


@dataclass(frozen=True)
class Dashboard:
    """The dashboard under a path."""

    prefix: str
    """The path, such as `/jobs`."""
    auth: Guard
    """The guard that is asked before every request for it; whoever it lets in may do what the application's token may."""

    def __post_init__(self) -> None:
        check_auth(self.auth)
        object.__setattr__(self, "prefix", clean_prefix(self.prefix))


class WindlassPlugin(InitPluginProtocol):
    """Puts Windlass into an application: a client from its start-up to its shutdown, and what else is asked for.

    `url`, `token` and `patience` are those of `AsyncClient`. Routes get the client by the parameter's name, `windlass`
    unless `dependency` says otherwise. At the start-up the host is asked for something, so that a wrong address or token ends
    it with an exception that says so; `check_at_start=False` leaves that out. `worker` is a host that runs beside the
    application, at the address that the client asks, which must be of this machine. `client` is used instead of a new one
    where it is given, as tests do with `windlass.testing.AsyncFakeClient`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        patience: float = _http.DEFAULT_PATIENCE,
        client: AsyncClient | None = None,
        check_at_start: bool = True,
        dependency: str = "windlass",
        dashboard: Dashboard | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._plugin = Plugin(url, token, patience, client, check_at_start)
        self._plugin.worker = worker
        self._dependency = dependency
        self._dashboard = dashboard

    @property
    def client(self) -> AsyncClient:
        """The client, outside of routes.

        Raises:
            NotStarted: the application is not running.

        """
        return self._plugin.client

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Join the application; Litestar calls it."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Litestar) -> AsyncIterator[None]:
            async with self._plugin.running():
                yield

        async def provide() -> AsyncClient:
            return self._plugin.client

        # The first, so that those of the application may use the client.
        app_config.lifespan.insert(0, lifespan)
        app_config.dependencies.setdefault(self._dependency, Provide(provide))
        app_config.signature_namespace.setdefault("WindlassClient", WindlassClient)
        if self._dashboard is not None:
            app_config.route_handlers.append(_handler(self._plugin, self._dashboard))
        return app_config


def _handler(plugin: Plugin, dashboard: Dashboard) -> Any:
    @asgi(dashboard.prefix, is_mount=True, copy_scope=True, guards=[dashboard.auth], opt={"exclude_from_csrf": True})
    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            return
        # Litestar gives what is below the prefix, between slashes.
        path = scope["path"].strip("/")
        asked = scope.get("raw_path") or b"/"
        below = path if path or asked.endswith(b"/") else None
        location = leads_to(dashboard.prefix, below, scope["query_string"].decode("latin-1"))
        if location is not None:
            await redirect(cast(Any, send), location)
            return
        # The same calls, with events of types of Litestar's own.
        await plugin.proxy(path, cast(Any, scope), cast(Any, receive), cast(Any, send))

    return pass_on


__all__ = ["Dashboard", "WindlassClient", "WindlassPlugin", "Worker"]
