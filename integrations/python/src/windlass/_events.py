"""Server-sent events: how lines become events, and how one goes on after a lost connection; nothing here listens."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

from . import _calls, _flow, _json, errors, models
from ._ids import job_id

SILENCE = 45.0
"""A stream that says nothing for so many seconds is taken for lost: the host sends a comment at least every 15."""

LONGEST_PAUSE = 10.0
"""Between two tries to come back, in seconds."""


class Following:
    """What is known of a stream that is followed over several connections."""

    def __init__(self, jobs: Sequence[_calls.Id], manner: _flow.Manner) -> None:
        self.query = [("job", str(job_id(job))) for job in jobs]
        self._manner = manner
        self._last_id: str | None = None
        self._pause = _flow.SHORTEST_PAUSE
        self._lost_at: float | None = None
        self._kind = ""
        self._data: list[str] = []

    @property
    def call(self) -> _calls.Call[None]:
        """The request, for messages."""
        return _calls.Call("follow events", "GET", "events", lambda _: None, tuple(self.query))

    def headers(self) -> dict[str, str]:
        """Of the next connection: what was heard last, so that the host tells what was missed."""
        headers = {"accept": "text/event-stream", "cache-control": "no-cache"}
        if self._last_id is not None:
            headers["last-event-id"] = self._last_id
        return headers

    def begun(self) -> None:
        """There is a connection."""
        self._kind, self._data = "", []

    def feed(self, line: str) -> models.Event | None:
        """Take a line; give the event that it ends."""
        # Something was heard, so the next loss is a new one.
        self._pause, self._lost_at = _flow.SHORTEST_PAUSE, None
        if line == "":
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._last_id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None

    def _end(self) -> models.Event | None:
        kind, data = self._kind, "\n".join(self._data)
        self._kind, self._data = "", []
        if not data:
            # An id alone, or a comment.
            return None
        try:
            told = _json.read(data)
            states = tuple(models.State(state) for state in told.get("states", ()))
            job = uuid.UUID(told["id"]) if kind == "job" else None
        except (ValueError, AttributeError, KeyError) as error:
            raise errors.IncompatibleHost(
                f"failed to follow events at {self._manner.url}: the event `{kind}` with {data!r:.100} is not understood "
                f"({error}); bring host and package to the same version"
            ) from error
        return models.Event(kind, self._last_id, states, job)

    def lost(self, error: Exception) -> float:
        """There is no connection, or none any more. Gives after how many seconds to try again.

        Raises:
            HostUnavailable: that has gone on for longer than the client is patient.

        """
        now = self._manner.clock()
        if self._lost_at is None:
            self._lost_at = now
        pause = self._pause * random.uniform(0.75, 1.25)
        if now - self._lost_at + pause > self._manner.patience:
            if isinstance(error, errors.WindlassError):
                raise error
            raise _flow.unavailable(self.call, self._manner, error)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return pause

    def refused(self, answer: _flow.Answer) -> float:
        """The host did not give a stream. Gives after how many seconds to try again, where it may be.

        Raises:
            WindlassError: it will not give one however often it is asked.

        """
        error = _flow.refusal(f"follow events at {self._manner.url}", answer)
        if isinstance(error, errors.Busy | errors.StorageUnavailable):
            return self.lost(error)
        raise error
