"""Native tests of handlers, without a host.

```python
test = TestContext(attempt=2)
assert count(test.context(), Text("a b")) == 2      # a handler is a plain function
assert run(count, {"text": "a b"}, test) == 2       # with its payload read as on a host
assert test.logs == [("info", "counting")]
```
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from . import _json, _run
from ._checkpoints import PREFIX, CheckpointError
from ._context import Context, Job
from ._follow_up import FollowUp
from ._handlers import spec_of
from ._http import HttpError, Request, Response
from ._parent import Failure, Parent, ParentError

MAX_CHECKPOINTS = 1_000
"""The most that a job may have: the host's own limit."""

MAX_CHECKPOINT_BYTES = 256 << 10
"""How large each may be."""


class TestContext:
    """Stands for a host: it keeps what a handler says, and answers what a test has set."""

    __test__ = False  # It is nothing for pytest to collect.

    def __init__(self, **job: Any) -> None:
        self._job = {"id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "handler": "test", **job}
        self.logs: list[tuple[str, str]] = []
        """What was logged: level and message."""
        self.progress_told: list[float] = []
        """How far the run said that it was, in percent."""
        self.checkpoints: dict[str, Any] = {}
        """What is kept by key, steps among it; a test may fill it in before."""
        self.follow_ups: list[FollowUp] = []
        """The jobs that were asked for."""
        self.parents_told: dict[str, Parent] = {}
        """What `Context.parent` tells, by id."""
        self.settings: Mapping[str, str] = {}
        """What `Context.config` tells."""
        self.secrets: Mapping[str, str] = {}
        """What `Context.secret` tells."""
        self.is_cancelled = False
        """What `Context.cancelled` tells."""
        self.responses: dict[str, Response] = {}
        """What `Context.fetch` gives, by URL; any other address cannot be reached."""
        self.requests: list[Request] = []
        """What was sent."""
        self.slept: list[float] = []
        """How long it was asked to wait, in seconds; it does not."""

    def add_parent(
        self,
        id: str,  # noqa: A002
        result: Any = None,
        *,
        handler: str = "test/parent",
        state: str | None = None,
        failure: Failure | None = None,
    ) -> None:
        """Let the job continue another one, which succeeded with this result, or failed so."""
        state = state or ("succeeded" if failure is None else "failed")
        # As it comes back from the host.
        told = json.loads(_json.write(result))
        self.parents_told[id] = Parent(id, handler, state, told, failure)

    @property
    def steps(self) -> dict[str, Any]:
        """What the recorded steps returned, by name, in the order in which they were recorded."""
        kept = self.checkpoints.items()
        return {key.removeprefix(PREFIX): value for key, value in kept if key.startswith(PREFIX)}

    def add_step(self, name: str, result: Any = None) -> None:
        """Let a step be recorded, as if an earlier attempt had done it: the handler is not to do it again."""
        self.checkpoints[PREFIX + name] = json.loads(_json.write(result))

    def forget_step(self, name: str) -> None:
        """Take back that a step is recorded, as if the run had been interrupted after its work and before that."""
        self.checkpoints.pop(PREFIX + name, None)

    def context(self, payload: Any = None) -> Context:
        """Give a context of this host; each is a run of the same job."""
        return Context(self.job(payload), self)

    def job(self, payload: Any) -> Job:
        """Give the job."""
        job = {"parents": tuple(self.parents_told), **self._job}
        return Job(**job, payload=json.dumps(payload))

    def log(self, level: str, message: str, fields: str | None) -> None:  # noqa: D102
        self.logs.append((level, message))

    def progress(self, percent: float, note: str | None) -> None:  # noqa: D102
        self.progress_told.append(percent)

    def cancelled(self) -> bool:  # noqa: D102
        return self.is_cancelled

    def remaining(self) -> float | None:  # noqa: D102
        return None

    def get_checkpoint(self, key: str) -> str | None:  # noqa: D102
        return json.dumps(self.checkpoints[key]) if key in self.checkpoints else None

    def put_checkpoint(self, key: str, value: str) -> None:  # noqa: D102
        size = len(value.encode())
        if not 1 <= len(key.encode()) <= 200:
            raise CheckpointError("too large: a key has 1 to 200 bytes", why="too-large")
        if size > MAX_CHECKPOINT_BYTES:
            told = f"too large: the value has {size} bytes: expected at most {MAX_CHECKPOINT_BYTES}"
            raise CheckpointError(told, why="too-large")
        if len(self.checkpoints) >= MAX_CHECKPOINTS and key not in self.checkpoints:
            told = f"too large: the job has {len(self.checkpoints)} checkpoints: at most {MAX_CHECKPOINTS} are allowed"
            raise CheckpointError(told, why="too-large")
        self.checkpoints[key] = json.loads(value)

    def get_parent(self, id: str) -> Parent:  # noqa: A002, D102
        if id not in self.parents_told:
            raise ParentError(f"unknown: job {id} is no parent of this one: tell of it with `add_parent`", unknown=True)
        return self.parents_told[id]

    def config(self, key: str) -> str | None:  # noqa: D102
        return self.settings.get(key)

    def secret(self, key: str) -> str | None:  # noqa: D102
        return self.secrets.get(key)

    def enqueue(self, job: FollowUp) -> str:  # noqa: D102
        self.follow_ups.append(job)
        return f"{len(self.follow_ups):08}-0000-7000-8000-000000000000"

    def pause(self, seconds: float) -> None:  # noqa: D102
        self.slept.append(seconds)

    async def sleep(self, seconds: float) -> None:  # noqa: D102
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def fetch(self, request: Request) -> Response:  # noqa: D102
        self.requests.append(request)
        await asyncio.sleep(0)
        if request.url not in self.responses:
            raise HttpError(f"no response from {request.url}: the test has none")
        return self.responses[request.url]


def run(handler: Callable[..., Any], payload: Any = None, test: TestContext | None = None) -> Any:
    """Run a handler on a payload that is read as on a host, and give its result as JSON has it; an async one to its end.

    Raises:
        JobError: it did not succeed.

    """
    test = test or TestContext()
    spec, job = spec_of(handler), test.job(payload)
    written = asyncio.run(_run.run_async(spec, job, test)) if spec.is_async else _run.run(spec, job, test)
    return None if written is None else json.loads(written)
