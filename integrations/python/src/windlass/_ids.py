"""Job ids. They are made by whoever asks for a job, so that asking again makes no second one."""

import os
import time
import uuid


def new_job_id() -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562), so that ids sort by the time at which they were made.

    The 12 bits after the version count parts of the millisecond, so that this holds within one too; 62 bits are random.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80
    value |= 0x7 << 76
    value |= (rest * 4096 // 1_000_000) << 64
    value |= 0b10 << 62
    value |= int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=value)


def job_id(given: "uuid.UUID | str") -> uuid.UUID:
    """Read a job id.

    Raises:
        ValueError: it is no UUID.

    """
    if isinstance(given, uuid.UUID):
        return given
    try:
        return uuid.UUID(given)
    except (ValueError, AttributeError, TypeError):
        message = f"`{given}` is not a job id: expected a UUID such as 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55"
        raise ValueError(message) from None
