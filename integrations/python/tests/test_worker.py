"""A host beside the application is started, watched over and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import BlockingPortal

from apps import MAKERS
from conftest import PATIENCE, answers, built, component, free_port, served, until
from windlass import Client, State, Worker, errors


@pytest.fixture
def url() -> str:
    """Where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def worker(folder: Path, **options: object) -> Worker:
    """A host whose files are in a folder."""
    return Worker(
        storage=f"sqlite:{folder / 'jobs.db'}",
        modules=folder / "modules",
        program=built("WINDLASS_BIN"),
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module that is to be deployed."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "faults.wasm").write_bytes(component("faults"))
    return tmp_path


def add_modules(client: Client) -> None:
    """See that the folder's module is deployed, and deploy one more."""
    until("the module", lambda: [module.name for module in client.modules()] == ["faults"])
    client.deploy(component("guests/mixed"), "mixed")


@pytest.mark.parametrize("framework", sorted(MAKERS))
def test_it_is_there_with_the_application_and_gone_after_it(framework: str, url: str, folder: Path) -> None:
    with served(MAKERS[framework](url, worker=worker(folder))) as application, Client(url) as client:
        add_modules(client)
        job = httpx.post(f"{application}/sums/1/2").raise_for_status().json()
        assert client.result(job, PATIENCE) == 3
        (server,) = client.servers()
    assert answers(f"{url}/healthz") == 0
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_one_that_is_killed_is_started_again_and_goes_on(url: str, folder: Path) -> None:
    with worker(folder).running(url), Client(url, patience=PATIENCE) as client:
        add_modules(client)
        job = client.schedule("mixed/add", {"a": 1, "b": 1}, delay=0.5).id
        os.kill(client.servers()[0].pid, signal.SIGKILL)
        assert client.wait(job, PATIENCE).state is State.SUCCEEDED


def test_a_host_that_does_not_start_is_told_with_what_it_said(url: str, folder: Path, portal: BlockingPortal) -> None:
    broken = worker(folder, arguments=["--sync-slots", "many"])
    with pytest.raises(errors.WorkerFailed, match=r"(?s)ended with 2; it said:.*many"), broken.running(url):
        pass

    async def start() -> None:
        async with broken.running_async(url):
            raise AssertionError("it has started")

    with pytest.raises(errors.WorkerFailed, match="many"):
        portal.call(start)


def test_one_that_never_gets_ready_is_given_up(url: str) -> None:
    away = Worker(storage="redis://127.0.0.1:9", program=built("WINDLASS_BIN"), start_timeout=1.0)
    with pytest.raises(errors.WorkerFailed, match="not ready after 1 s"), away.running(url):
        pass
    assert answers(f"{url}/healthz") == 0


def test_a_missing_program_and_a_taken_port_are_named(url: str, folder: Path) -> None:
    missing = Worker(program="no-such-windlass")
    with pytest.raises(errors.WorkerFailed, match="there is no program `no-such-windlass`"), missing.running(url):
        pass
    with worker(folder).running(url):
        with pytest.raises(errors.WorkerFailed, match="something listens there already"), worker(folder).running(url):
            pass
        assert answers(f"{url}/readyz") == 200
    with pytest.raises(ValueError, match="listens on this machine"), Worker().running("http://jobs.example:7878"):
        pass


def test_an_application_that_ends_without_a_shutdown_leaves_no_host(url: str, folder: Path) -> None:
    script = (
        "import sys; from windlass import Worker\n"
        f"context = Worker(storage='sqlite:jobs.db', program={str(built('WINDLASS_BIN'))!r}).running({url!r})\n"
        "context.__enter__(); print('ready', flush=True); sys.exit(3)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=folder, timeout=PATIENCE, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (3, "ready\n"), ended.stderr
    assert answers(f"{url}/healthz") == 0


def test_its_threads_end_with_it(url: str, folder: Path) -> None:
    before = threading.active_count()
    with worker(folder).running(url):
        assert threading.active_count() > before
    until("no more threads", lambda: threading.active_count() <= before)
