"""The same small application with either framework: a route that enqueues, and the dashboard for whoever has the key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import fastapi
import litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from windlass import Worker
from windlass import litestar as windlass_litestar
from windlass.fastapi import Windlass, WindlassClient

PREFIX = "/tools/jobs"
KEY = {"x-key": "open sesame"}
"""Whom `auth` lets in."""

Make = Callable[..., Any]


def with_fastapi(url: str | None = None, worker: Worker | None = None, **options: Any) -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    windlass = Windlass(app, url, **options)

    def only_with_key(request: fastapi.Request) -> None:
        if request.headers.get("x-key") != KEY["x-key"]:
            raise fastapi.HTTPException(401, "the key is missing")

    windlass.mount_dashboard(PREFIX, auth=only_with_key)
    if worker is not None:
        windlass.run_worker_in_background(worker)

    @app.post("/sums/{a}/{b}")
    async def add(a: int, b: int, windlass: WindlassClient) -> uuid.UUID:
        return (await windlass.enqueue("mixed/add", {"a": a, "b": b})).id

    return app


def with_litestar(url: str | None = None, worker: Worker | None = None, **options: Any) -> litestar.Litestar:
    def only_with_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if connection.headers.get("x-key") != KEY["x-key"]:
            raise NotAuthorizedException("the key is missing")

    @litestar.post("/sums/{a:int}/{b:int}")
    async def add(a: FromPath[int], b: FromPath[int], windlass: windlass_litestar.WindlassClient) -> uuid.UUID:
        return (await windlass.enqueue("mixed/add", {"a": a, "b": b})).id

    dashboard = windlass_litestar.Dashboard(PREFIX, auth=only_with_key)
    plugin = windlass_litestar.WindlassPlugin(url, dashboard=dashboard, worker=worker, **options)
    return litestar.Litestar([add], plugins=[plugin])


MAKERS: dict[str, Make] = {"fastapi": with_fastapi, "litestar": with_litestar}
