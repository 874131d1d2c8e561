"""`%icechunk doctor`: a report with a text and an HTML form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import icechunk
from icechunk_widgets.magic.run import run


def test_the_open_repository() -> None:
    names: dict[str, Any] = {"repo": icechunk.Repository.create(icechunk.in_memory_storage())}
    report = run("doctor", names)
    assert isinstance(report, icechunk.StorageReport)
    assert report.can_commit is True
    assert report["repository"].found.startswith("a repository: format 2")
    assert "<table" in report._repr_html_()


@pytest.mark.parametrize("line", ["doctor mine", "doctor {folder}", "doctor memory"])
def test_a_place(line: str, tmp_path: Path) -> None:
    names = {"mine": icechunk.in_memory_storage()}
    report = run(line.format(folder=tmp_path), names)
    assert report.can_commit is True
    assert list(tmp_path.iterdir()) == []


def test_without_writing(tmp_path: Path) -> None:
    report = run(f"doctor {tmp_path} --read-only", {})
    assert report.ok
    assert report.can_commit is None


def test_without_a_repository() -> None:
    with pytest.raises(icechunk.IcechunkError, match="no repository is open"):
        run("doctor", {})
