"""ARCHITECTURE.md and package docstrings name modules and layers that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.test_layers import LAYER_OF

#: Where a path that a document names may start.
STARTS = ("", "icechunk", "icechunk/spec", "icechunk_widgets", "jupyterlab_extension")


def named_paths(text: str) -> set[str]:
    """Paths in backticks, such as `core/`, `core/locks.py`, `engine/payload.ChunkWriter`."""
    current = text.partition("## Former names")[0]
    paths = set(re.findall(r"`(\w[\w./-]*/[\w./-]*)`", current))
    return {path for path in paths if "//" not in path} - {"text/html"}


def exists(root: Path, name: str) -> bool:
    without_attribute = re.sub(r"\.[^./]+$", "", name)
    endings = (name, f"{name}.py", f"{without_attribute}.py")
    return any((root / start / ending).exists() for start in STARTS for ending in endings)


def test_modules_that_the_document_names_exist(root: Path) -> None:
    names = named_paths((root / "ARCHITECTURE.md").read_text())
    assert len(names) > 40
    assert sorted(name for name in names if not exists(root, name)) == []


def test_every_package_of_the_engine_has_its_layer(root: Path) -> None:
    table = (root / "ARCHITECTURE.md").read_text()
    packages = {p.parent.name for p in (root / "icechunk").glob("*/__init__.py")}
    assert sorted(p for p in packages - {"vendor"} if f"`{p}/`" not in table) == []


def test_documents_number_the_layers_as_imports_are_checked(root: Path) -> None:
    table = (root / "ARCHITECTURE.md").read_text().partition("## Merging")[0]
    said = [
        (package, int(number))
        for number, cell in re.findall(r"^\| (\d+) \| ([^|]+) \|", table, re.MULTILINE)
        for package in re.findall(r"`(\w+)/`", cell)
    ]
    for file in (root / "icechunk").glob("*/__init__.py"):
        docstring = file.read_text()
        said += [(file.parent.name, int(n)) for n in re.findall(r"\(layer (\d+)\)", docstring)]
    assert len(said) > 25
    assert sorted((name, layer) for name, layer in said if LAYER_OF[name] != layer) == []
