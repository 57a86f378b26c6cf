"""What goes wrong is an exception of its own kind, and says what, where and what to do."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import PATIENCE, Connect, Host, built, component, free_port
from windlass import Client, State, Unique, errors


def test_a_handler_that_does_not_exist_is_named(client: Client, host: Host) -> None:
    with pytest.raises(errors.UnknownHandler) as refused:
        client.enqueue("images/thumbnal")
    text = str(refused.value)
    assert f"failed to enqueue images/thumbnal at {host.url}" in text
    assert "windlass deploy" in text
    assert (refused.value.given_code, refused.value.status) == ("unknown-handler", 422)


def test_what_is_asked_for_wrongly_is_refused_with_what_was_expected(client: Client) -> None:
    with pytest.raises(errors.PayloadMismatch, match="integer"):
        client.enqueue("mixed/add", {"a": 1, "b": "two"})
    with pytest.raises(errors.InvalidField, match="priority"):
        client.enqueue("mixed/add", {"a": 1, "b": 2}, priority=10)
    with pytest.raises(errors.Problem, match="handler path"):
        client.enqueue("mixed")
    with pytest.raises(errors.Problem, match="262144"):
        client.enqueue("faults/endless", "x" * 300_000)
    with pytest.raises(errors.NotFound, match="there is no job"):
        client.get(uuid.uuid4())
    with pytest.raises(errors.BadRequest, match="1 to 1000"):
        client.jobs(limit=1001)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.enqueue("mixed/add", float("nan")), "not JSON compliant"),
        (lambda client: client.enqueue("mixed/add", "\ud800"), "not Unicode"),
        (lambda client: client.enqueue("mixed/add", tags="one"), "tags: expected a list"),
        (lambda client: client.enqueue("mixed/add", timeout=-1), "no span of time"),
        (lambda client: client.get("mixed/add"), "is not a job id"),
        (lambda client: client.module(".."), "is no name"),
    ],
)
def test_what_cannot_be_sent_is_refused_here(client: Client, call: Callable[[Client], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(client)
    with pytest.raises(TypeError, match="a set is not JSON"):
        client.enqueue("mixed/add", {1, 2})


@pytest.mark.parametrize("url", ["7878", "ftp://localhost", "http://", "http://a@b:1", "http://localhost:7878?x=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url: "):
        Client(url)


def test_a_host_that_is_away_is_waited_for_and_then_named(connect: Connect) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    client = connect(url, patience=0.3)
    started = time.monotonic()
    with pytest.raises(errors.HostUnavailable) as away:
        client.counts()
    # The next try would come after the patience has ended, so it is not waited for to its end.
    assert time.monotonic() - started >= 0.05
    for words in (url, "windlass serve", "WINDLASS_URL", "tried for 0.3 s"):
        assert words in str(away.value)


def test_a_host_that_starts_while_it_is_asked_for_answers(connect: Connect, own_host: Host) -> None:
    client = connect(own_host.url, patience=PATIENCE)
    starting = threading.Thread(target=own_host.start)
    starting.start()
    assert client.counts().get("failed", 0) == 0
    starting.join()


def test_an_answer_that_was_lost_makes_no_second_job(connect: Connect, host: Host) -> None:
    """Whoever is between here and the host passes the request on and loses the answer, once."""
    losses: list[int] = []

    def lossy(request: httpx.Request) -> httpx.Response:
        passed_on = httpx.Request(request.method, request.url, content=request.content, headers=request.headers)
        with httpx.Client() as real:
            response = real.send(passed_on)
        if not losses:
            losses.append(response.status_code)
            raise httpx.ReadError("connection reset", request=request)
        return httpx.Response(
            response.status_code, content=response.content, headers={"content-type": "application/json"}
        )

    client = connect(host.url, transport=httpx.MockTransport(lossy))
    job = client.enqueue("faults/noop")
    assert losses == [201]
    assert job.existing
    # What may do harm when it is done twice is not sent again.
    losses.clear()
    client.wait(job.id, PATIENCE)
    losses.clear()
    with pytest.raises(errors.HostUnavailable, match="connection reset"):
        client.requeue(job.id)
    assert losses == [200]
    assert client.wait(job.id, PATIENCE).job.run == 2


def test_a_wait_outlives_a_restart_of_the_host(connect: Connect, own_host: Host) -> None:
    own_host.start()
    client = connect(own_host.url, patience=PATIENCE)
    client.deploy(component("guests/mixed"), "mixed")
    client.pause_queue("default")
    job = client.enqueue("mixed/add", {"a": 1, "b": 1}).id

    def restart() -> None:
        own_host.stop()
        own_host.start()
        with Client(own_host.url) as other:
            other.resume_queue("default")

    restarting = threading.Thread(target=restart)
    restarting.start()
    assert client.wait(job, PATIENCE).state is State.SUCCEEDED
    restarting.join()


def test_tokens_are_asked_for_and_roles_are_named(connect: Connect, tmp_path: Path) -> None:
    made = subprocess.run(
        [built("WINDLASS_BIN"), "token", "new", "--role", "viewer", "--name", "eyes"],
        check=True,
        capture_output=True,
        text=True,
    )
    token = next(word for line in made.stdout.splitlines() for word in line.split() if word.startswith("wl_"))
    settings = made.stdout[made.stdout.index("[[access.tokens]]") :] if "[[access" in made.stdout else made.stderr
    (tmp_path / "windlass.toml").write_text(settings[settings.index("[[access.tokens]]") :])
    host = Host(tmp_path)
    try:
        host.start()
        with pytest.raises(errors.Unauthenticated, match="WINDLASS_TOKEN"):
            connect(host.url).counts()
        with pytest.raises(errors.Unauthenticated, match="not known"):
            connect(host.url, token="wl_wrong").counts()
        viewer = connect(host.url, token=token)
        assert viewer.counts() is not None
        with pytest.raises(errors.RoleTooLow, match="operator"):
            viewer.enqueue("faults/noop")
    finally:
        host.stop()
    with pytest.raises(ValueError, match="token: "):
        connect(host.url, token="wl_a b")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status_code": 200, "text": "<html>Welcome to nginx"}, "200 with text/plain"),
        ({"status_code": 404, "html": "<html>Not Found"}, "404 with text/html"),
        ({"status_code": 200, "json": {"enqueued": "many"}}, "expected int and not 'many'"),
        ({"status_code": 302, "headers": {"location": "https://login.example"}}, "302 with nothing"),
    ],
)
def test_another_program_or_version_is_told_from_a_host(connect: Connect, answer: dict[str, Any], words: str) -> None:
    client = connect("http://localhost", transport=httpx.MockTransport(lambda _: httpx.Response(**answer)))
    with pytest.raises(errors.IncompatibleHost, match=words) as strange:
        client.counts()
    assert "same version" in str(strange.value)


def test_a_host_that_does_not_know_a_field_may_be_older(connect: Connect) -> None:
    body = {"code": "invalid-field", "title": "t", "status": 422, "detail": "unknown field `limit_key`"}
    client = connect("http://localhost", transport=httpx.MockTransport(lambda _: httpx.Response(422, json=body)))
    with pytest.raises(errors.InvalidField, match="may be older than this package"):
        client.enqueue("a/b")


def test_a_code_that_is_not_known_yet_is_a_problem_all_the_same(connect: Connect) -> None:
    body = {"code": "too-hot", "title": "t", "status": 418, "detail": "let it cool"}
    client = connect("http://localhost", transport=httpx.MockTransport(lambda _: httpx.Response(418, json=body)))
    with pytest.raises(errors.Problem, match="let it cool") as problem:
        client.counts()
    assert problem.value.given_code == "too-hot"


def test_every_code_of_the_api_has_an_exception() -> None:
    source = Path(__file__).parents[3] / "host/api/src/problem.rs"
    text = source.read_text()
    variants = text[text.index("pub enum ProblemCode") : text.index("impl ProblemCode")]
    names = [
        line.strip().rstrip(",")
        for line in variants.splitlines()
        if line.startswith("    ") and line.strip()[0].isupper()
    ]
    codes = {"".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-") for name in names}
    assert len(codes) >= 15
    assert codes <= {kind.code for kind in errors.Problem.__subclasses__()}


def test_a_job_that_stands_in_the_way_is_named(connect: Connect) -> None:
    job = uuid.uuid4()
    body = {"code": "not-unique", "title": "t", "status": 409, "detail": "another one", "job": str(job)}
    client = connect("http://localhost", transport=httpx.MockTransport(lambda _: httpx.Response(409, json=body)))
    with pytest.raises(errors.NotUnique, match="another one") as refused:
        client.enqueue("a/b", unique=Unique())
    assert refused.value.job == job


def test_a_closed_client_says_so(connect: Connect, host: Host) -> None:
    client = connect(host.url)
    getattr(client, "close" if isinstance(client, Client) else "aclose")()
    with pytest.raises(errors.NotStarted, match="the client is closed"):
        client.counts()
