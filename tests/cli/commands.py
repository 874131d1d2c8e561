"""Run the command line in this process, or as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from icechunk.cli.app import app

SCRIPT = Path(sys.executable).with_name("icechunk.exe" if os.name == "nt" else "icechunk")


class Ran(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


class Commands:
    """Runs commands in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> Ran:
        self._capture.readouterr()
        try:
            app(list(words), prog_name="icechunk")
            status: Any = 0
        except SystemExit as end:
            status = end.code or 0
        out, err = self._capture.readouterr()
        assert "Traceback" not in err
        return Ran(status, out, err)


def run_script(*words: str, stdin: str | None = None, **environment: str) -> Ran:
    """Run the program as a shell would."""
    # An install older than the script's entry has none; the module is the same program.
    command = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "icechunk.cli"]
    done = subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        input=stdin,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )
    return Ran(done.returncode, done.stdout, done.stderr)
