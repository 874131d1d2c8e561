"""Fixtures for all tests: isolation from the user's settings, and skips with reasons.

A test marked ``oracle``, ``lab`` or ``node`` needs something that a machine may lack; it is then
skipped with the reason. ``TESTS_REQUIRE="browser oracle node"`` turns those skips into failures.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.oracle import OLD_PYTHONS, ORACLE_PYTHON, ORACLE_V1_PYTHON

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")

# Machines may be loaded: Hypothesis sets no deadlines, pytest's timeout applies.
settings.register_profile(
    "default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=100)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@functools.cache
def browser_path() -> str | None:
    """The Chromium or Chrome to drive, found by the script that `make test` uses."""
    found = subprocess.run(
        [str(ROOT / "scripts/browser.sh")], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None


@functools.cache
def _node_is_there() -> bool:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return int(version.stdout.lstrip("v").split(".")[0] or 0) >= 20


#: marker -> (name in TESTS_REQUIRE, is it there?, what a person reads)
NEEDS = {
    "oracle": (
        "oracle",
        lambda: ORACLE_PYTHON is not None,
        "no reference environment: `make oracle` creates it where a Python 3.12+ exists",
    ),
    "oracle_v1": (
        "oracle",
        lambda: ORACLE_V1_PYTHON is not None,
        "no environment with the reference library 1.1.21: `make oracle` creates it where a "
        "Python 3.11 to 3.13 exists",
    ),
    "oracle_old": (
        "oracle",
        lambda: None not in OLD_PYTHONS.values(),
        "no environments with the reference library 1.0.3 and 2.0.5: `make oracle` creates them "
        "where Python 3.12 or 3.13 exists",
    ),
    "lab": (
        "browser",
        lambda: browser_path() is not None,
        "no Chromium or Chrome: scripts/browser.sh says how to get one",
    ),
    "node": ("node", _node_is_there, "no Node.js 20+ with npm"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail where it was required, a test whose surroundings are missing."""
    required = os.environ.get("TESTS_REQUIRE", "").split()
    for marker, (name, is_there, reason) in NEEDS.items():
        if item.get_closest_marker(marker) is None or is_there():
            continue
        if name in required:
            pytest.fail(f"{reason} (TESTS_REQUIRE names {name!r})", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(autouse=True, scope="session")
def _home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep IPython's and Jupyter's files of this run out of the user's home."""
    home = tmp_path_factory.mktemp("home")
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = str(home / name.lower())
