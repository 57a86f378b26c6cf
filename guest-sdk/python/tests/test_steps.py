"""Durable steps, against the stand-in for the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from windlass_guest import Cancelled, CheckpointError, Context, Fatal, Retry, Snooze, handler
from windlass_guest._checkpoints import Why
from windlass_guest.testing import TestContext, run


@dataclass
class Charge:
    number: int


def never(_key: str) -> Any:
    raise AssertionError("it is done again")


def test_each_step_is_done_once_whichever_of_them_an_attempt_fails_after() -> None:
    test = TestContext(id="J")
    done: list[str] = []

    def three(ctx: Context, fail_after: int) -> int:
        total = 0
        for number, name in enumerate(("one", "two", "three"), 1):
            # What the work returns would differ from run to run.
            total += ctx.step(name, lambda key: done.append(key) or len(done), int)  # type: ignore[func-returns-value]
            if number == fail_after:
                raise Retry("asked", "the test asked for it")
        return total

    for attempt in (1, 2, 3):
        with pytest.raises(Retry, match="asked for it"):
            three(test.context(), attempt)
    assert three(test.context(), 0) == 1 + 2 + 3
    assert done == ["J-one", "J-two", "J-three"]
    # As all languages have it.
    assert test.checkpoints == {"windlass:step:one": 1, "windlass:step:two": 2, "windlass:step:three": 3}


def test_a_step_that_fails_is_not_recorded_and_raises_what_it_raises() -> None:
    test = TestContext()
    ctx = test.context()
    for error in (Snooze(5), Fatal("declined", "no"), Cancelled(), KeyError("x")):

        def fails(_key: str, error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)) as raised:
            ctx.step("charge", fails)
        assert raised.value is error
    assert test.steps == {}
    # It failed, so the same run may try again.
    assert ctx.step("charge", lambda _: 7) == 7
    assert test.steps == {"charge": 7}


def test_a_recorded_step_is_not_done_again_also_where_it_returned_nothing() -> None:
    test = TestContext()
    test.add_step("mail")
    test.add_step("charge", Charge(7))
    ctx = test.context()
    assert ctx.step("mail", never) is None
    assert ctx.step("charge", never, Charge) == Charge(7)
    assert [level for level, _ in test.logs] == ["debug", "debug"]


def test_an_interrupted_step_is_done_again_with_the_same_key() -> None:
    test = TestContext(id="J")
    keys: list[str] = []
    for _ in range(2):
        test.context().step("charge", keys.append)
    test.forget_step("charge")
    test.context().step("charge", keys.append)
    assert keys == ["J-charge", "J-charge"]


def test_async_steps_are_done_once_too() -> None:
    test = TestContext(id="J")

    @handler
    async def charged(ctx: Context) -> str:
        async def first(key: str) -> str:
            await ctx.sleep(1)
            return f"by {key}"

        async def fails(_key: str) -> None:
            raise Retry("asked", "the test asked for it")

        by = await ctx.step_async("first", first, str)
        if ctx.attempt == 1:
            await ctx.step_async("second", fails)
        return by

    with pytest.raises(Retry, match="asked for it"):
        run(charged, None, test)
    later = TestContext(id="J", attempt=2)
    later.checkpoints = test.checkpoints
    assert run(charged, None, later) == "by J-first"
    assert (test.slept, later.slept, later.steps) == ([1], [], {"first": "by J-first"})


def test_work_that_waits_in_a_sync_step_is_refused_with_what_to_call() -> None:
    async def waits(_key: str) -> int:
        return 1

    test = TestContext()
    with pytest.raises(Fatal, match=r"call `await ctx.step_async") as refused:
        test.context().step("charge", waits)
    assert (refused.value.code, test.steps) == ("bad-step", {})


def test_a_name_that_is_used_twice_is_named() -> None:
    ctx = TestContext().context()
    ctx.step("mail", lambda _: 1)
    with pytest.raises(Fatal, match="`mail` is used twice in this run: give each step a name of its own") as twice:
        ctx.step("mail", never)
    assert twice.value.code == "bad-step"
    # Also while it is being done.
    with pytest.raises(Fatal, match="`outer` is used twice"):
        ctx.step("outer", lambda _: ctx.step("outer", never))


def test_a_bad_name_is_refused_before_anything_is_done() -> None:
    ctx = TestContext().context()
    for name, said in (
        ("", "the name of a step is empty"),
        ("x" * 151, "'xxxxxxxxxxxxxxxxxxxx'… has 151 characters"),
        ("send mail", "'send mail' has ' ' in it"),
        ("a\nb", r"'a\\nb' has '\\n' in it"),
        ("grüezi", "has 'ü' in it"),
    ):
        with pytest.raises(Fatal, match=said) as refused:
            ctx.step(name, never)
        assert refused.value.code == "bad-step"
        assert refused.value.message.endswith("expected 1 to 150 visible ASCII characters, such as `charge`")
    assert ctx.step("x" * 150, len) == 36 + 1 + 150


def test_plain_checkpoints_and_steps_of_the_same_name_are_apart() -> None:
    test = TestContext()
    ctx = test.context()
    ctx.put_checkpoint("page", 3)
    assert (ctx.step("page", lambda _: "four"), ctx.checkpoint("page")) == ("four", 3)
    with pytest.raises(CheckpointError, match="kept for steps: choose another"):
        ctx.checkpoint("windlass:step:page")

    @handler
    def meddles(ctx: Context) -> None:
        ctx.put_checkpoint("windlass:step:page", 5)

    with pytest.raises(Fatal, match="kept for steps") as refused:
        run(meddles, None, test)
    assert (refused.value.code, test.steps) == ("bad-checkpoint", {"page": "four"})


def test_what_is_over_a_limit_names_the_step_and_the_limit() -> None:
    test = TestContext()
    ctx = test.context()
    with pytest.raises(Fatal, match=r"`fetch` .* 262146 bytes: expected at most 262144; .* return less") as large:
        ctx.step("fetch", lambda _: "x" * (256 << 10))
    assert (large.value.code, test.steps) == ("step-too-large", {})
    for number in range(1_000):
        ctx.step(f"step-{number}", lambda _: None)
    with pytest.raises(Fatal, match=r"`one-more` .* at most 1000") as many:
        ctx.step("one-more", lambda _: None)
    assert many.value.code == "step-too-large"


def test_what_an_older_version_recorded_in_another_shape_is_told_with_what_to_do() -> None:
    test = TestContext(id="J")
    test.add_step("charge", {"id": 7})
    with pytest.raises(Fatal, match=r"`charge` .*without `number`.* `windlass jobs requeue --fresh J`") as unread:
        test.context().step("charge", never, Charge)
    assert unread.value.code == "step-unreadable"


def test_what_is_returned_is_what_a_later_attempt_would_read() -> None:
    test = TestContext()
    ctx = test.context()
    assert ctx.step("plain", lambda _: Charge(1)) == {"number": 1}
    assert ctx.step("kept", lambda _: Charge(1), Charge) == Charge(1)
    for name, result, kind, said in (
        ("nan", float("nan"), float, "was done, but its result cannot be written as JSON"),
        ("set", {1}, Any, "cannot be written as JSON: a set is not JSON"),
        ("text", "7", int, "cannot be read back from its JSON: expected <class 'int'>, not '7'"),
    ):
        with pytest.raises(Fatal, match=said) as refused:
            ctx.step(name, lambda _, result=result: result, kind)
        assert refused.value.code == "bad-step"
    with pytest.raises(Fatal, match=r"`odd` cannot return its kind: .* has no JSON Schema"):
        ctx.step("odd", never, set)
    assert list(test.steps) == ["plain", "kept"]


class Away(TestContext):
    """A host that refuses to keep anything for a while."""

    def __init__(self, refusals: int, why: Why) -> None:
        super().__init__()
        self.refusals = refusals
        self.why = why

    def put_checkpoint(self, key: str, value: str) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise CheckpointError("it is away", why=self.why)
        super().put_checkpoint(key, value)


def test_recording_is_tried_again_for_a_moment_and_the_work_is_not() -> None:
    done: list[str] = []
    short = Away(2, "unavailable")
    short.context().step("charge", done.append)
    assert (len(done), short.slept, short.steps) == (1, [0.1, 1.0], {"charge": None})

    @handler
    async def charges(ctx: Context) -> None:
        async def work(key: str) -> None:
            done.append(key)

        await ctx.step_async("charge", work)

    again = Away(3, "unavailable")
    run(charges, None, again)
    assert (len(done), again.slept, again.steps) == (2, [0.1, 1.0, 5.0], {"charge": None})

    for refusals, why, said in ((4, "unavailable", "the next attempt does it again"), (1, "superseded", "it is away")):
        away = Away(refusals, why)  # type: ignore[arg-type]
        with pytest.raises(Retry, match=said) as failed:
            away.context().step("charge", done.append)
        assert (failed.value.code, away.refusals, away.steps) == ("checkpoint", 0, {})


def test_a_storage_that_cannot_be_read_leaves_the_work_undone() -> None:
    class Unread(TestContext):
        def get_checkpoint(self, key: str) -> str | None:
            raise CheckpointError(f"no {key}")

    with pytest.raises(Retry, match="whether the step `charge` is recorded: no windlass:step:charge") as failed:
        Unread().context().step("charge", never)
    assert failed.value.code == "checkpoint"
