"""Clients that need no host: they keep what they are asked for, and tests look at it.

```python
fake = AsyncFakeClient()
app = make_app(windlass=Windlass(app, client=fake))
…
job = fake.host.assert_enqueued("mail/send", {"to": "ann@example.org"})
fake.host.succeed(job.id, {"sent": True})
```

The requests go the same way as to a host, up to the wire: what cannot be written as JSON or is no job id is refused as there.
What only the host knows is not: whether there is such a handler, whether the payload matches its schema, what the limits are.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from . import _json, models
from .async_client import AsyncClient
from .client import Client

ANYTHING: Any = object()
"""Stands for a payload that does not matter."""


class FakeHost:
    """What both fake clients ask: it keeps jobs and recurring jobs, and runs none of them."""

    def __init__(self) -> None:
        self.jobs: dict[uuid.UUID, models.Job] = {}
        """The jobs, in the order in which they were made."""
        self.requests: dict[uuid.UUID, dict[str, Any]] = {}
        """How each was asked for, as `POST /jobs` takes it."""
        self.recurring: dict[str, dict[str, Any]] = {}
        """The recurring jobs by name, as `PUT /recurring/NAME` takes them."""

    def enqueued(self, handler: str | None = None) -> list[models.Job]:
        """Give the jobs of a handler, or all of them, in the order in which they were made."""
        return [job for job in self.jobs.values() if handler in (None, job.job.path)]

    def assert_enqueued(self, handler: str, payload: Any = ANYTHING, **fields: Any) -> models.Job:
        """Assert that there is just one such job, and give it.

        `fields` are further ones of the request, as `POST /jobs` takes them: `queue="mail"`, `delay_ms=5000`.
        """
        wanted = ANYTHING if payload is ANYTHING else _as_read(payload)
        found = [
            job
            for job in self.enqueued(handler)
            if (wanted is ANYTHING or job.payload == wanted)
            and all(self.requests[job.id].get(name) == _as_read(value) for name, value in fields.items())
        ]
        if len(found) == 1:
            return found[0]
        looked_for = (
            f"{handler}"
            + ("" if payload is ANYTHING else f" with {payload!r}")
            + (f" and {fields!r}" if fields else "")
        )
        raise AssertionError(f"expected one job of {looked_for}, and there are {len(found)}; all jobs:\n{self._all()}")

    def assert_nothing_enqueued(self, handler: str | None = None) -> None:
        """Assert that there is no job of a handler, or none at all."""
        if self.enqueued(handler):
            raise AssertionError(f"expected no job{f' of {handler}' if handler else ''}; all jobs:\n{self._all()}")

    def succeed(self, job: uuid.UUID, result: Any = None) -> None:
        """End a job well, with this result."""
        self._change(job, models.State.SUCCEEDED, result=_as_read(result))

    def fail(self, job: uuid.UUID, message: str, *, cause: str = "handler", code: str | None = None) -> None:
        """End a job badly."""
        failure = models.Failure(cause, message, code)
        self._change(job, models.State.FAILED, failure)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request as a host does."""
        path = request.url.path.removeprefix("/api/v1/")
        body = _json.read(request.content) if request.content else None
        for method, pattern, route in self._routes():
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                return route(body, *match.groups())
        return _problem(
            404, "not-found", f"there is nothing at {request.url.path}: the fake host knows jobs and recurring jobs"
        )

    def _routes(self) -> list[tuple[str, str, Callable[..., httpx.Response]]]:
        return [
            ("POST", "jobs", self._enqueue),
            ("POST", "jobs/bulk", self._enqueue_many),
            ("GET", "jobs", lambda _: _answer({"items": [_write(job.job) for job in reversed(self.jobs.values())]})),
            ("GET", "jobs/([^/]+)(?:/wait)?", self._show),
            ("GET", "jobs/([^/]+)/logs", lambda _, job: _answer({"items": []})),
            ("POST", "jobs/([^/]+)/(requeue|cancel)", self._command),
            ("DELETE", "jobs/([^/]+)", lambda body, job: self._command(body, job, "delete")),
            ("GET", "counts", lambda _: _answer(self._counts())),
            ("PUT", "recurring/([^/]+)", self._put_recurring),
            ("DELETE", "recurring/([^/]+)", self._remove_recurring),
        ]

    def _enqueue(self, request: dict[str, Any]) -> httpx.Response:
        return _answer(self._make(request), 201)

    def _enqueue_many(self, requests: list[dict[str, Any]]) -> httpx.Response:
        return _answer([self._make(request) for request in requests], 201)

    def _make(self, request: dict[str, Any]) -> dict[str, Any]:
        job = uuid.UUID(request["id"])
        if job in self.jobs:
            return {"id": str(job), "existing": True}
        module, _, handler = request["handler"].partition("/")
        is_later = "run_at" in request or "delay_ms" in request
        summary = models.JobSummary(
            id=job,
            module=module,
            handler=handler,
            mode="sync",
            queue=request.get("queue", "default"),
            priority=request.get("priority", 5),
            state=models.State.SCHEDULED if is_later else models.State.ENQUEUED,
            attempt=0,
            max_attempts=request.get("max_attempts", 10),
            run=0,
            created_at=_now(),
            tags=request.get("tags", []),
        )
        retry = request.get("retry", {"kind": "exponential", "base_ms": 15_000, "max_ms": 3_600_000})
        headers = request.get("headers", {})
        self.jobs[job] = models.Job(summary, request["payload"], retry, [], headers, request.get("timeout_ms"))
        self.requests[job] = request
        return {"id": str(job)}

    def _show(self, _: None, job: str) -> httpx.Response:
        known = self.jobs.get(uuid.UUID(job))
        return _answer(_write(known)) if known else _no_job(job)

    def _command(self, _: Any, job: str, verb: str) -> httpx.Response:
        known = self.jobs.get(uuid.UUID(job))
        if known is None:
            return _no_job(job)
        state = known.state
        is_refused = {
            "requeue": state is models.State.ENQUEUED,
            "cancel": state.is_final,
            "delete": state is models.State.DELETED,
        }
        if is_refused[verb]:
            return _problem(409, "conflict", f"job {job} is {state.value} and so cannot be {verb}d")
        after = models.State.ENQUEUED if verb == "requeue" else models.State.DELETED
        self._change(known.id, after)
        return _answer({"id": job, "state": after.value, "pending": False})

    def _counts(self) -> dict[str, int]:
        states = [job.state for job in self.jobs.values()]
        return {state.value: states.count(state) for state in models.State}

    def _put_recurring(self, request: dict[str, Any], name: str) -> httpx.Response:
        self.recurring[name] = request
        return _answer(
            {"name": name, "request": request, "paused": False, "since": _json.instant(_now()), "next_runs": []}
        )

    def _remove_recurring(self, _: None, name: str) -> httpx.Response:
        if self.recurring.pop(name, None) is None:
            return _problem(404, "not-found", f"there is no recurring job `{name}`")
        return httpx.Response(204)

    def _change(
        self, job: uuid.UUID, state: models.State, failure: models.Failure | None = None, result: Any = None
    ) -> None:
        known = self.jobs[job]
        finished_at = _now() if state.is_final else None
        summary = dataclasses.replace(known.job, state=state, failure=failure, finished_at=finished_at)
        self.jobs[job] = dataclasses.replace(known, job=summary, result=result)

    def _all(self) -> str:
        lines = [f"  {job.job.path} {json.dumps(job.payload)} ({job.state.value})" for job in self.jobs.values()]
        return "\n".join(lines) or "  (none)"


