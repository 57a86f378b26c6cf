"""How long to wait before an attempt that follows a failure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fixed:
    """Wait as many seconds before each further attempt."""

    delay: float


@dataclass(frozen=True)
class Linear:
    """Wait this many seconds times the number of the attempt that failed."""

    delay: float


@dataclass(frozen=True)
class Exponential:
    """Wait twice as long each time, in seconds, up to a bound."""

    base: float
    longest: float


class Delays(tuple[float, ...]):
    """Wait these, in seconds, one after the other; the last one repeats."""

    def __new__(cls, *delays: float) -> Delays:
        return super().__new__(cls, delays)


RetryPolicy = Fixed | Linear | Exponential | Delays
