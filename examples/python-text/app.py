"""Statistics of texts: a sync handler in Python, with progress that can be cancelled on the way and a follow-up job."""

import re
from collections import Counter
from dataclasses import dataclass

from windlass_guest import Context, Fatal, Retry, Unique, export, handler

WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass
class Text:
    """What to count."""

    text: str
    top: int = 5
    remember: bool = False
    """Whether to have the statistics written down by a follow-up job, and read by one that continues this one."""


@dataclass
class Statistics:
    """What was counted."""

    lines: int
    words: int
    characters: int
    frequent: dict[str, int]


@handler(queue="texts", max_attempts=3, timeout=60, cancel_grace=1, memory_bytes=96 << 20, fuel=100_000_000_000)
def statistics(ctx: Context, args: Text) -> Statistics:
    """Counts lines, words and characters of a text, and its most frequent words."""
    if args.top < 0:
        raise Fatal("bad-top", f"top: expected 0 or more, not {args.top}")
    lines = args.text.splitlines()
    counted: Counter[str] = Counter()
    for number, line in enumerate(lines):
        if number % 100 == 0:
            ctx.check_cancelled()
            ctx.progress(100 * number / len(lines), f"{number} lines")
        counted.update(word.lower() for word in WORD.findall(line))
    ctx.info("counted", words=counted.total())
    made = Statistics(len(lines), counted.total(), len(args.text), dict(counted.most_common(args.top)))
    if args.remember:
        ctx.enqueue("remember", made, tags=["remembered"])
        ctx.enqueue("total", tags=["total"], after=[ctx.id], unique=Unique(key=ctx.id), limit_key="totals")
        # Another of the same key: it is left out.
        ctx.enqueue("total", tags=["total"], after=[ctx.id], unique=Unique(key=ctx.id))
    return made


@handler(max_attempts=5)
def remember(ctx: Context, args: Statistics) -> int:
    """Keeps statistics as a checkpoint, and fails once on the way, to show that they are kept."""
    kept = ctx.checkpoint("statistics")
    if kept is None:
        ctx.put_checkpoint("statistics", args)
        raise Retry("not-yet", "kept, and to be looked at again", after=0.01, details={"words": args.words})
    ctx.info(f"attempt {ctx.attempt} finds {kept['words']} words")
    return int(kept["words"])


@handler(max_attempts=5)
def publish(ctx: Context, args: Text) -> int:
    """Publishes a text in a durable step, and fails once after it, to show that it is published once: tells by which attempt."""
    published = ctx.step("publish", lambda key: {"key": key, "attempt": ctx.attempt})
    if ctx.attempt == 1:
        raise Retry("not-yet", "published, and to be looked at again", after=0.01)
    ctx.info("published", key=published["key"], characters=len(args.text))
    return int(published["attempt"])


@handler
def total(ctx: Context) -> int:
    """Adds up the words of the texts whose statistics it continues."""
    return sum(ctx.parent(parent).read(Statistics).words for parent in ctx.parents)


@handler(max_attempts=1)
def divide(args: dict[str, int]) -> float:
    """Divides, and so may raise an exception of Python's own."""
    return args["a"] / args["b"]


Handlers = export("python-text", "0.1.0", statistics, remember, publish, total, divide)
