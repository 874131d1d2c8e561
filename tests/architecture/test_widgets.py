"""The notebook half: each widget is one class, and reaches the engine through public names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import icechunk_widgets
from icechunk_widgets.kernel.widget import BaseWidget

WIDGETS = ("ConflictResolver", "Diff", "History")
#: Packages that the widgets do not import: `Repository` and `Session` offer their data.
INTERNAL = ("engine", "files", "refs", "spec", "storage", "store", "virtual_chunks")
#: Methods of IPython that its documentation offers for overriding.
OVERRIDDEN = {"_showtraceback"}
SOURCES = sorted(Path(icechunk_widgets.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("name", WIDGETS)
def test_a_widget_is_one_class(name: str) -> None:
    assert getattr(icechunk_widgets, name).__bases__ == (BaseWidget,)


def test_no_method_is_a_stub() -> None:
    stubs = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)
    ]
    assert stubs == []


def _private(tree: ast.Module) -> Iterator[ast.Attribute]:
    """Yield the private attributes of objects of other modules that a module names."""
    own = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls")
    }
    own |= OVERRIDDEN | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        private = isinstance(node, ast.Attribute) and node.attr.startswith("_")
        # Names such as `_repr_html_` are protocols of IPython.
        if private and node.attr not in own and not node.attr.endswith("_"):
            yield node


def test_no_private_attribute_of_the_engine_is_used() -> None:
    found = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for path in SOURCES
        for node in _private(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_no_internal_package_of_the_engine_is_imported() -> None:
    internal = tuple(f"icechunk.{name}" for name in INTERNAL)
    found = [
        f"{path.name}:{node.lineno}: {node.module}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(internal)
    ]
    assert found == []
