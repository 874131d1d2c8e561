"""`import icechunk` loads next to nothing; its names are there when they are asked for."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import icechunk
from icechunk.core.lazy import public_names

ROOT = Path(__file__).resolve().parents[2]


PACKAGES = ("icechunk", "icechunk.conflicts", "icechunk.repository", "icechunk.session",
            "icechunk.store", "icechunk._icechunk_python")  # fmt: skip


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_what_its_module_has(package: str) -> None:
    module = importlib.import_module(package)
    names = public_names(package)
    for name, (home, original) in names.items():
        expected = getattr(importlib.import_module(home), original)
        assert getattr(module, name) is expected, name
    assert set(module.__all__) <= set(dir(module))
    assert {name for name, (home, _) in names.items() if home != package} <= set(module.__all__)


def test_the_stub_has_every_public_name() -> None:
    own = {"load_ipython_extension"}
    assert set(icechunk.__all__) - own == {
        name for name, (home, _) in public_names("icechunk").items() if home != "icechunk"
    }
    assert icechunk.SnapshotMetadata is icechunk.SnapshotInfo


def test_modules_are_there_without_being_imported() -> None:
    code = "import icechunk; print(*(getattr(icechunk, name).__name__ for name in {!r}))"
    modules = [name for name, (home, _) in public_names("icechunk").items() if home == "icechunk"]
    assert "session" in modules
    assert run(code.format(modules)) == [f"icechunk.{name}" for name in modules]


def test_users_see_types_and_signatures(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy belongs to the development environment")
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, "--no-error-summary", "program.py"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )  # fmt: skip
    found = [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
    assert found == [
        'note: Revealed type is "icechunk.repository.repository.Repository"',
        'note: Revealed type is "icechunk.session.session.Session"',
        'error: Module has no attribute "nothing"  [attr-defined]',
    ]
    parameters = inspect.signature(icechunk.Repository.open).parameters
    assert list(parameters)[:2] == ["storage", "config"]


PROGRAM = """
import icechunk
from icechunk import ErrorKind, SnapshotMetadata, s3_storage

repo = icechunk.Repository.create(icechunk.in_memory_storage())
reveal_type(repo)
reveal_type(repo.writable_session("main"))
icechunk.nothing
"""


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'icechunk' has no attribute 'nothing'"):
        icechunk.nothing  # noqa: B018
    assert not hasattr(icechunk, "__wrapped__")


def test_all_names_come_with_a_star() -> None:
    assert run("from icechunk import *; print(Repository.__name__, s3_storage.__name__)") == [
        "Repository",
        "s3_storage",
    ]


def test_a_pickle_loads_what_it_needs() -> None:
    pickled = pickle.dumps([icechunk.Diff(new_groups=["/g"]), icechunk.ConflictError])
    found = run(f"import pickle; print(*map(type, pickle.loads({pickled!r})))")
    assert found == ["<class", "'icechunk.Diff'>", "<class", "'type'>"]


def test_the_import_alone_loads_no_room() -> None:
    code = "import icechunk, sys; print(*(m for m in sys.modules if m.startswith('icechunk')))"
    assert set(run(code)) == {
        "icechunk",
        "icechunk._version",
        "icechunk.core",
        "icechunk.core.lazy",
    }


@pytest.mark.parametrize("switch", ["enable", "disable"])
def test_loading_a_name_collects_no_garbage_and_leaves_the_collector_as_it_was(switch: str) -> None:
    code = (
        f"import gc, zarr, icechunk\n"
        f"gc.{switch}()\n"
        f"before, had = gc.get_stats()[2]['collections'], gc.isenabled()\n"
        f"icechunk.Repository\n"
        f"print(gc.get_stats()[2]['collections'] - before, gc.isenabled() == had)\n"
    )
    assert run(code) == ["0", "True"]


def test_a_failed_load_leaves_the_collector_on() -> None:
    code = (
        "import gc, icechunk.core.lazy as lazy\n"
        "try:\n    lazy._imported('icechunk.absent')\n"
        "except ModuleNotFoundError:\n    print(gc.isenabled())\n"
    )
    assert run(code) == ["True"]
