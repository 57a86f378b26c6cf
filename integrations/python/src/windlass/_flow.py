"""How a call is made, tried again and understood, and what takes several calls; nothing here sends or sleeps.

A flow is a generator that yields what is to be done. Whoever runs it sends and sleeps, on a thread or on an event loop,
and gives back what came of it. So both clients behave the same because they run the same.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from . import _calls, errors, models
from ._calls import Call

T = TypeVar("T")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Between two tries, in seconds: doubling from the first to the second."""


@dataclass(frozen=True)
class Send:
    """Send this request and give back the answer."""

    call: Call[Any]


@dataclass(frozen=True)
class Sleep:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes


class NotSent(Exception):
    """There was no connection, so the request cannot have reached the host."""


class Lost(Exception):
    """There was a connection and no answer: whether the request was done is not known."""


Flow = Generator[Send | Sleep, Answer | None, T]


@dataclass(frozen=True)
class Manner:
    """How calls are made."""

    url: str
    """The host's address, for messages."""
    patience: float
    """For how long, in seconds, a host that does not answer is tried again."""
    clock: Callable[[], float] = time.monotonic


def exchange(call: Call[T], manner: Manner) -> Flow[T]:
    """Make one call. What cannot have done anything, and what may be repeated, is tried again."""
    started = manner.clock()
    pauses = _pauses()
    while True:
        failure: errors.WindlassError
        try:
            answer = yield Send(call)
            assert answer is not None, "whoever runs a flow answers what is sent"
            return understand(call, answer, manner.url)
        except NotSent as error:
            failure = unavailable(call, manner, error)
        except Lost as error:
            failure = unavailable(call, manner, error)
            if not call.repeatable:
                raise failure from error
        except (errors.Busy, errors.StorageUnavailable) as error:
            # One that is busy has done nothing; a storage that did not answer may have.
            if not call.repeatable and not isinstance(error, errors.Busy):
                raise
            failure = error
        pause = getattr(failure, "retry_after", None) or next(pauses)
        if manner.clock() - started + pause > manner.patience:
            raise failure
        yield Sleep(pause)


def wait(job: _calls.Id, timeout: float | None, manner: Manner) -> Flow[models.Job]:
    """Ask again and again until the job has ended."""
    started = manner.clock()
    while True:
        left = _calls.LONGEST_WAIT if timeout is None else max(0.0, started + timeout - manner.clock())
        seen = yield from exchange(_calls.wait(job, left), manner)
        if seen.state.is_final:
            return seen
        if timeout is not None and manner.clock() - started >= timeout:
            raise errors.WaitTimeout(seen.id, seen.state.value, timeout)


def result(job: _calls.Id, timeout: float | None, manner: Manner) -> Flow[Any]:
    """Wait for a job and give its result."""
    ended = yield from wait(job, timeout, manner)
    if ended.state is models.State.SUCCEEDED:
        return ended.result
    failure = ended.failure
    cause, message = (failure.cause, failure.message) if failure else (None, ended.job.reason)
    raise errors.JobFailed(ended.id, ended.job.path, ended.state.value, cause, message)


def understand(call: Call[T], answer: Answer, url: str) -> T:
    """Read an answer: the result, or the exception that it is."""
    what = f"{call.what} at {url}"
    if not 200 <= answer.status < 300:
        raise refusal(what, answer)
    try:
        return call.read(json.loads(answer.body) if answer.body else None)
    except ValueError as error:
        raise errors.IncompatibleHost(f"failed to {what}: {_strange(answer)} ({error})") from error


def refusal(what: str, answer: Answer) -> errors.WindlassError:
    """Make the exception of an answer that is not a success."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("code"), str):
        after = answer.retry_after
        return errors.problem(what, body, float(after) if after and after.isdigit() else None)
    return errors.IncompatibleHost(f"failed to {what}: {_strange(answer)}")


def _strange(answer: Answer) -> str:
    kind = answer.content_type or "nothing"
    return (
        f"the answer was {answer.status} with {kind}, which this version of the package does not understand; check that "
        "a Windlass host listens there and not another program, and that both are of the same version"
    )


def unavailable(call: Call[Any], manner: Manner, error: Exception) -> errors.HostUnavailable:
    """Say that nobody answers, for how long that was tried, and what to do."""
    return errors.HostUnavailable(
        f"failed to {call.what}: no host answers at {manner.url} ({error}), tried for {manner.patience:g} s; start one with "
        "`windlass serve`, or give the right address as url=… or WINDLASS_URL"
    )


def _pauses() -> Iterator[float]:
    pause = SHORTEST_PAUSE
    while True:
        # Drawn at random, so that many that lost the same host do not come back all at once.
        yield pause * random.uniform(0.75, 1.25)
        pause = min(pause * 2, LONGEST_PAUSE)
