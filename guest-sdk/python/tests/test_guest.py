"""Handlers as plain functions, and what their type hints say."""

from __future__ import annotations

import asyncio
import datetime
import enum
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from windlass_guest import (
    Cancelled,
    Context,
    Delays,
    Failure,
    Fatal,
    HttpError,
    Response,
    Retry,
    Snooze,
    Unique,
    export,
    handler,
)
from windlass_guest._handlers import spec_of
from windlass_guest._http import Request, joined
from windlass_guest._schema import read, schema
from windlass_guest.testing import TestContext, run

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Node:
    """A part of a tree."""

    name: str
    weight: float = 1.0
    colour: Colour | None = None
    kind: Literal["leaf", "branch"] = "leaf"
    children: list[Node] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    more: Any = None


def test_type_hints_become_a_schema() -> None:
    assert schema(Node) == {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "description": "A part of a tree.",
                "properties": {
                    "name": {"type": "string"},
                    "weight": {"type": "number"},
                    "colour": {"anyOf": [{"enum": ["red", "blue"]}, {"type": "null"}]},
                    "kind": {"enum": ["leaf", "branch"]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "more": {},
                },
                "required": ["name"],
            }
        },
    }
    with pytest.raises(TypeError, match="has no JSON Schema: use bool, int"):
        schema(set[int])


def test_a_payload_becomes_what_the_hints_promise() -> None:
    given = {"name": "a", "weight": 2, "colour": "blue", "children": [{"name": "b"}], "labels": {"x": 2.0}, "extra": 1}
    made = read(Node, given)
    assert made == Node("a", 2.0, Colour.BLUE, children=[Node("b")], labels={"x": 2})
    assert isinstance(made.weight, float)
    assert read(int, 2**53 + 1) == 2**53 + 1
    for hint, wrong in (
        (int, True),
        (int, 1.5),
        (str, 1),
        (Node, {}),
        (list[int], [None]),
        (Colour, "green"),
        (None, 0),
    ):
        with pytest.raises(ValueError, match=r"expected|without|not a valid"):
            read(hint, wrong)


@handler(max_attempts=2)
def plain(args: Node, ctx: Context) -> int:
    """Says what it does.

    And more.
    """
    ctx.info("seen", name=args.name)
    ctx.check_cancelled()
    ctx.enqueue("other", {"node": args}, delay=5)
    ctx.put_checkpoint("k", [args.name])
    ctx.progress(50)
    return len(args.children)


@handler
def bare() -> None:
    """Does nothing."""


def test_a_handler_stays_a_plain_function() -> None:
    test = TestContext(attempt=2)
    assert plain(Node("a"), test.context()) == 0
    assert (test.logs, test.checkpoints, test.progress_told) == ([("info", "seen")], {"k": ["a"]}, [50])
    (follow_up,) = test.follow_ups
    assert (follow_up.handler, follow_up.delay) == ("other", 5)
    assert '"name":"a"' in follow_up.payload
    assert test.context().checkpoint("k") == ["a"]
    assert run(plain, {"name": "a", "children": [{"name": "b"}]}) == 1
    assert run(bare) is None


def test_what_is_said_of_a_handler_comes_from_its_signature() -> None:
    spec = spec_of(plain)
    assert (spec.name, spec.summary, spec.max_attempts) == ("plain", "Says what it does.", 2)
    assert spec.result_schema == {"type": "integer"}
    assert spec_of(bare).payload_schema is None


def test_exceptions_say_what_becomes_of_the_job() -> None:
    @handler
    def fails(args: str) -> Any:
        if args == "python":
            raise KeyError("x")
        if args == "set":
            return {1}
        raise {"fatal": Fatal("f", "no"), "snooze": Snooze(1.5), "after": Retry("r", "later", after=2)}[args]

    with pytest.raises(Retry, match="KeyError: 'x'") as wrapped:
        run(fails, "python")
    assert wrapped.value.code == "error"
    assert "raise KeyError" in wrapped.value.details["traceback"]
    with pytest.raises(Fatal, match="cannot be written as JSON"):
        run(fails, "set")
    with pytest.raises(Fatal, match="not as the handler expects"):
        run(fails, 5)
    with pytest.raises(Snooze, match=r"1\.5 s"):
        run(fails, "snooze")
    with pytest.raises(Retry, match="later"):
        run(fails, "after")
    test = TestContext()
    test.is_cancelled = True
    with pytest.raises(Cancelled):
        run(plain, {"name": "a"}, test)


def test_what_is_no_handler_is_refused_with_what_to_write() -> None:
    def unmarked() -> None: ...

    def unhinted(args) -> None: ...  # type: ignore[no-untyped-def]

    def too_many(a: int, b: int) -> None: ...

    @handler
    async def waits() -> None: ...

    with pytest.raises(TypeError, match="put @handler before it"):
        export("m", "1", unmarked)
    with pytest.raises(TypeError, match="`args` needs a type hint"):
        handler(unhinted)
    with pytest.raises(TypeError, match="there is `b` too"):
        handler(too_many)
    with pytest.raises(TypeError, match="only these are async: waits"):
        export("m", "1", bare, waits)
    with pytest.raises(ValueError, match="is not a handler name"):
        handler(name="a b")(unmarked)
    with pytest.raises(ValueError, match="two handlers are called `bare`"):
        export("m", "1", bare, bare)
    with pytest.raises(ValueError, match="is not a module name"):
        export("", "1", bare)
    with pytest.raises(ValueError, match="at least one handler"):
        export("m", "1")


@handler
async def sizes(ctx: Context, args: list[str]) -> list[int]:
    """Fetches several at once."""
    await ctx.sleep(0.5)
    answers = await asyncio.gather(*(ctx.fetch(url, headers={"accept": "text/html"}) for url in args))
    return [len(answer.raise_for_status().body) for answer in answers]


