"""The constructors ``Storage.new_...``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


class Constructor:
    """The function of the same name in the module of a store kind.

    The kinds derive their storages from `Storage`, which cannot import them in turn: their modules
    are imported by name, on first use.
    """

    def __init__(self, kind: str) -> None:
        self._module = f"icechunk.storage.kinds.{kind}"

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type[Any]) -> Callable[..., Any]:
        make: Callable[..., Any] = getattr(import_module(self._module), self._name)
        return make
