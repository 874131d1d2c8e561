"""Branches or tags as columns: sorted names and what each points to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import numpy as np
import numpy.typing as npt

from icechunk.core.ids import OBJECT_ID_SIZE, ObjectId


class RefNames:
    """Names in the order of their UTF-8 bytes, shared by all `Refs` that have the same ones.

    Attributes
    ----------
    listed : list of str
        Increasing.
    encoded : object
        What the writer of the file keeps of them from commit to commit.
    """

    __slots__ = ("encoded", "listed")

    def __init__(self, listed: list[str]) -> None:
        self.listed = listed
        self.encoded: Any = None


class Refs(Mapping[str, ObjectId]):
    """An immutable mapping of names to snapshots; a changed copy shares what did not change.

    Parameters
    ----------
    targets : mapping of str to ObjectId
        What each name points to.

    Attributes
    ----------
    names : RefNames
        The names.
    ids : uint8 array, shape (n, 12)
        What each points to.
    """

    __slots__ = ("ids", "names")

    def __init__(self, targets: Mapping[str, ObjectId]) -> None:
        listed = sorted(targets)
        self.names = RefNames(listed)
        self.ids = _column(b"".join([targets[name] for name in listed]))

    @classmethod
    def of_columns(cls, names: RefNames, ids: npt.NDArray[np.uint8]) -> Refs:
        """Refs with the given columns."""
        refs = cls.__new__(cls)
        refs.names, refs.ids = names, ids
        return refs

    def pointed(self, name: str, target: ObjectId) -> Refs:
        """Copy with one more ref, or one that points elsewhere."""
        row, ids = self._place(name), self.ids
        if self._is_at(row, name):
            ids = ids.copy()
            ids[row] = _column(target)
            return self.of_columns(self.names, ids)
        listed = [*self.names.listed[:row], name, *self.names.listed[row:]]
        ids = np.concatenate([ids[:row], _column(target), ids[row:]])
        return self.of_columns(RefNames(listed), ids)

    def without(self, names: frozenset[str]) -> Refs:
        """Copy without some refs."""
        kept = [name not in names for name in self.names.listed]
        if all(kept):
            return self
        listed = [name for name in self.names.listed if name not in names]
        return self.of_columns(RefNames(listed), self.ids[kept])

    def _place(self, name: str) -> int:
        return bisect_left(self.names.listed, name)

    def _is_at(self, row: int, name: str) -> bool:
        return row < len(self) and self.names.listed[row] == name

    def __getitem__(self, name: str) -> ObjectId:
        row = self._place(name)
        if not self._is_at(row, name):
            raise KeyError(name)
        return ObjectId(self.ids[row].tobytes())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._is_at(self._place(name), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names.listed)

    def __len__(self) -> int:
        return len(self.names.listed)

    def __repr__(self) -> str:
        return f"Refs({dict(self)!r})"

    def targets(self) -> list[ObjectId]:
        """What each name points to, in the order of the names."""
        listed: list[ObjectId] = self.ids.view(f"V{OBJECT_ID_SIZE}").reshape(-1).tolist()
        return listed

    def items(self) -> ItemsView[str, ObjectId]:
        """Names and targets."""
        return _Items(self)

    def values(self) -> ValuesView[ObjectId]:
        """Targets, also where several names have the same."""
        return _Values(self)


class _Items(ItemsView[str, ObjectId]):
    """Items without a search for each."""

    _mapping: Refs

    def __iter__(self) -> Iterator[tuple[str, ObjectId]]:
        return zip(self._mapping, self._mapping.targets(), strict=True)


class _Values(ValuesView[ObjectId]):
    """Values without a search for each."""

    _mapping: Refs

    def __iter__(self) -> Iterator[ObjectId]:
        return iter(self._mapping.targets())


def _column(raw: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(raw, np.uint8).reshape(-1, OBJECT_ID_SIZE)
