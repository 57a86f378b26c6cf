"""The plugins of both frameworks: the client in routes, start-up and shutdown, the dashboard under a prefix."""

from __future__ import annotations

import contextlib
import json
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import fastapi
import httpx
import litestar
import pytest
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient as StarletteClient

from apps import KEY, MAKERS, PREFIX, Make
from conftest import PATIENCE, Host, component, served, until
from windlass import AsyncClient, Client, errors
from windlass._proxy import is_foreign, refusal
from windlass.fastapi import Windlass, WindlassClient
from windlass.litestar import Dashboard, WindlassPlugin
from windlass.testing import AsyncFakeClient


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest) -> Make:
    """Make the application with each framework."""
    return MAKERS[request.param]


@pytest.fixture
def application(make: Make, host: Host) -> Iterator[str]:
    """The address of the application, served beside the host that all share."""
    with served(make(host.url)) as url:
        yield url


def dashboard(application: str) -> httpx.Client:
    """Somebody who may see the dashboard."""
    return httpx.Client(base_url=f"{application}{PREFIX}/", headers=KEY, trust_env=False, timeout=PATIENCE)


def test_a_route_enqueues_with_the_client_that_it_is_given(application: str, host: Host) -> None:
    job = uuid.UUID(httpx.post(f"{application}/sums/20/22").raise_for_status().json())
    with Client(host.url) as client:
        assert client.result(job, PATIENCE) == 42


def test_nobody_sees_the_dashboard_or_its_api_without_being_let_in(application: str) -> None:
    for path in ("", "/", "/jobs", "/api/v1/jobs", "/api/v1/events", "/assets/none", "/metrics", "//api/v1/jobs"):
        assert httpx.get(f"{application}{PREFIX}{path}").status_code == 401, path
    assert httpx.post(f"{application}{PREFIX}/api/v1/jobs", json={"handler": "faults/noop"}).status_code == 401


def test_the_dashboard_finds_its_files_and_its_api_below_the_prefix(application: str) -> None:
    bare = httpx.get(f"{application}{PREFIX}?state=failed", headers=KEY)
    assert (bare.status_code, bare.headers["location"]) == (307, "jobs/?state=failed&")
    with dashboard(application) as browser:
        page = browser.get("jobs/some-id", headers={"accept": "text/html"})
        # Relative to the page itself, and so below the prefix whatever that is.
        assert '<base href="../">' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        script = page.text.split('<script type="module" src="')[1].split('"')[0]
        with browser.stream("GET", script, headers={"accept-encoding": "br"}) as file:
            assert file.status_code == 200
            assert file.headers["content-encoding"] == "br"
            assert len(b"".join(file.iter_raw())) == int(file.headers["content-length"])
            tag = file.headers["etag"]
        assert browser.get(script, headers={"accept-encoding": "br", "if-none-match": tag}).status_code == 304
        assert "content-encoding" not in browser.get(script, headers={"accept-encoding": "identity"}).headers
        assert browser.head("").status_code == 200


