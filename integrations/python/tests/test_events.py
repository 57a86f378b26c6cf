"""Events are followed across lost connections."""

from __future__ import annotations

import signal
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal

from conftest import PATIENCE, Host, component
from windlass import AsyncClient, Client, Event, State, errors


def test_a_watched_job_is_told_of_and_others_are_not(host: Host) -> None:
    with Client(host.url) as client:
        job = client.schedule("faults/noop", delay=3600).id
        other = client.schedule("faults/noop", delay=3600).id
        with client.events(job) as events:
            client.delete(other)
            client.delete(job)
            told = {}
            for event in events:
                told[event.kind] = event
                if event.kind == "job" and client.get(job).state is State.DELETED and "counts" in told:
                    break
            assert told["job"].job == job
            assert told["job"].id
            assert State.DELETED in told["counts"].states


def test_the_async_client_follows_too(host: Host, portal: BlockingPortal) -> None:
    async def follow() -> Event:
        async with AsyncClient(host.url) as client:
            job = (await client.enqueue("faults/noop")).id
            async with client.events(job) as events:
                async for event in events:
                    if event.kind == "job" and (await client.get(job)).state.is_final:
                        return event
        raise AssertionError("the stream ended")

    assert portal.call(follow).kind == "job"


def test_what_is_missed_while_the_host_is_away_is_told(own_host: Host) -> None:
    own_host.start()
    with Client(own_host.url, patience=PATIENCE) as client:
        client.deploy(component("faults"), "faults")
        with client.events() as events:
            heard = iter(events)
            next(heard)
            own_host.stop(signal.SIGKILL)
            own_host.start()
            assert any(event.kind == "missed" for event in heard)


class Script(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A stream that says something and breaks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Any:
        yield self._text.encode()
        raise httpx.ReadError("broken")


def test_whoever_comes_back_says_what_it_heard_last() -> None:
    asked: list[tuple[str, str | None]] = []
    streams = [
        "retry:2000\nid:a-1\n: following\n\n",
        ': still here\n\nid: a-2\r\nevent: counts\r\ndata: {"states":\ndata: ["failed"]}\r\n\r\nevent: queues\ndata: {}',
        "id: a-3\nevent: missed\ndata: {}\n\n",
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.query.decode(), request.headers.get("last-event-id")))
        return httpx.Response(200, stream=Script(streams[len(asked) - 1]))

    with Client("http://localhost", transport=httpx.MockTransport(answer)) as client, client.events() as events:
        heard = iter(events)
        # What broke off before its end is no event.
        assert [next(heard) for _ in range(2)] == [Event("counts", "a-2", (State.FAILED,)), Event("missed", "a-3")]
    assert asked == [("", None), ("", "a-1"), ("", "a-2")]


def test_a_refusal_ends_it_and_a_busy_host_is_asked_again() -> None:
    problems = [("busy", 503), ("storage-unavailable", 503), ("role-too-low", 403)]

    def answer(_: httpx.Request) -> httpx.Response:
        code, status = problems.pop(0)
        return httpx.Response(status, json={"code": code, "title": "", "status": status, "detail": "no"})

    client = Client("http://localhost", transport=httpx.MockTransport(answer))
    with client, pytest.raises(errors.RoleTooLow), client.events():
        pass
    assert problems == []


def test_a_host_that_stays_away_is_named() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = Client("http://localhost", patience=0.2, transport=httpx.MockTransport(refuse))
    with (
        client,
        pytest.raises(errors.HostUnavailable, match="failed to follow events: no host answers"),
        client.events(),
    ):
        pass
