"""Histories as sequences of records that are walked, and decoded, no further than they are read.

Decoding ids, messages and metadata that are not read costs many times the walk itself, and walking
to the root many times what the first ten of a log cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from icechunk.core.clock import to_datetime
from icechunk.spec.columns.id_columns import texts_of
from icechunk.spec.columns.text_pool import Ints
from icechunk.spec.repo.snapshot_table import NO_PARENT, SnapshotRecord, SnapshotTable

_READ: dict[str, Callable[[SnapshotTable, int], Any]] = {
    "id": SnapshotTable.id_at,
    "parent_id": SnapshotTable.parent_of,
    "flushed_at": lambda table, row: int(table.flushed_at[row]),
    "message": SnapshotTable.message_of,
    "metadata": SnapshotTable.metadata_of,
    "pruned": SnapshotTable.pruned_of,
}
_new, _set = object.__new__, object.__setattr__


class LazyRecord(SnapshotRecord):
    """A record backed by a row of a table; equal to a plain one with the same content."""

    __slots__ = ("_row", "_table")

    _row: int
    _table: SnapshotTable

    def __getattr__(self, name: str) -> Any:
        read = _READ.get(name)
        if read is None:
            raise AttributeError(name)
        value = read(self._table, self._row)
        _set(self, name, value)
        return value

    def _content(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _READ)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SnapshotRecord):
            return NotImplemented
        return self._content() == tuple(getattr(other, name) for name in _READ)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return SnapshotRecord, self._content()


class Walk(Sequence[SnapshotRecord]):
    """Records that an iterator gives, as a sequence: it goes only as far as it is asked to.

    Parameters
    ----------
    records : iterable of SnapshotRecord
        A walk back through a history.
    """

    __slots__ = ("_found", "_more")

    def __init__(self, records: Iterable[Any]) -> None:
        self._found: list[Any] = []
        self._more = iter(records)

    def reach(self, count: int) -> int:
        """Walk until there are so many records; return how many there are, at most `count`."""
        if len(self._found) < count:
            self._found.extend(islice(self._more, count - len(self._found)))
        return min(len(self._found), count)

    def _made(self, item: Any) -> SnapshotRecord:
        """Record of what the iterator gave."""
        record: SnapshotRecord = item
        return record

    def value(self, at: int, name: str) -> Any:
        """One attribute of one record that was reached."""
        return getattr(self._found[at], name)

    def column(self, name: str, which: range) -> list[Any] | None:
        """One attribute of many records, decoded at once; None where they are records already."""
        return None

    def __iter__(self) -> Iterator[SnapshotRecord]:
        at = 0
        while at < self.reach(at + 1):
            yield self._made(self._found[at])
            at += 1

    def __len__(self) -> int:
        self._found.extend(self._more)
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> SnapshotRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[SnapshotRecord]: ...

    def __getitem__(self, index: int | slice) -> SnapshotRecord | list[SnapshotRecord]:
        if isinstance(index, slice):
            return [self._made(self._found[at]) for at in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < self.reach(index + 1):
            raise IndexError(f"no commit {index} in this history")
        return self._made(self._found[index])


class LazyRecords(Walk):
    """Records of some rows, each made when it is asked for.

    Parameters
    ----------
    table : SnapshotTable
        Where they are.
    rows : iterable of int
        Which ones.
    """

    __slots__ = ("_table",)

    def __init__(self, table: SnapshotTable, rows: Iterable[int]) -> None:
        super().__init__(rows)
        self._table = table

    def _made(self, item: int) -> SnapshotRecord:
        return lazy_record(self._table, item)

    def value(self, at: int, name: str) -> Any:
        """One attribute of one row that was reached, without its record."""
        return _READ[name](self._table, self._found[at])

    def column(self, name: str, which: range) -> list[Any] | None:
        """One attribute of many records, decoded at once.

        Parameters
        ----------
        name : str
            ``id`` and ``parent_id`` (20 characters), ``written_at`` (datetime), ``message`` or
            ``metadata``.
        which : range
            Positions in this sequence.

        Returns
        -------
        list or None
            None for anything else.
        """
        read = _COLUMNS.get(name)
        rows = np.array(self._found[which.start : self.reach(which.stop)], np.int64)
        return None if read is None else read(self._table, rows)


def lazy_record(table: SnapshotTable, row: int) -> LazyRecord:
    """Record of a row."""
    record: LazyRecord = _new(LazyRecord)
    _set(record, "_table", table)
    _set(record, "_row", row)
    return record


def _parents(table: SnapshotTable, rows: Ints) -> list[str | None]:
    parents = table.parents[rows]
    texts = texts_of(_ids(table, np.maximum(parents, 0)))
    return [
        None if parent == NO_PARENT else text
        for parent, text in zip(parents.tolist(), texts, strict=True)
    ]


def _ids(table: SnapshotTable, rows: Ints) -> Any:
    return np.ascontiguousarray(table.ids[rows]).reshape(-1).view("S12")


_COLUMNS: dict[str, Callable[[SnapshotTable, Ints], list[Any]]] = {
    "id": lambda table, rows: texts_of(_ids(table, rows)),
    "parent_id": _parents,
    "written_at": lambda table, rows: [to_datetime(us) for us in table.flushed_at[rows].tolist()],
    "message": lambda table, rows: [text or "" for text in table.messages.texts(rows)],
    "metadata": lambda table, rows: table.packed.of_rows(rows),
}
