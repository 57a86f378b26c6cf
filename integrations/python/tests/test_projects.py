"""New projects of handlers in Python: made, tested, built and deployed as `windlass new` prints it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from conftest import Host, built
from windlass import Client

BOTH = '''
import asyncio

from windlass_guest import Context, export, handler


@handler
def plain(args: int) -> int:
    """Is sync."""
    return args + 1


@handler
async def waits(ctx: Context, args: int) -> int:
    """Is async."""
    await asyncio.gather(*(ctx.sleep(0.01) for _ in range(args)))
    return args


Handlers = export("parcels", "0.2.0", plain)
AsyncHandlers = export("parcels", "0.2.0", waits)
'''


def typed(folder: Path, commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type it in a shell that finds `windlass`, and stops where something fails."""
    others = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    own = {
        "PATH": f"{built('WINDLASS_BIN').parent}:{os.environ['PATH']}",
        # A build for development compiles slowly, and that is not what is tested.
        "WINDLASS_COMPILE_TIMEOUT": "10min",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env={**others, **own, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_a_new_project_does_what_is_printed_when_it_is_made(own_host: Host, tmp_path: Path) -> None:
    (tmp_path / "windlass.toml").write_text('[compile]\ntimeout = "10min"\n')
    own_host.start()
    made = typed(tmp_path, "windlass new parcels --lang python")
    assert made.returncode == 0, made.stderr
    commands = "\n".join(line[2:] for line in made.stdout.splitlines() if line.startswith("  "))
    ended = typed(tmp_path, commands, WINDLASS_URL=own_host.url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Ran 2 tests" in ended.stderr
    assert "parcels.wasm is the component of parcels 0.1.0 (" in ended.stdout
    # Once from the sandbox alone, once from the host.
    assert ended.stdout.splitlines().count('"Hello, Ada!"') == 2
    with Client(own_host.url) as client:
        assert [handler.name for handler in client.module("parcels").versions[0].handlers] == ["greet"]

    project = tmp_path / "parcels"
    (project / "app.py").write_text(BOTH.replace("args + 1", "args +"))
    broken = typed(project, "windlass build")
    assert broken.returncode == 1
    assert "SyntaxError" in broken.stderr
    assert "failed to build: `" in broken.stderr
    (project / "app.py").write_text("")
    empty = typed(project, "windlass build")
    assert empty.returncode == 2
    assert 'end it with `Handlers = export("NAME", "0.1.0", …)`' in empty.stderr

    # Sync and async handlers in one component.
    (project / "app.py").write_text(BOTH)
    both = typed(
        project,
        "windlass build --json > built.json && windlass run parcels.wasm plain 1 && windlass run parcels.wasm waits 5",
    )
    assert (both.returncode, both.stdout) == (0, "2\n5\n"), both.stderr
    told = json.loads((project / "built.json").read_text())
    assert {handler["name"]: handler["mode"] for handler in told["handlers"]} == {"plain": "sync", "waits": "async"}
    assert (told["module"], told["version"], told["size_bytes"]) == (
        "parcels",
        "0.2.0",
        (project / "parcels.wasm").stat().st_size,
    )


def test_an_example_is_built_with_the_library_that_the_program_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = built("WINDLASS_CHECKOUT") / "examples" / "python-text"
    assert not (example / "sdk").exists()
    venv = built("WINDLASS_TARGET") / "python" / "venv" / "bin"
    monkeypatch.setenv("PATH", f"{venv}:{os.environ['PATH']}")
    ended = typed(tmp_path, f"windlass build {example} -o {tmp_path / 'text.wasm'} --json")
    assert ended.returncode == 0, ended.stderr
    names = {handler["name"] for handler in json.loads(ended.stdout)["handlers"]}
    assert names == {"statistics", "remember", "total", "divide"}
