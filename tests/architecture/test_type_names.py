"""A name of a type means one thing in every module of a package."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("icechunk", "icechunk_widgets")


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the public CamelCase names that a module assigns to types, and the types."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and "TypeAlias" in ast.unparse(
            statement.annotation
        ):
            targets, value = [statement.target], statement.value
        else:
            continue
        if not isinstance(value, ast.Subscript) and not isinstance(statement, ast.AnnAssign):
            continue
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            if name[0].isupper() and not name.isupper():
                yield name, ast.unparse(value) if value else ""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_type_alias_has_one_definition(package: str) -> None:
    meanings: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted((ROOT / package).rglob("*.py")):
        for name, meaning in _aliases(ast.parse(path.read_text(), str(path))):
            meanings[name][meaning] = str(path.relative_to(ROOT))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
