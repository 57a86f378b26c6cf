"""Reports on tables of sales, in Litestar: a route asks for one, a handler in a sandbox makes it."""

import base64
import os
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Litestar, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from windlass import Worker
from windlass.litestar import Dashboard, WindlassClient, WindlassPlugin

PASSWORD = os.environ["DASHBOARD_PASSWORD"]


def only_admin(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let in who knows the password, whatever their name."""
    kind, given = connection.headers.get("authorization", "").partition(" ")[::2]
    try:
        password = base64.b64decode(given).partition(b":")[2] if kind == "Basic" else b""
    except ValueError:
        password = b""
    if not secrets.compare_digest(password, PASSWORD.encode()):
        raise NotAuthorizedException("wrong password", headers={"WWW-Authenticate": "Basic"})


@dataclass
class Table:
    """A table of sales, below `tables`."""

    path: str


@post("/reports", status_code=202)
async def ask_for_report(data: Table, windlass: WindlassClient) -> dict[str, UUID]:
    """Have a table summed up."""
    # The handler may be deployed after the application has started, and a table that is not there is for people to see.
    job = await windlass.enqueue("reports/summarise", data, max_attempts=1, wait_for_handler=True)
    return {"job": job.id}


@get("/reports/{job:uuid}")
async def report(job: FromPath[UUID], windlass: WindlassClient) -> dict[str, Any]:
    """Give what came of it, when it has ended, or how far it is after ten seconds."""
    try:
        seen = await windlass.wait(job, timeout=10)
    except TimeoutError:
        seen = await windlass.get(job)
    return {"state": seen.state.value, "report": seen.result, "failure": seen.failure and seen.failure.message}


app = Litestar(
    [ask_for_report, report],
    plugins=[
        WindlassPlugin(
            dashboard=Dashboard("/jobs", auth=only_admin),
            worker=Worker(storage="sqlite:jobs.db", modules="modules"),
        )
    ],
)
