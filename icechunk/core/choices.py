"""Enumerations that do not compare equal to their integer value."""

from __future__ import annotations

from enum import Enum
from typing import Any


class Choice(Enum):
    """Base of enumerations: a member equals itself only, ``int()`` gives its number.

    Members pickle by their number.
    """

    def __int__(self) -> int:
        return int(self.value)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return hash(self._name_)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value,)

    def __getstate__(self) -> None:
        """Return nothing: the number in `__reduce__` is the whole state."""

    def __setstate__(self, state: object) -> None:
        """Ignore the state; see `__getstate__`."""