def without_slashes(app: Any) -> Any:
    """What some applications have around them: no path ends with a slash."""

    async def taken(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            paths = {"path": scope["path"].rstrip("/") or "/", "raw_path": scope["raw_path"].rstrip(b"/") or b"/"}
            scope = {**scope, **paths}
        await app(scope, receive, send)

    return taken


@pytest.mark.parametrize("around", [lambda app: app, without_slashes], ids=["as it is", "without slashes"])
def test_the_dashboard_is_found_with_and_without_a_slash(make: Make, host: Host, around: Callable[[Any], Any]) -> None:
    with served(around(make(host.url))) as url:
        for path in (PREFIX, f"{PREFIX}/", f"{PREFIX}?a=b", f"{PREFIX}/?a=b"):
            found = httpx.get(url + path, headers=KEY, follow_redirects=True)
            # Where the page's files are beside it.
            assert (found.status_code, found.url.path) == (200, f"{PREFIX}/"), path
            assert '<base href="./">' in found.text
            assert ("a", "b") in found.url.params.multi_items() or "a=b" not in path
            script = found.text.split('<script type="module" src="')[1].split('"')[0]
            assert httpx.get(found.url.join(script), headers=KEY).status_code == 200


def test_the_dashboards_api_works_through_the_proxy(application: str) -> None:
    with dashboard(application) as browser:
        request = {"handler": "faults/flaky", "payload": {}, "max_attempts": 1}
        job = browser.post("api/v1/jobs", json=request).json()["id"]
        ended = browser.get(f"api/v1/jobs/{job}/wait", params={"timeout_ms": "30000"}).json()
        assert ended["job"]["state"] == "failed"
        assert browser.post(f"api/v1/jobs/{job}/requeue").json()["state"] == "enqueued"
        browser.get(f"api/v1/jobs/{job}/wait", params={"timeout_ms": "30000"})
        assert browser.delete(f"api/v1/jobs/{job}").json()["state"] == "deleted"
        refused = browser.get(f"api/v1/jobs/{uuid.uuid4()}")
        assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
        recurring = {"schedule": "@daily", "job": {"handler": "faults/noop"}}
        assert browser.put(f"api/v1/recurring/r-{job}", json=recurring).status_code == 200
        assert browser.delete(f"api/v1/recurring/r-{job}").status_code == 204
        # An upload is streamed: it is longer than what is read at once. It has been compiled already.
        uploaded = browser.post("api/v1/modules", params={"name": "uploaded"}, content=component("faults"))
        assert uploaded.json()["module"] == "uploaded"
        assert browser.get("api/v1/session").json() == {"required": False, "role": "admin"}


def test_events_stream_through_the_proxy(application: str, host: Host) -> None:
    with Client(host.url) as client, dashboard(application) as browser:
        job = client.schedule("faults/noop", delay=3600).id
        with browser.stream("GET", "api/v1/events", params={"job": str(job)}) as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            lines = stream.iter_lines()
            # It has come before anything ends.
            assert next(lines).startswith(("id:", "retry:", ":"))
            client.delete(job)
            assert any(json.loads(line.removeprefix("data:")) == {"id": str(job)} for line in lines if "data:" in line)
        # The host knows that nobody listens any more.
        until("that the stream has ended there too", lambda: "windlass_event_readers 0" in browser.get("metrics").text)


def test_requests_of_other_sites_change_nothing(application: str, host: Host) -> None:
    with dashboard(application) as browser:
        own = httpx.URL(application).netloc.decode()
        foreign = [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
        ]
        for headers in foreign:
            assert browser.post("api/v1/jobs", json={"handler": "faults/noop"}, headers=headers).status_code == 403, (
                headers
            )
        for headers in ({"sec-fetch-site": "same-origin", "origin": f"http://{own}"}, {"origin": f"http://{own}"}):
            made = browser.post("api/v1/jobs", json={"handler": "faults/noop"}, headers=headers)
            assert made.status_code == 201, made.text


def test_the_host_gets_a_request_of_the_applications_own(application: str) -> None:
    """It is open to its own machine only, and would refuse what tells of a proxy or of another name."""
    headers = {
        "x-forwarded-for": "203.0.113.9",
        "forwarded": "for=x",
        "via": "1.1 x",
        "host": "jobs.example",
        "cookie": "a=b",
    }
    with dashboard(application) as browser:
        assert browser.get("api/v1/counts", headers=headers).status_code == 200
        assert browser.post("api/v1/session", json={"token": "wl_x"}).json()["code"] == "conflict"
        assert browser.get("..%2f..%2fapi/v1/counts").status_code == 404


def test_a_host_that_is_gone_is_a_bad_gateway(make: Make, own_host: Host) -> None:
    own_host.start()
    with served(make(own_host.url)) as application, dashboard(application) as browser:
        assert browser.get("api/v1/counts").status_code == 200
        own_host.stop()
        gone = browser.get("api/v1/counts")
        assert (gone.status_code, own_host.url in gone.text) == (502, True)


def test_the_token_is_the_applications(make: Make) -> None:
    told: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(request)
        return httpx.Response(
            200,
            stream=httpx.ByteStream(b"{}"),
            headers={"set-cookie": "windlass_session=a", "www-authenticate": "Bearer"},
        )

    app = make("http://host.example", token="wl_secret", client=AsyncFakeClient())
    with trial(app) as browser:
        plugin = (
            app.state.windlass._plugin if isinstance(app, fastapi.FastAPI) else next(iter(app.plugins.init))._plugin
        )
        plugin.proxy._http = httpx.AsyncClient(**plugin._place.options(), transport=httpx.MockTransport(answer))
        headers = {**KEY, "authorization": "Basic dTpw", "cookie": "session=1"}
        seen = browser.get(f"{PREFIX}/api/v1/counts", headers=headers)
        assert seen.status_code == 200
        assert not {"set-cookie", "www-authenticate"} & set(seen.headers)
    (request,) = told
    assert request.headers["authorization"] == "Bearer wl_secret"
    assert request.headers["host"] == "host.example"
    assert not {"cookie", "x-key"} & set(request.headers)


@contextlib.contextmanager
def trial(app: fastapi.FastAPI | litestar.Litestar) -> Iterator[httpx.Client]:
    """The framework's own test client."""
    if isinstance(app, fastapi.FastAPI):
        with StarletteClient(app) as client:
            yield client
    else:
        with LitestarClient(app) as client:
            yield client


def test_a_fake_client_takes_the_place_of_a_host(make: Make) -> None:
    fake = AsyncFakeClient()
    with trial(make(client=fake)) as browser:
        job = uuid.UUID(browser.post("/sums/1/2").json())
    assert fake.host.assert_enqueued("mixed/add", {"a": 1, "b": 2}).id == job


def test_a_host_that_is_away_at_the_start_up_ends_it_with_what_to_do(make: Make) -> None:
    # Litestar puts it into a group.
    with pytest.raises(Exception) as ended, trial(make("http://127.0.0.1:9", patience=0.2)):  # noqa: PT011
        pass
    told = "".join(traceback.format_exception(ended.value))
    assert "HostUnavailable: failed to count jobs: no host answers at http://127.0.0.1:9" in told
    assert "windlass serve" in told


def test_a_host_that_comes_up_with_the_application_is_waited_for(make: Make, own_host: Host) -> None:
    own_host.start(ready=False)
    with trial(make(own_host.url, patience=PATIENCE)) as browser:
        assert browser.get(f"{PREFIX}/healthz", headers=KEY).status_code == 200


def test_the_dashboard_always_asks_somebody() -> None:
    with pytest.raises(TypeError, match="auth"):
        Windlass(fastapi.FastAPI()).mount_dashboard("/jobs")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="auth: expected what says who may see the dashboard"):
        Windlass(fastapi.FastAPI()).mount_dashboard("/jobs", auth=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="auth: expected"):
        Dashboard("/jobs", auth=None)  # type: ignore[arg-type]
    for prefix in ("", "/", "jobs", "/a//b", "/{x}"):
        with pytest.raises(ValueError, match="prefix: "):
            Dashboard(prefix, auth=print)


