"""The example of virtual chunks runs and prints what it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_it_tells_its_story(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("output"))
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning:scipy", folder / "virtual_chunks.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    for line in (
        "All 10 variables read equal to the file.",
        "SST now has 1 chunk in the repository and 11 in the file.",
        "Without authorisation: unauthorized-virtual-chunk-container.",
        "After another program changed the file: virtual-chunk-modified.",
    ):
        assert line in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
