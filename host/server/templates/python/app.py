"""Handlers of Windlass: plain functions, of which `windlass build` makes a WebAssembly component."""

from dataclasses import dataclass

from windlass_guest import Context, Fatal, export, handler


@dataclass
class Greeting:
    """Who is greeted. A job whose payload does not fit is refused before it is one."""

    name: str


@handler(max_attempts=3, timeout=5)
def greet(ctx: Context, args: Greeting) -> str:
    """Greets somebody."""
    if not args.name:
        raise Fatal("no-name", "there is nobody to greet")
    ctx.info(f"greeting {args.name}")
    return f"Hello, {args.name}!"


Handlers = export("{{name}}", "0.1.0", greet)