def test_a_dependency_that_says_false_lets_nobody_in() -> None:
    app = fastapi.FastAPI()
    Windlass(app, client=AsyncFakeClient()).mount_dashboard("/jobs", auth=lambda: False)
    with trial(app) as browser:
        assert browser.get("/jobs/").status_code == 403


def test_the_client_is_there_from_start_up_to_shutdown() -> None:
    seen: list[AsyncClient] = []
    app = fastapi.FastAPI()

    @contextlib.asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[dict[str, str]]:
        seen.append(windlass.client)
        yield {"kept": "state"}
        assert windlass.client is seen[0]

    app = fastapi.FastAPI(lifespan=lifespan)
    fake = AsyncFakeClient()
    windlass = Windlass(app, client=fake)

    @app.get("/")
    async def state(request: fastapi.Request, client: WindlassClient) -> list[object]:
        return [request.state.kept, client is fake]

    with pytest.raises(errors.NotStarted, match="use the test client as a context"):
        _ = windlass.client
    with trial(app) as browser:
        assert browser.get("/").json() == ["state", True]
    with pytest.raises(errors.NotStarted):
        _ = windlass.client
    with pytest.raises(errors.NotStarted):
        StarletteClient(app).get("/")
    plugin = WindlassPlugin(client=fake)
    with trial(litestar.Litestar(plugins=[plugin])):
        assert plugin.client is fake
    with pytest.raises(errors.NotStarted):
        _ = plugin.client


def test_an_application_without_the_plugin_says_so() -> None:
    app = fastapi.FastAPI()

    @app.get("/")
    async def route(windlass: WindlassClient) -> str:
        return windlass.url

    with pytest.raises(errors.NotStarted, match=r"make `Windlass\(app\)`"):
        StarletteClient(app).get("/")


def test_an_application_in_another_takes_the_others_client() -> None:
    inner = fastapi.FastAPI()
    outer = fastapi.FastAPI()
    fake = AsyncFakeClient()
    windlass = Windlass(outer, client=fake)

    @inner.post("/")
    async def route(client: AsyncClient = fastapi.Depends(windlass.get_client)) -> uuid.UUID:
        return (await client.enqueue("a/b")).id

    outer.mount("/inner", inner)
    with trial(outer) as browser:
        assert uuid.UUID(browser.post("/inner/").json()) in fake.host.jobs


def test_browsers_that_do_not_say_where_a_page_is_from_are_judged_by_its_origin() -> None:
    assert not is_foreign("GET", {b"sec-fetch-site": b"cross-site"})
    assert not is_foreign("POST", {b"host": b"app:8000"})
    assert not is_foreign("POST", {b"host": b"app:8000", b"origin": b"https://app:8000"})
    assert is_foreign("POST", {b"host": b"app:8000", b"origin": b"https://app"})
    assert is_foreign("DELETE", {b"host": b"app", b"origin": b"null"})
    assert refusal("GET", "api/v1/session", {}) is None
