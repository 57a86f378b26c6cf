"""A host beside the application, for development: started with it, started again when it ends, stopped with it.

In production a host is a service of its own, which goes on while the application restarts.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import functools
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import anyio
import anyio.to_thread
import httpx

from . import _http
from .errors import WorkerFailed

LOGGER = logging.getLogger("windlass.worker")

LOOK = 0.05
"""How often to look whether the host is ready, in seconds."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Before the host is started again, in seconds: doubling from the first to the second."""

SETTLED = 60.0
"""A host that ran for so many seconds has not ended because of how it was started."""

KEPT_LINES = 20
"""How many of its last lines are told where it fails."""


@dataclass(frozen=True)
class Worker:
    """How `windlass serve` is started. What is absent comes from its `windlass.toml` and its own defaults."""

    storage: str | None = None
    """Where jobs are kept, such as `sqlite:jobs.db`."""
    config: str | os.PathLike[str] | None = None
    """The settings, instead of `windlass.toml` in the folder that the application runs in."""
    modules: str | os.PathLike[str] | None = None
    """A folder whose components are deployed as they appear there."""
    arguments: Sequence[str] = ()
    """More arguments of `windlass serve`, such as `["--sync-slots", "2"]`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of the application."""
    program: str | os.PathLike[str] = "windlass"
    """The program; looked for in PATH where it is a bare name."""
    start_timeout: float = 60.0
    """For how many seconds it may get ready."""
    stop_timeout: float = 35.0
    """For how many seconds it may let its jobs end: by itself it takes 30 at most."""

    @contextlib.contextmanager
    def running(self, url: str | None = None) -> Iterator[None]:
        """Run it at an address of this machine for as long as the context lasts.

        `url` is by default what a client takes: WINDLASS_URL, or http://127.0.0.1:7878.

        Raises:
            WorkerFailed: it does not become ready, or something listens there already.

        """
        supervisor = Supervisor(self, _http.Place.of(url, None, 0))
        try:
            supervisor.start()
            yield
        finally:
            supervisor.stop()

    @contextlib.asynccontextmanager
    async def running_async(self, url: str | None = None) -> AsyncIterator[None]:
        """Do the same without blocking the event loop."""
        supervisor = Supervisor(self, _http.Place.of(url, None, 0))
        try:
            await anyio.to_thread.run_sync(supervisor.start, abandon_on_cancel=True)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(supervisor.stop)

    def command(self, listen: str) -> list[str]:
        """Give the command line.

        Raises:
            WorkerFailed: there is no such program.

        """
        program = shutil.which(self.program)
        if program is None:
            raise WorkerFailed(
                f"failed to start a host: there is no program `{os.fspath(self.program)}`; put the folder of the built "
                "`windlass` into PATH, or name the program: Worker(program=…)"
            )
        command = [program, "serve", "--listen", listen]
        for flag, value in (("--storage", self.storage), ("--config", self.config), ("--modules", self.modules)):
            if value is not None:
                command += [flag, os.fspath(value)]
        return [*command, *self.arguments]


class Supervisor:
    """Keeps one host running, with threads of its own, so that no event loop has to turn for it."""

    def __init__(self, worker: Worker, place: _http.Place) -> None:
        if not place.is_local or not place.url.startswith("http://"):
            raise ValueError(
                f"url: a host that runs beside the application listens on this machine, such as {_http.DEFAULT_URL}, and not "
                f"on {place.url}"
            )
        url = httpx.URL(place.url)
        host = "127.0.0.1" if url.host == "localhost" else url.host
        self._listen = f"[{host}]:{url.port or 80}" if ":" in host else f"{host}:{url.port or 80}"
        self._worker = worker
        self._url = place.url
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            WorkerFailed: it does not become ready, or something listens there already.

        """
        if self._answers("/healthz") is not None:
            raise WorkerFailed(
                f"failed to start a host at {self._url}: something listens there already; stop it, or use it and start none"
            )
        process = self._spawn()
        try:
            self._until_ready(process)
        except WorkerFailed:
            self.stop()
            raise
        threading.Thread(target=self._watch, args=(process,), name="windlass-worker", daemon=True).start()

    def stop(self) -> None:
        """Ask it to stop, wait until it has, and end it the hard way where it takes too long."""
        with self._lock:
            self._stopping.set()
            process = self._process
        atexit.unregister(self.stop)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(self._worker.stop_timeout)
        except subprocess.TimeoutExpired:
            LOGGER.error("the host did not stop within %g s and is killed", self._worker.stop_timeout)
            process.kill()
            process.wait()

    def _spawn(self) -> subprocess.Popen[str]:
        command = self._worker.command(self._listen)
        with self._lock:
            if self._stopping.is_set():
                raise WorkerFailed("the host was stopped while it started")
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._worker.environment},
                    # Ctrl-C is for the application, which stops its host when it has stopped itself.
                    start_new_session=True,
                    encoding="utf-8",
                    errors="replace",
                )
            except OSError as error:
                raise WorkerFailed(f"failed to start a host: `{command[0]}` does not run: {error}") from error
            self._process = process
        atexit.register(self.stop)
        assert process.stdout is not None, "it was asked for"
        pump = functools.partial(self._pump, process.stdout)
        threading.Thread(target=pump, name="windlass-worker-output", daemon=True).start()
        return process

    def _pump(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._lines.append(line.rstrip("\n"))
                LOGGER.info("%s", line.rstrip("\n"))

    def _until_ready(self, process: subprocess.Popen[str]) -> None:
        started = time.monotonic()
        while self._answers("/readyz") != 200:
            if process.poll() is not None:
                raise WorkerFailed(
                    f"failed to start a host: it ended with {process.returncode}; it said:\n{self._said()}"
                )
            if time.monotonic() - started > self._worker.start_timeout:
                seconds = f"{self._worker.start_timeout:g}"
                raise WorkerFailed(
                    f"failed to start a host: it is not ready after {seconds} s; it said:\n{self._said()}"
                )
            if self._stopping.wait(LOOK):
                raise WorkerFailed("the host was stopped while it started")

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """Start it again whenever it ends, until it is to stop."""
        pause = SHORTEST_PAUSE
        started = time.monotonic()
        while True:
            code = process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > SETTLED:
                pause = SHORTEST_PAUSE
            LOGGER.error("the host ended with %s; starting it again in %g s; it said:\n%s", code, pause, self._said())
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE)
            started = time.monotonic()
            try:
                process = self._spawn()
            except WorkerFailed as error:
                # The program was there before: it may be being built anew.
                LOGGER.error("%s", error)

    def _answers(self, path: str) -> int | None:
        try:
            return httpx.get(f"{self._url}{path}", trust_env=False, timeout=5.0).status_code
        except httpx.TransportError as error:
            return None if isinstance(error, httpx.ConnectError) else 0

    def _said(self) -> str:
        return "\n".join(self._lines) or "(nothing)"
