"""Handlers as plain functions, and what their type hints say."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from windlass_guest import Cancelled, Context, Fatal, HttpError, Response, Retry, Snooze, export, handler
from windlass_guest._handlers import spec_of
from windlass_guest._http import Request, joined
from windlass_guest._schema import read, schema
from windlass_guest.testing import TestContext, run


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