class FakeClient(Client):
    """A `Client` of a `FakeHost`, which several clients may share."""

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host = host or FakeHost()
        """What it asks, and what tests look at."""
        super().__init__("http://fake.invalid", patience=0, transport=httpx.MockTransport(self.host.answer))


class AsyncFakeClient(AsyncClient):
    """An `AsyncClient` of a `FakeHost`, which several clients may share."""

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host = host or FakeHost()
        """What it asks, and what tests look at."""
        super().__init__("http://fake.invalid", patience=0, transport=httpx.MockTransport(self.host.answer))


def _answer(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=_json.write(body), headers={"content-type": "application/json"})


def _problem(status: int, code: str, detail: str) -> httpx.Response:
    return _answer({"code": code, "title": code, "status": status, "detail": detail}, status)


def _no_job(job: str) -> httpx.Response:
    return _problem(404, "not-found", f"there is no job {job}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _as_read(value: Any) -> Any:
    """Give a value as it is once it has travelled."""
    return _json.read(_json.write(value))


def _write(value: Any) -> Mapping[str, Any]:
    """Write a model as a host does: what is absent is left out."""
    written: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        given = getattr(value, field.name)
        is_optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if given is not None or not is_optional:
            is_model = dataclasses.is_dataclass(given) and not isinstance(given, type)
            written[field.metadata.get("wire", field.name)] = _write(given) if is_model else given
    return written


__all__ = ["ANYTHING", "AsyncFakeClient", "FakeClient", "FakeHost"]
