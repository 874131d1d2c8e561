"""Rows of a snapshot table as records whose parts are made when somebody asks for them.

Listing a history of 10,000 commits touches each of them; decoding ids, messages and metadata that
nobody looks at would cost many times the listing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from icechunk.model.snapshot_table import SnapshotRecord, SnapshotTable

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


class LazyRecords(Sequence[SnapshotRecord]):
    """Records of some rows, each made when it is asked for.

    Parameters
    ----------
    table : SnapshotTable
        Where they are.
    rows : list of int
        Which ones.
    """

    __slots__ = ("_rows", "_table")

    def __init__(self, table: SnapshotTable, rows: list[int]) -> None:
        self._table = table
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> SnapshotRecord: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SnapshotRecord]: ...

    def __getitem__(self, index: int | slice) -> SnapshotRecord | Sequence[SnapshotRecord]:
        rows = self._rows[index]
        if isinstance(rows, list):
            return LazyRecords(self._table, rows)
        return lazy_record(self._table, rows)

    def __iter__(self) -> Iterator[SnapshotRecord]:
        return (lazy_record(self._table, row) for row in self._rows)


def lazy_record(table: SnapshotTable, row: int) -> LazyRecord:
    """Record of a row."""
    record: LazyRecord = _new(LazyRecord)
    _set(record, "_table", table)
    _set(record, "_row", row)
    return record
