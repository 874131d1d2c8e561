"""The notebook half: each widget is one class, and reaches the engine through public names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import icechunk_widgets
from icechunk_widgets.kernel.widget import BaseWidget

WIDGETS = ("ConflictResolver", "Diff", "History")
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
