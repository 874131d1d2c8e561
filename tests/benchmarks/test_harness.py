"""The benchmark harness, run small: every case works, and the report says what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SOME = {"get", "write-disk", "refs-list-urls", "tree-open", "rebase", "import", "collect"}


@pytest.mark.slow
@pytest.mark.timeout(600)  # a process for every step of every case
def test_every_case_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "benchmarks/run.py", "--rounds", "1", "--scale", "0.002",
            "--reference", str(tmp_path / "none"), "--memory", str(tmp_path),
            "--disk", str(tmp_path), "--output", str(tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["cases"].keys() > SOME
    for case in record["cases"].values():
        assert "ours" in case["samples"]
        for samples in case["samples"].values():
            (sample,) = samples
            assert sample["wall"] > 0
            assert sample["peak_rss"] > 1_000_000
    text = (tmp_path / "report.md").read_text()
    assert all(f"### `{name}`" in text for name in record["cases"])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"report.md", "report.json"}, "a run removes its data"


def test_a_reference_is_never_our_own_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "benchmarks/worker.py", "measure", "--case", "write",
            "--implementation", "reference", "--folder", str(tmp_path / "x"), "--size", "3",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "reference: found icechunk 2.3.0+jupyter." in done.stderr
