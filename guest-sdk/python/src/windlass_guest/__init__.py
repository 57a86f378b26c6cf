"""Handlers of Windlass in Python: plain functions, which componentize-py makes a WebAssembly component of.

```python
@dataclass
class Text:
    text: str

@handler(queue="texts", max_attempts=5, timeout=30)
def count(ctx: Context, args: Text) -> int:
    \"\"\"Counts the words of a text.\"\"\"
    ctx.info("counting")
    return len(args.text.split())

Handlers = export("texts", "0.1.0", count)
```

Of `async def` functions, `AsyncHandlers = export(…)`.
"""

from ._context import CheckpointError, Context, EnqueueError
from ._errors import Cancelled, Fatal, JobError, Retry, Snooze
from ._handlers import Delays, Exponential, Fixed, Linear, Schedule, export, handler
from ._http import HttpError, Response

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "CheckpointError",
    "Context",
    "Delays",
    "EnqueueError",
    "Exponential",
    "Fatal",
    "Fixed",
    "HttpError",
    "JobError",
    "Linear",
    "Response",
    "Retry",
    "Schedule",
    "Snooze",
    "export",
    "handler",
]
