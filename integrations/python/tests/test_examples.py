"""The example applications, set up and started as their READMEs say, and looked at in a browser.

Two things are other than written: ports, which are free ones, and `cargo xtask build`, which has been run by whoever runs this.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

from conftest import PATIENCE, answers, built, free_port, until


def blocks(readme: Path) -> list[str]:
    """What the README says to type, terminal by terminal."""
    return re.findall(r"```sh\n(.*?)```", readme.read_text(), re.DOTALL)


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """Open a window of Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    # In a window that is as small as Chromium's own, the dashboard hides its pages behind a menu.
    wide = "--window-size=1400,1000"
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", wide, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # Chromium's own sandbox does not start for root.
        options.add_argument("--no-sandbox")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver") or "chromedriver")
    window = webdriver.Chrome(options=options, service=service)
    try:
        yield window
    finally:
        window.quit()


def click(window: webdriver.Chrome, xpath: str) -> None:
    """Click something as soon as it can be."""

    def try_to() -> bool:
        try:
            window.find_element(By.XPATH, xpath).click()
        except WebDriverException:
            # Not there yet, or just being drawn anew.
            return False
        return True

    until(f"{xpath} to click; the page shows: {reads(window)}", try_to)


def reads(window: webdriver.Chrome) -> str:
    return str(window.execute_script("return document.body ? document.body.innerText : ''"))


@pytest.mark.parametrize("name", ["fastapi", "litestar"])
def test_an_example_works_as_its_readme_says(name: str, tmp_path: Path) -> None:
    source = built("WINDLASS_CHECKOUT")
    checkout = tmp_path / "checkout"
    shutil.copytree(
        source / "examples" / name, checkout / "examples" / name, ignore=shutil.ignore_patterns(".*", "jobs.db*")
    )
    (checkout / "integrations").mkdir()
    (checkout / "integrations" / "python").symlink_to(source / "integrations" / "python")
    (checkout / "target").symlink_to(built("WINDLASS_TARGET"))
    stub = tmp_path / "bin" / "cargo"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\n[ "$*" = "xtask build" ]\n')
    stub.chmod(0o755)

    set_up, start, ask, mend = blocks(checkout / "examples" / name / "README.md")
    port, host = free_port(), free_port()
    application = f"http://127.0.0.1:{port}"
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")},
        "PATH": f"{stub.parent}:{os.environ['PATH']}",
        "WINDLASS_URL": f"http://127.0.0.1:{host}",
    }

    def type_in(folder: Path, commands: str) -> str:
        commands = commands.replace("8000", str(port))
        ended = subprocess.run(["bash", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    log = tmp_path / "application.log"
    with log.open("wb") as output:
        terminal = subprocess.Popen(
            ["bash", "-euc", (set_up + start).replace("8000", str(port))],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        # Packages are fetched and installed, which takes a while.
        while answers(f"{application}/jobs/") != 401:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = terminal.wait(0.1)
                pytest.fail(f"the first terminal has ended with {code}; it said:\n{log.read_text()}")
        job = uuid.UUID(json.loads(type_in(checkout, ask))["job"])

        def report() -> Any:
            return httpx.get(f"{application}/reports/{job}", timeout=60).json()

        # The handler is being deployed meanwhile.
        until("a job that has failed", lambda: report()["state"] == "failed")
        failure = report()["failure"]
        with browser(tmp_path / "profile") as window:
            # The name and password once; the browser sends them along from then on.
            window.get(f"http://admin:secret@127.0.0.1:{port}/jobs/")
            window.get(f"{application}/jobs/")
            click(window, "//a[@href='jobs']")
            click(window, f"//a[@href='jobs/{job}']")
            until("why it failed", lambda: failure in reads(window))
            assert window.current_url == f"{application}/jobs/jobs/{job}"
            type_in(checkout / "examples" / name, mend)
            click(window, "//button[normalize-space(.)='Retry']")
            # It comes with the events, through the application.
            until(
                "that it has succeeded", lambda: bool(window.find_elements(By.CSS_SELECTOR, ".head .state-succeeded"))
            )
        made = report()
        assert (made["state"], made["report"]["total"]["revenue_cents"]) == ("succeeded", 300)
        published = checkout / "examples" / name / "tables" / "sales.csv.summary.json"
        until("the follow-up job's file", published.is_file)
        # As Ctrl-C does.
        os.killpg(terminal.pid, signal.SIGINT)
        terminal.wait(60)
        assert answers(f"http://127.0.0.1:{host}/healthz") == 0, "the host has outlived the application"
    finally:
        # An application that is killed leaves its host behind.
        for how in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(terminal.pid, how)
                terminal.wait(PATIENCE)
