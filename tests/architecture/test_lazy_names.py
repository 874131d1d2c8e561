"""`import icechunk` loads next to nothing; its names are there when they are asked for."""

from __future__ import annotations

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import icechunk

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "icechunk" / "__init__.py"


def typed_homes() -> dict[str, str]:
    """Names and their modules as a type checker sees them."""
    (block,) = (
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_type_checkers_and_programs_see_the_same() -> None:
    assert typed_homes() == icechunk._HOME_OF
    with_own = {*icechunk._HOME_OF, "SnapshotMetadata", "__version__", "load_ipython_extension"}
    assert set(icechunk.__all__) == with_own
    assert set(icechunk.__all__) <= set(dir(icechunk))


def test_every_name_is_what_its_module_has() -> None:
    for name, home in icechunk._HOME_OF.items():
        assert getattr(icechunk, name) is getattr(importlib.import_module(home), name)
    assert icechunk.SnapshotMetadata is icechunk.SnapshotInfo


def test_rooms_are_there_without_being_imported() -> None:
    code = "import icechunk; print(*(getattr(icechunk, name).__name__ for name in {!r}))"
    rooms = sorted(icechunk._ROOMS)
    assert run(code.format(rooms)) == [f"icechunk.{name}" for name in rooms]


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
    assert run(code) == ["icechunk._version", "icechunk"]
