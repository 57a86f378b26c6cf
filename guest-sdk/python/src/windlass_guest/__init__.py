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

from ._checkpoints import CheckpointError
from ._context import Context, EnqueueError
from ._errors import Cancelled, Fatal, JobError, Retry, Snooze
from ._follow_up import Unique
from ._handlers import Schedule, export, handler
from ._http import HttpError, Response
from ._parent import Failure, Parent, ParentError
from ._retry import Delays, Exponential, Fixed, Linear

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "CheckpointError",
    "Context",
    "Delays",
    "EnqueueError",
    "Exponential",
    "Failure",
    "Fatal",
    "Fixed",
    "HttpError",
    "JobError",
    "Linear",
    "Parent",
    "ParentError",
    "Response",
    "Retry",
    "Schedule",
    "Snooze",
    "Unique",
    "export",
    "handler",
]
