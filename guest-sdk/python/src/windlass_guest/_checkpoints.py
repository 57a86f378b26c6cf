"""What a job keeps for its later attempts: checkpoints, and durable steps, which are made of them."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _json, _schema
from ._errors import Fatal, Retry

if TYPE_CHECKING:
    from ._context import Host, Job

T = TypeVar("T")

PREFIX = "windlass:step:"
"""What the key of each recorded step's checkpoint begins with, in all languages."""

MAX_NAME = 150
"""With the prefix a name is the key of a checkpoint, and with the job's id an idempotency key, which few services take longer."""

ALLOWED = "expected 1 to 150 visible ASCII characters, such as `charge`"

RECORD_AGAIN = (0.1, 1.0, 5.0)
"""How long to wait, in seconds, before recording is tried again: the work is done, and what is not recorded is done again."""

Why = Literal["invalid-json", "too-large", "reserved-key", "superseded", "unavailable"]


class CheckpointError(Exception):
    """A checkpoint was not kept, or could not be read. Where it is not caught, the run fails."""

    def __init__(self, message: str, *, why: Why = "unavailable") -> None:
        super().__init__(message)
        self.why = why
        """For programs: `superseded` where the run was taken away from this host, `unavailable` where the storage is away."""


class Checkpoints:
    """The part of a context that keeps things."""

    def __init__(self, job: Job, host: Host) -> None:
        self._job = job
        self._host = host
        self._steps: set[str] = set()

    def checkpoint(self, key: str) -> Any:
        """Give what this attempt or an earlier one put under the key; `None` where none did.

        Raises:
            CheckpointError: it could not be read, or the key is a step's.

        """
        _check_key(key)
        kept = self._host.get_checkpoint(key)
        return None if kept is None else json.loads(kept)

    def put_checkpoint(self, key: str, value: Any) -> None:
        """Keep a value under a key (1 to 200 bytes) for this attempt and all later ones.

        When it returns, the value survives the host.

        Raises:
            CheckpointError: it was not kept, or the key is a step's: those begin with `windlass:step:`.

        """
        _check_key(key)
        self._host.put_checkpoint(key, _json.write(value))

    @overload
    def step(self, name: str, work: Callable[[str], Any]) -> Any: ...
    @overload
    def step(self, name: str, work: Callable[[str], Any], kind: type[T]) -> T: ...
    def step(self, name: str, work: Callable[[str], Any], kind: Any = Any) -> Any:
        """Do a part of the handler once: later attempts get what it returned, and do not do it again.

        ```python
        number = ctx.step("charge", lambda key: charge(order, idempotency_key=key), int)
        ```

        The work is given a key, the job's id and the step's name: the same in every attempt. A run that is interrupted after the
        work and before it is recorded does the work again; who is asked with the same key twice can tell.

        The value is recorded as JSON, and what is returned was read back from there, in the first attempt too: as `kind`, such as a
        dataclass, or as JSON has it. A name has 1 to 150 visible ASCII characters and is used once in a run; after a failure it may
        be used again. Jobs are asked for outside of steps: those of an attempt that fails are dropped.

        Raises:
            Fatal: with the code `bad-step` where the name is not as it must be or is used twice, or JSON cannot hold the value as
                `kind`; `step-too-large` where the value is over 256 KiB, or the job has too many; `step-unreadable` where an
                earlier version of the handler recorded something else.
            Retry: with the code `checkpoint`: the storage cannot be reached, or the run was taken away.

        What the work raises is raised as it is, and nothing is recorded.

        """
        with self._begun(name, kind) as step:
            if not step.find():
                step.write(work(step.key))
                for seconds in step.record():
                    self._host.pause(seconds)
            return step.value

    @overload
    async def step_async(self, name: str, work: Callable[[str], Awaitable[Any]]) -> Any: ...
    @overload
    async def step_async(self, name: str, work: Callable[[str], Awaitable[Any]], kind: type[T]) -> T: ...
    async def step_async(self, name: str, work: Callable[[str], Awaitable[Any]], kind: Any = Any) -> Any:
        """Do a part of an async handler once, as `step` does for sync ones; `work` is an `async def` that takes the key.

        Raises:
            Fatal: as for `step`.
            Retry: as for `step`.

        """
        with self._begun(name, kind) as step:
            if not step.find():
                step.write(await work(step.key))
                for seconds in step.record():
                    await self._host.sleep(seconds)
            return step.value

    @contextlib.contextmanager
    def _begun(self, name: str, kind: Any) -> Iterator[_Step]:
        _check_name(name)
        if name in self._steps:
            told = f"the step `{name}` is used twice in this run: give each step a name of its own, such as `{name}-2`"
            raise Fatal("bad-step", told)
        try:
            # Before anything is done that could not be read back.
            _schema.schema(kind)
        except TypeError as error:
            raise Fatal("bad-step", f"the step `{name}` cannot return its kind: {error}") from error
        step = _Step(self._job, self._host, name, kind)
        self._steps.add(name)
        try:
            yield step
        finally:
            # It failed, or was given up: the same run may try again.
            if not step.is_done:
                self._steps.discard(name)


