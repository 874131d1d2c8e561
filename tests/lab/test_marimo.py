"""The resolver in a marimo app: decided by keyboard, committed, no request to another machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.lab.labtools import ARTIFACTS, MAP, PATIENCE, ROOT, Lab, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

APP = """
import marimo

app = marimo.App()


@app.cell
def _():
    from icechunk_widgets import ConflictResolver
    from tests.widgets.scenes import clash, climate

    mine = clash(climate())
    return ConflictResolver, mine


@app.cell
def _(ConflictResolver, mine):
    ConflictResolver(mine, "Merged in marimo")
    return
"""


class Marimo:
    """A running app, with the attributes that `labtools.Lab` needs of its server."""

    def __init__(self, file: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        words = ["run", str(file), "--headless", "--no-token", "--host", "127.0.0.1"]
        with (ARTIFACTS / "marimo.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "marimo", *words, "--port", str(port)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self, timeout: float = PATIENCE) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(self.url, timeout=PATIENCE).close()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
            else:
                return
        raise LabError(f"marimo did not start:\n{(ARTIFACTS / 'marimo.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=PATIENCE)


@pytest.fixture
def marimo(tmp_path: Path, artifacts: Path) -> Iterator[Marimo]:
    pytest.importorskip("marimo")
    file = tmp_path / "app.py"
    file.write_text(APP)
    server = Marimo(file)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def test_the_resolver_in_marimo(marimo: Marimo, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 1200})
    lab = Lab(marimo, context)  # type: ignore[arg-type]
    try:
        lab.page.goto(marimo.url)
        resolver = lab.page.get_by_test_id("icechunk-resolver")
        counter = resolver.get_by_test_id("icechunk-counter")
        expect(counter).to_contain_text("2 of 2")
        grid = resolver.get_by_test_id("icechunk-grid")
        expect(grid).to_have_attribute("data-grid-rows", MAP)
        grid.focus()
        lab.page.keyboard.type("ot")
        expect(counter).to_contain_text("All 2 chunks decided")
        expect(resolver.get_by_test_id("icechunk-message")).to_have_value("Merged in marimo")
        resolver.get_by_test_id("icechunk-complete").click()
        expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
        lab.screenshot("marimo")
        assert lab.external == []
        assert lab.errors == []
    finally:
        context.close()
