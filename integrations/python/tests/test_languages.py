"""Handlers in Rust, Python, JavaScript and the text format on one host, side by side; and what those that are no Rust do."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PATIENCE, Host, component
from windlass import After, Client, JobRequest, State, errors

MODULES = ("faults", "python-text", "python-fetch", "js-markdown", "wat-echo")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a host with a module of each language."""
    folder = tmp_path_factory.mktemp("languages")
    # Compiling an interpreter takes seconds, and on a busy machine minutes.
    settings = '[compile]\ntimeout = "8min"\n[module.python-fetch]\nhttp = ["127.0.0.1"]\nprivate_networks = true\n'
    (folder / "windlass.toml").write_text(settings)
    host = Host(folder, "--sync-slots", "4")
    try:
        host.start()
        with Client(host.url) as client:
            for module in MODULES:
                client.deploy(component(module))
            yield client
    finally:
        host.stop()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of pages of 1, 2 and 3 bytes, at `/1` and so on."""
    folder = tmp_path_factory.mktemp("pages")
    for size in range(1, 4):
        (folder / str(size)).write_bytes(b"x" * size)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=Path(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join(PATIENCE)
    server.server_close()


def test_handlers_of_all_languages_run_side_by_side_on_one_host(client: Client, pages: str) -> None:
    asked = {
        "faults/noop": None,
        "python-text/statistics": {"text": "a b a", "top": 1},
        "python-fetch/fetch": {"urls": [f"{pages}/1"]},
        "js-markdown/render": {"markdown": "# A"},
        "wat-echo/echo": {"a": ["b"]},
    }
    made = client.enqueue_many([JobRequest(handler, payload) for _ in range(10) for handler, payload in asked.items()])
    results = [client.result(job.id, PATIENCE) for job in made]
    expected = [
        None,
        {"lines": 1, "words": 3, "characters": 5, "frequent": {"a": 2}},
        [{"url": f"{pages}/1", "status": 200, "size": 1, "problem": None}],
        {"html": "<h1>A</h1>\n", "headings": ["A"]},
        {"a": ["b"]},
    ]
    assert results == expected * 10
    for handler, job in zip(asked, made, strict=False):
        usage = client.get(job.id).job.usage
        assert usage is not None
        print(f"{handler}: {usage.wall_us} µs, {usage.fuel} fuel, {usage.peak_memory_bytes >> 10} KiB")  # noqa: T201


def test_an_async_handler_in_python_waits_for_many_things_at_once(client: Client, pages: str) -> None:
    (version,) = client.module("python-fetch").versions
    assert {handler.mode for handler in version.handlers} == {"async"}
    urls = [f"{pages}/{size}" for size in (3, 1, 2)] + [f"{pages}/none", "http://example.com/", "ftp://a"]
    fetched = client.result(client.enqueue("python-fetch/fetch", {"urls": urls}).id, PATIENCE)
    assert [(page["status"], page["size"]) for page in fetched[:3]] == [(200, 3), (200, 1), (200, 2)]
    assert [page["status"] for page in fetched[3:]] == [404, None, None]
    assert "denied" in fetched[4]["problem"]
    assert "expected http" in fetched[5]["problem"]
    # More than there are threads; one after the other they would take 25 seconds.
    made = client.enqueue_many([JobRequest("python-fetch/pause", 0.5) for _ in range(50)])
    ended = [client.wait(job.id, PATIENCE) for job in made]
    assert all(job.state is State.SUCCEEDED for job in ended)


def test_what_was_begun_and_is_no_longer_wanted_does_no_harm(client: Client, pages: str) -> None:
    asked = [f"{pages}/none", f"{pages}/2", f"{pages}/3"]
    assert client.result(client.enqueue("python-fetch/first", asked).id, PATIENCE) in asked[1:]
    job = client.wait(client.enqueue("python-fetch/first", [f"{pages}/none"] * 3, max_attempts=1).id, PATIENCE)
    assert job.failure is not None
    assert (job.failure.code, job.failure.message) == ("http", "expected a status of 200 to 299, not 404")


def test_a_handler_in_javascript_has_logs_checkpoints_and_follow_up_jobs(client: Client) -> None:
    text = "\n\n".join(f"## Part {number}\n\nSome *text*." for number in range(100))
    job = client.wait(client.enqueue("js-markdown/render", {"markdown": text, "remember": True}).id, PATIENCE)
    assert job.state is State.SUCCEEDED, job.failure
    assert job.result is not None
    assert job.result["headings"] == [f"Part {number}" for number in range(100)]
    assert [
        (line.level, line.message, line.fields["headings"]) for line in client.logs(job.id).items if line.fields
    ] == [("info", "rendered", 100)]
    assert job.job.progress is not None
    (follow_up,) = client.jobs(tag="remembered", module="js-markdown").items
    ended = client.wait(follow_up.id, PATIENCE)
    assert (ended.state, ended.job.attempt, len(ended.result)) == (State.SUCCEEDED, 2, 100)
    failures = [line.failure for line in ended.history if line.failure]
    assert [(failure.code, failure.details) for failure in failures] == [("not-yet", {"headings": 100})]


def test_a_handler_in_javascript_reads_what_the_jobs_gave_that_it_continues(client: Client) -> None:
    pages = [client.enqueue("js-markdown/render", {"markdown": text}).id for text in ("# A\n\n# B", "# C")]
    assert client.result(client.enqueue("js-markdown/count", after=After(pages)).id, PATIENCE) == 3
    # One that a handler asks for, to continue itself.
    made = client.enqueue("js-markdown/render", {"markdown": "# A", "remember": True}).id
    assert client.wait(made, PATIENCE).state is State.SUCCEEDED
    details = [client.get(job.id) for job in client.jobs(tag="counted", module="js-markdown").items]
    (counted,) = (detail for detail in details if detail.after and detail.after.jobs == [made])
    assert (client.result(counted.job.id, PATIENCE), counted.limit_key) == (1, "counts")


def test_an_exception_of_javascript_fails_the_job_with_where_it_was(client: Client) -> None:
    job = client.wait(client.enqueue("js-markdown/broken", {}).id, PATIENCE)
    assert job.state is State.FAILED
    assert job.failure is not None
    assert (job.failure.code, job.failure.message.partition(":")[0]) == ("error", "TypeError")
    assert "/handlers.js:" in job.failure.details["stack"]
    with pytest.raises(errors.PayloadMismatch, match="markdown"):
        client.enqueue("js-markdown/render", {})
