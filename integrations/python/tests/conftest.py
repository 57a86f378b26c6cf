"""A real host with real components; `cargo xtask test python` builds both and says where they are."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from windlass import AsyncClient, Client

PATIENCE = 120.0
"""How long anything that should take a moment may take on a busy machine, in seconds."""


def built(variable: str) -> Path:
    path = os.environ.get(variable)
    if not path:
        pytest.exit(f"{variable} is not set: run these tests with `cargo xtask test python`", returncode=3)
    return Path(path)


def component(name: str) -> bytes:
    return (built("WINDLASS_COMPONENTS") / f"{name}.wasm").read_bytes()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def until(what: str, look: Callable[[], bool]) -> None:
    """Look again and again until it is so."""
    started = time.monotonic()
    while not look():
        assert time.monotonic() - started < PATIENCE, f"never seen: {what}"
        time.sleep(0.01)


def answers(url: str) -> int:
    """The status of a GET, or 0 where nobody answers."""
    try:
        return httpx.get(url, trust_env=False, timeout=PATIENCE).status_code
    except httpx.TransportError:
        return 0


class Host:
    """A host with a storage in a folder of its own; it may be stopped and started again at the same address."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready: bool = True) -> None:
        with (self.folder / "host.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    built("WINDLASS_BIN"),
                    "serve",
                    f"--storage=sqlite:{self.folder / 'windlass.db'}",
                    f"--listen=127.0.0.1:{self.port}",
                    *self._arguments,
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if ready:
            until(f"a host that is ready; it said: {self.said()}", lambda: answers(f"{self.url}/readyz") == 200)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def said(self) -> str:
        return (self.folder / "host.log").read_text()


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host for all tests that do not mind each other, with the modules `faults` and `mixed`."""
    host = Host(tmp_path_factory.mktemp("host"))
    try:
        host.start()
        with Client(host.url) as client:
            client.deploy(component("faults"), "faults")
            client.deploy(component("guests/mixed"), "mixed")
        yield host
    finally:
        host.stop()


@pytest.fixture
def own_host(tmp_path: Path) -> Iterator[Host]:
    """A host for one test, which starts it."""
    host = Host(tmp_path)
    yield host
    host.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop on a thread."""
    with start_blocking_portal() as portal:
        yield portal


class Awaited:
    """An `AsyncClient` that is called as a `Client` is, so that every test of one is a test of both."""

    def __init__(self, portal: BlockingPortal, client: AsyncClient) -> None:
        self._portal = portal
        self._client = client

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if not callable(member):
            return member

        async def call(*arguments: Any, **options: Any) -> Any:
            given = member(*arguments, **options)
            if isinstance(given, AsyncIterator):
                return [item async for item in given]
            return await given if inspect.isawaitable(given) else given

        def from_here(*arguments: Any, **options: Any) -> Any:
            return self._portal.call(lambda: call(*arguments, **options))

        return from_here


Connect = Callable[..., Client]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, portal: BlockingPortal) -> Iterator[Connect]:
    """Make clients of either kind."""
    with contextlib.ExitStack() as stack:

        def make(url: str, **options: Any) -> Client:
            if request.param == "sync":
                return stack.enter_context(Client(url, **options))
            client = AsyncClient(url, **options)
            stack.callback(lambda: portal.call(client.aclose))
            return cast(Client, Awaited(portal, client))

        yield make


@pytest.fixture
def client(connect: Connect, host: Host) -> Client:
    """A client of either kind, of the host that all share."""
    return connect(host.url)


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application as it is in production and give its address."""
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="on", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until("an application that serves", lambda: server.started or not thread.is_alive())
        assert server.started, "the application did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the application does not stop"
