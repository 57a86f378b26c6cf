"""The pages of the documentation that are about Python: their code is run against a real host, their commands are typed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Host, built, component
from windlass import Client

PAGES = Path("docs/src")


@dataclass(frozen=True)
class Block:
    """A block of code, with the comment before it and the number of lines above it."""

    note: str
    language: str
    text: str
    above: int

    @property
    def file(self) -> str | None:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else None


def blocks(name: str) -> list[Block]:
    page = (built("WINDLASS_CHECKOUT") / PAGES / name).read_text()
    found = re.finditer(
        r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    return [
        Block(match["note"] or "", match["language"], match["text"], page.count("\n", 0, match.start("text")))
        for match in found
    ]


def in_python(name: str) -> list[Block]:
    return [block for block in blocks(name) if block.language == "python"]


def write_files(name: str, folder: Path) -> None:
    for block in in_python(name):
        if block.file:
            (folder / block.file).write_text(block.text)


def run_page(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks one after the other, as somebody does who types them; what they define stays from block to block."""
    write_files(name, folder)
    code = ""
    for block in in_python(name):
        if not block.file:
            # So that a traceback names the line of the page.
            code += "\n" * (block.above - code.count("\n")) + block.text
    page = folder / f"{Path(name).stem}_page.py"
    page.write_text(code)
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    try:
        spec = importlib.util.spec_from_file_location(page.stem, page)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, page.stem, module)
        spec.loader.exec_module(module)
    finally:
        # What the page has written as files is nobody else's.
        for added in set(sys.modules) - before:
            if str(getattr(sys.modules[added], "__file__", "")).startswith(str(folder)):
                del sys.modules[added]


def test_every_page_with_code_in_python_is_run_here() -> None:
    folder = built("WINDLASS_CHECKOUT") / PAGES
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.md")}
    # A page that has an example's own file in it shows what the example's test runs.
    own = {name for name in names if any("{{#include" not in block.text for block in in_python(name))}
    assert own == {"handlers-python.md", "integrations/python.md"}


def test_the_page_of_the_client_does_what_it_says(
    own_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_host.start()
    with Client(own_host.url) as client:
        client.deploy(component("faults"), "faults")
    monkeypatch.setenv("WINDLASS_URL", own_host.url)
    monkeypatch.delenv("WINDLASS_TOKEN", raising=False)
    run_page("integrations/python.md", tmp_path, monkeypatch)
    said = capsys.readouterr().out
    # What the page says of the two errors that it shows.
    assert "no module has the handler `faults/nothing`" in said
    assert "ended as failed (timeout)" in said


def test_the_page_of_handlers_tests_them_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page("handlers-python.md", tmp_path, monkeypatch)


def test_the_page_of_handlers_makes_a_component_that_runs(tmp_path: Path) -> None:
    found = blocks("handlers-python.md")
    commands = "".join(
        f"cat > {block.file} <<'END OF THE FILE'\n{block.text}END OF THE FILE\n" if block.file else block.text
        for block in found
        if block.file or block.language == "sh"
    )
    (prints,) = (block.text for block in found if block.note.startswith("prints"))
    ended = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
        env={
            **{key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")},
            "PATH": f"{built('WINDLASS_BIN').parent}:{os.environ['PATH']}",
            # A build for development compiles slowly, and that is not what is tested.
            "WINDLASS_COMPILE_TIMEOUT": "10min",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith(prints), ended.stdout
