"""Reports on tables of sales, in FastAPI: a route asks for one, a handler in a sandbox makes it."""

import os
import secrets
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel

from windlass import Worker
from windlass.fastapi import Windlass, WindlassClient

PASSWORD = os.environ["DASHBOARD_PASSWORD"]


def only_admin(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
    """Let in who knows the password, whatever their name."""
    if not secrets.compare_digest(given.password.encode(), PASSWORD.encode()):
        raise HTTPException(401, "wrong password", headers={"WWW-Authenticate": "Basic"})


app = FastAPI()
windlass = Windlass(app)
windlass.mount_dashboard("/jobs", auth=only_admin)
windlass.run_worker_in_background(Worker(storage="sqlite:jobs.db", modules="modules"))


class Table(BaseModel):
    """A table of sales, below `tables`."""

    path: str


@app.post("/reports", status_code=202)
async def ask_for_report(table: Table, windlass: WindlassClient) -> dict[str, UUID]:
    """Have a table summed up."""
    # The handler may be deployed after the application has started, and a table that is not there is for people to see.
    job = await windlass.enqueue("reports/summarise", table, max_attempts=1, wait_for_handler=True)
    return {"job": job.id}


@app.get("/reports/{job}")
async def report(job: UUID, windlass: WindlassClient) -> Any:
    """Give what came of it, when it has ended, or how far it is after ten seconds."""
    try:
        seen = await windlass.wait(job, timeout=10)
    except TimeoutError:
        seen = await windlass.get(job)
    return {"state": seen.state, "report": seen.result, "failure": seen.failure and seen.failure.message}
