"""No tracked file contains addresses or paths of a developer's machine."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout: nothing is tracked here")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def _lines_matching(pattern: str) -> list[str]:
    found = []
    for path in _tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        if "\0" in text:  # data, not text
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(text.splitlines(), 1)
            if re.search(pattern, line)
        ]
    return found


def test_no_package_registry_is_written_down() -> None:
    assert not _lines_matching(
        r"--(extra-)?index-url|--registry[= ]|(index|registry)[-_]?url\s*="
        r"|\"resolved\":|registry\.npmjs|pypi\.org/simple|files\.pythonhosted"
    )


def test_the_npm_lock_names_no_download_addresses() -> None:
    lock = ROOT / "jupyterlab_extension" / "package-lock.json"
    if not lock.exists():
        pytest.skip("no npm project in this tree")
    packages = json.loads(lock.read_text())["packages"]
    assert len(packages) > 1
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


def test_no_machine_paths() -> None:
    assert not _lines_matching(r"(?<![\w.~/-])/(home|Users|root|work)/[\w.-]+/")


def test_this_checkouts_own_path_is_not_written_down() -> None:
    assert not _lines_matching(rf"(?<![\w.~/-]){re.escape(str(ROOT))}/")
