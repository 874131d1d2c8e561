"""A release publishes the changelog section of its tag, or nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    for name in ("scripts/release_notes.py", "icechunk/_version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def notes(project: Path, tag: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/release_notes.py", tag]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_the_section_of_the_tag_is_printed(project: Path) -> None:
    (project / "icechunk/_version.py").write_text('DISTRIBUTION_VERSION = "1.2.0"\n')
    (project / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- next\n\n## 1.2.0 - 2026-12-01\n\n- this\n\n"
        "## 1.1.0 - 2026-11-01\n\n- former\n"
    )
    done = notes(project, "v1.2.0")
    assert (done.returncode, done.stdout) == (0, "- this\n")


@pytest.mark.parametrize(
    ("tag", "reason"), [("v9.9.9", "make them equal"), ("v1.2.0", "no section")]
)
def test_a_tag_that_does_not_fit_is_refused(project: Path, tag: str, reason: str) -> None:
    (project / "icechunk/_version.py").write_text('DISTRIBUTION_VERSION = "1.2.0"\n')
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- next\n")
    done = notes(project, tag)
    assert done.returncode != 0
    assert reason in done.stderr
