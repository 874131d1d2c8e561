"""Every setting has an effect, or is in the table of those accepted for compatibility."""

from __future__ import annotations

import ast
import copy
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import icechunk
from icechunk.config import resolve as resolving
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import WITHOUT_EFFECT, Preload, Retries, Settings, StorageTuning
from icechunk.config.storage import StorageTimeoutSettings
from icechunk.config.values import Value

PACKAGE = Path(icechunk.__file__).parent
IN_FORCE = (Settings, Preload, Retries, StorageTuning)

HOLDERS = {"settings", "_settings", "tuning", "_tuning", "retries", "_retries", "limits", "rule"}
"""Names that the code gives to objects of these classes."""


def read_in(text: str) -> set[str]:
    """Attributes that a module reads of an object that holds settings."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            base = node.value
            name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
            if name in HOLDERS:
                found.add(node.attr)
    return found


READ: set[str] = set()
for _module in PACKAGE.rglob("*.py"):
    if _module != Path(inspect.getfile(resolving)):
        READ |= read_in(_module.read_text(encoding="utf-8"))


def test_every_class_of_settings_in_force_is_checked():
    declared = {
        each
        for _, each in inspect.getmembers(resolving, inspect.isclass)
        if issubclass(each, tuple) and each.__module__ == resolving.__name__
    }
    assert declared == set(IN_FORCE)


@pytest.mark.parametrize("kind", IN_FORCE)
def test_every_field_in_force_has_a_reader(kind):
    assert set(kind._fields) <= READ


def test_the_search_for_readers_distinguishes_used_from_unused_fields():
    text = "def f(ctx): ctx.settings.used; ctx.settings.written = 1; other.unused"
    assert read_in(text) == {"used"}
    assert "not_a_field" not in READ


def leaves(kind: type[Value], path: tuple[str, ...] = ()) -> Iterator[tuple[type[Value], Any]]:
    """Class and path of every field that is no configuration itself."""
    for name, field in kind._rules_.items():
        if isinstance(field.kind, type) and issubclass(field.kind, Value):
            yield from leaves(field.kind, (*path, name))
        elif field.kind is None and name in NESTED:
            yield from leaves(NESTED[name], (*path, name))
        else:
            yield kind, (*path, name)


NESTED: dict[str, type[Value]] = {"timeouts": StorageTimeoutSettings}
LEAVES = list(leaves(RepositoryConfig))

CANDIDATES: tuple[Any, ...] = (
    7,
    True,
    False,
    "CLASS",
    icechunk.ManifestPreloadCondition.name_matches("x"),
    [(icechunk.ManifestSplitCondition.AnyArray(), [(icechunk.ManifestSplitDimCondition.Any(), 9)])],
    {
        "file:///d/": icechunk.VirtualChunkContainer(
            "file:///d/", icechunk.local_filesystem_store("/d")
        )
    },
)


def with_field(path: tuple[str, ...], value: Any) -> RepositoryConfig:
    """A configuration with one field set."""
    config = RepositoryConfig()
    holder: Any = config
    for name in path[:-1]:
        kind = holder._rules_[name].kind or NESTED[name]
        setattr(holder, name, kind())
        holder = getattr(holder, name)
    setattr(holder, path[-1], value)
    return config


def changes_something(path: tuple[str, ...]) -> bool:
    """Whether some value of a field leads to other settings in force."""
    usual = resolving.resolve(None)
    accepted = 0
    for value in CANDIDATES:
        try:
            config = with_field(path, copy.deepcopy(value))
        except (TypeError, ValueError, OverflowError):
            continue
        accepted += 1
        if resolving.resolve(config) != usual:
            return True
    assert accepted, f"no candidate fits {path}: add one"
    return False


def in_table(kind: type[Value], name: str) -> bool:
    return name in WITHOUT_EFFECT.get(kind.__name__, ())


@pytest.mark.parametrize(
    ("kind", "path"), [one for one in LEAVES if one[1][-1] != "algorithm"], ids=str
)
def test_every_field_of_a_configuration_is_in_force_or_in_the_table(kind, path):
    assert changes_something(path) != in_table(kind, path[-1])


def test_the_table_names_fields_that_exist_and_whose_text_says_so():
    kinds = {kind.__name__: kind for kind, _ in LEAVES}
    for name, fields in WITHOUT_EFFECT.items():
        kind = kinds[name]
        text = " ".join(typing.cast(str, kind.__doc__).split())
        assert set(fields) <= set(kind._rules_)
        said = text.count("Accepted for compatibility, without effect")
        assert said == len(fields) or (said == 1 and set(fields) == set(kind._rules_))


def test_all_settings_are_checked():
    assert len(LEAVES) > 40
    assert resolving.storage_tuning(None) == resolving.resolve(None).storage