def test_an_async_handler_fetches_several_at_once() -> None:
    test = TestContext()
    test.responses = {"http://a/": Response(200, body=b"12"), "http://b/": Response(204), "http://c/": Response(500)}
    assert run(sizes, ["http://a/", "http://b/"], test) == [2, 0]
    assert [(request.method, request.url, request.headers) for request in test.requests] == [
        ("GET", "http://a/", {"accept": "text/html"}),
        ("GET", "http://b/", {"accept": "text/html"}),
    ]
    assert test.slept == [0.5]
    with pytest.raises(Retry, match="status of 200 to 299, not 500") as failed:
        run(sizes, ["http://c/"], test)
    assert failed.value.code == "http"
    with pytest.raises(Retry, match="the test has none"):
        run(sizes, ["http://d/"], test)


def test_an_address_that_cannot_be_asked_is_refused_before_it_is_sent() -> None:
    for url, said in (("ftp://a/", "expected http"), ("http:///x", "with a host"), ("http://a:b@c/", "authorization")):
        test = TestContext()
        with pytest.raises(Retry, match=said):
            run(sizes, [url], test)
        assert not test.requests
    assert Request("GET", "https://a:8443/b/c?d=e#f").parts() == (True, "a:8443", "/b/c?d=e")
    assert Request("GET", "http://a").parts() == (False, "a", "/")
    assert joined([("A", "1"), ("b", "2"), ("a", "3")]) == {"a": "1, 3", "b": "2"}
    with pytest.raises(HttpError, match="is not JSON"):
        Response(200, body=b"{").json()


@dataclass
class Receipt:
    number: str
    cents: int


@handler(redact=("/card",))
def ship(ctx: Context) -> int:
    """Reads what the jobs gave that it continues, and asks for others."""
    charged = sum(ctx.parent(parent).read(Receipt).cents for parent in ctx.parents)
    label = ctx.enqueue("label", charged, retry=Delays(1, 5), at=datetime.datetime(2026, 12, 1, tzinfo=UTC))
    ctx.enqueue("mail", {"order": 7}, after=[ctx.id, label], on="finished", delay=5, unique=Unique(fields=["/order"]))
    ctx.enqueue(
        "forget",
        unique=Unique(key="nightly", period=60, on_conflict="replace"),
        expires_at=datetime.datetime(2026, 12, 1, 13, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        limit_key="tenant:7",
    )
    return charged


def test_a_handler_reads_what_the_jobs_gave_that_it_continues() -> None:
    test = TestContext()
    test.add_parent("a", Receipt("1", 20))
    test.add_parent("b", {"number": "2", "cents": 3}, handler="shop/charge")
    assert run(ship, None, test) == 23
    parent = test.context().parent("b")
    assert (parent.handler, parent.state, parent.result) == ("shop/charge", "succeeded", {"number": "2", "cents": 3})
    test.add_parent("c", failure=Failure("declined", "no cover", {"limit": 5}))
    told = test.context().parent("c")
    assert (told.state, told.failure) == ("failed", Failure("declined", "no cover", {"limit": 5}))
    with pytest.raises(Fatal, match="failed to read the result of job c") as unread:
        run(ship, None, test)
    assert unread.value.code == "bad-parent-result"

    @handler
    def pry(ctx: Context) -> None:
        ctx.parent("another")

    with pytest.raises(Fatal, match="another is no parent of this one") as unknown:
        run(pry, None, test)
    assert unknown.value.code == "unknown-parent"


def test_a_follow_up_job_may_continue_others_be_unique_expire_and_count_under_a_key() -> None:
    test = TestContext(id="me")
    run(ship, None, test)
    label, mail, forget = test.follow_ups
    assert (label.retry, label.extensions()) == (Delays(1, 5), [])
    assert (label.at and label.at.timestamp()) == 1_796_083_200
    assert mail.extensions() == [
        ("after", '{"jobs":["me","00000001-0000-7000-8000-000000000000"],"on":"finished"}'),
        ("unique", '{"on_conflict":"existing","fields":["/order"]}'),
    ]
    assert forget.extensions() == [
        ("unique", '{"on_conflict":"replace","key":"nightly","period_ms":60000}'),
        ("expires_at", '"2026-12-01T12:00:00.000Z"'),
        ("limit_key", '"tenant:7"'),
    ]
    ctx = test.context()
    naive = datetime.datetime(2026, 12, 1)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"delay": 1, "at": naive}, "and not both"),
        ({"at": naive}, "at: expected an instant with its time zone"),
        ({"expires_at": naive}, "expires_at: expected an instant"),
        ({"after": "an-id"}, r"after: expected a list of texts, such as \['an-id'\]"),
    ]
    for options, said in refused:
        with pytest.raises(ValueError, match=said):
            ctx.enqueue("other", **options)
    with pytest.raises(ValueError, match="a key or fields"):
        Unique(key="k", fields=["/a"]).wire()


def test_a_handler_knows_its_times_and_what_it_cannot_do_without() -> None:
    test = TestContext(enqueued_at=1_500, deadline=2_000)
    ctx = test.context()
    assert (ctx.enqueued_at.timestamp(), ctx.deadline and ctx.deadline.timestamp()) == (1.5, 2.0)
    test.settings, test.secrets = {"greeting": "Hello"}, {"key": "s"}
    assert (ctx.require_config("greeting"), ctx.require_secret("key")) == ("Hello", "s")
    with pytest.raises(Retry, match="the secret `other` is missing") as missing:
        ctx.require_secret("other")
    assert missing.value.code == "missing-setting"
    assert spec_of(ship).redact == ("/card",)