class _Step:
    """A step that is being done."""

    def __init__(self, job: Job, host: Host, name: str, kind: Any) -> None:
        self.job = job
        self.host = host
        self.name = name
        self.kind = kind
        self.is_done = False
        self.value: Any = None
        self._text = ""

    @property
    def key(self) -> str:
        """The same in every attempt, and no other step's: all ids are of the same length."""
        return f"{self.job.id}-{self.name}"

    def find(self) -> bool:
        """Look for what an earlier run recorded."""
        try:
            text = self.host.get_checkpoint(PREFIX + self.name)
        except CheckpointError as error:
            raise Retry("checkpoint", f"failed to look whether the step `{self.name}` is recorded: {error}") from error
        if text is None:
            return False
        try:
            self.value = _schema.read(self.kind, json.loads(text))
        except (TypeError, ValueError) as error:
            raise Fatal(
                "step-unreadable",
                f"failed to read what the step `{self.name}` recorded in an earlier run: {error}; the handler has changed since: "
                "let it read what it wrote before, rename the step to do it anew, or do all steps anew with "
                f"`windlass jobs requeue --fresh {self.job.id}`",
            ) from error
        self._done("recorded by an earlier run, so it is not done again")
        return True

    def write(self, result: Any) -> None:
        """Make of a result what is to be recorded, and what later attempts will read."""
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise self._bad("was given work that waits: call `await ctx.step_async(…)` in an async handler")
        try:
            self._text = _json.write(result)
        except (TypeError, ValueError) as error:
            raise self._bad(f"was done, but its result cannot be written as JSON: {error}") from error
        try:
            self.value = _schema.read(self.kind, json.loads(self._text))
        except (TypeError, ValueError) as error:
            raise self._bad(f"was done, but its result cannot be read back from its JSON: {error}") from error

    def record(self) -> Iterator[float]:
        """Record it; gives how long to wait before it is tried again where the storage cannot be reached."""
        for seconds in (*RECORD_AGAIN, None):
            refused = self._put()
            if refused is None:
                self._done("done and recorded")
                return
            if refused.why != "unavailable" or seconds is None:
                raise self._unrecorded(refused) from refused
            yield seconds

    def _put(self) -> CheckpointError | None:
        try:
            self.host.put_checkpoint(PREFIX + self.name, self._text)
        except CheckpointError as error:
            return error
        return None

    def _unrecorded(self, error: CheckpointError) -> Fatal | Retry:
        failed = f"the step `{self.name}` was done, but could not be recorded: {error}"
        if error.why == "too-large":
            less = "return less from the step, such as where its result is kept, or have fewer steps"
            return Fatal("step-too-large", f"{failed}; a recorded step is a checkpoint of its job: {less}")
        if error.why == "unavailable":
            return Retry("checkpoint", f"{failed}; the next attempt does it again, with the same key")
        return Retry("checkpoint", failed) if error.why == "superseded" else Fatal("bad-step", failed)

    def _done(self, how: str) -> None:
        self.is_done = True
        self.host.log("debug", f"step `{self.name}`: {how}", None)

    def _bad(self, what: str) -> Fatal:
        return Fatal("bad-step", f"the step `{self.name}` {what}")


def _check_key(key: str) -> None:
    """Steps have keys that no plain checkpoint has, so that neither is taken for the other."""
    if key.startswith(PREFIX):
        told = f"the key `{key}` begins with `{PREFIX}`, which is kept for steps: choose another"
        raise CheckpointError(told, why="reserved-key")


def _check_name(name: str) -> None:
    """Names go into the headers of requests, as a part of the key."""
    if not name:
        raise Fatal("bad-step", f"the name of a step is empty: {ALLOWED}")
    if len(name) > MAX_NAME:
        raise Fatal("bad-step", f"the name of the step {name[:20]!r}… has {len(name)} characters: {ALLOWED}")
    for character in name:
        if not "!" <= character <= "~":
            raise Fatal("bad-step", f"the name of the step {name!r} has {character!r} in it: {ALLOWED}")
