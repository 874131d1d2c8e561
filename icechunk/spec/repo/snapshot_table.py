"""Every snapshot of a repository, as columns: the list that spec 2 keeps in the repo object.

Each commit reads, extends and writes the whole list, so nothing here costs a Python object per
row: ids, parents and times are numpy columns, messages and metadata stay encoded, and a row becomes
a `SnapshotRecord` when it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from icechunk.core.errors import ErrorKind, FormatError, SnapshotNotFoundError
from icechunk.core.ids import OBJECT_ID_SIZE, ObjectId, id_text
from icechunk.spec.columns.text_pool import Ints, TextPool, insert_row
from icechunk.spec.flatbuffers import flex

Bytes: TypeAlias = "npt.NDArray[np.uint8]"

NO_PARENT = -1

LATEST_US = 253_402_300_799_999_999
"""Last microsecond of the year 9999: later times have no `datetime`."""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """What the repository knows of a snapshot without opening its file.

    Attributes
    ----------
    id, parent_id : ObjectId
        `parent_id` is None for the first snapshot of a history.
    flushed_at : int
        Microseconds since 1970, UTC.
    message : str
        Commit message.
    metadata : dict
        Commit metadata, JSON values.
    pruned : tuple of ObjectId
        Expired or collected ancestors whose transaction logs still count, oldest first.
    """

    id: ObjectId
    parent_id: ObjectId | None
    flushed_at: int
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)
    pruned: tuple[ObjectId, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PackedItems:
    """Metadata of many rows as the file has it: opaque values behind names.

    Attributes
    ----------
    first, count : int64 array, shape (n,)
        The items of each row in `names` and `values`.
    names, values : TextPool
        One row per item.
    """

    first: Ints
    count: Ints
    names: TextPool
    values: TextPool

    @classmethod
    def encoded(cls, metadata: Sequence[Mapping[str, Any]]) -> PackedItems:
        """Metadata of some rows, encoded."""
        items = [_encoded(values) for values in metadata]
        count = np.array([len(row) for row in items], np.int64)
        names = TextPool.from_raw(name for row in items for name, _ in row)
        values = TextPool.from_raw(value for row in items for _, value in row)
        return cls(np.cumsum(count) - count, count, names, values)

    def inserted(self, row: int, metadata: Mapping[str, Any]) -> PackedItems:
        """Copy with one more row at a position."""
        items = _encoded(metadata)
        return PackedItems(
            insert_row(self.first, row, len(self.names)),
            insert_row(self.count, row, len(items)),
            self.names.extended(name for name, _ in items) if items else self.names,
            self.values.extended(value for _, value in items) if items else self.values,
        )

    def of_row(self, row: int) -> dict[str, Any]:
        """Metadata of one row."""
        first, count = int(self.first[row]), int(self.count[row])
        found: dict[str, Any] = {}
        for item in range(first, first + count):
            name, value = self.names.text(item), self.values.raw(item)
            if name is not None and value is not None:
                found[name] = flex.decode(value, name="repo")
        return found

    def rows_with(self, name: str) -> Ints:
        """Rows that have a value under a name; nothing is decoded."""
        raw = np.frombuffer(name.encode(), np.uint8)
        items = np.flatnonzero(self.names.length == len(raw))
        if not len(items):
            return items
        data = np.frombuffer(self.names.data, np.uint8)
        spans = self.names.start[items][:, None] + np.arange(len(raw))
        items = items[(data[spans] == raw).all(axis=1)]
        owner = np.repeat(np.arange(len(self.count)), self.count)
        place = np.repeat(self.first, self.count) + _within(self.count)
        rows = np.full(len(self.names), -1, np.int64)
        rows[place] = owner
        found: Ints = np.sort(rows[items])
        return found[found >= 0]  # items of snapshots that were removed stay behind

    def of_rows(self, rows: Ints) -> list[dict[str, Any]]:
        """Metadata of many rows at once."""
        counts = self.count[rows]
        ends = np.cumsum(counts)
        at = np.arange(int(counts.sum())) + np.repeat(self.first[rows] - ends + counts, counts)
        starts = self.values.start[at]
        spans = zip(starts.tolist(), (starts + self.values.length[at]).tolist(), strict=True)
        data = self.values.data
        names = self.names.texts(at)
        values = [flex.decode(data[begin:end], name="repo") for begin, end in spans]
        items = zip(names, values, strict=True)
        if (counts == 1).all():
            return [{} if name is None else {name: value} for name, value in items]
        return [
            {name: value for name, value in islice(items, count) if name is not None}
            for count in counts.tolist()
        ]


def _within(count: Ints) -> Ints:
    """0, 1, … for the items of each row, one row after the other."""
    ends = np.cumsum(count)
    place: Ints = np.arange(int(count.sum())) - np.repeat(ends - count, count)
    return place


def _encoded(metadata: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Names and values of one row, in the order of the file."""
    return sorted((name.encode(), flex.encode(value)) for name, value in metadata.items())


def _id_column(ids: Iterable[bytes]) -> Bytes:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, OBJECT_ID_SIZE)


def _heads(ids: Bytes) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(ids[:, :8]).view(">u8")[:, 0].astype(np.uint64)


def _keys(ids: Bytes) -> npt.NDArray[np.bytes_]:
    """Ids as a column that compares like their bytes (all have one length: NULs do not matter)."""
    return np.ascontiguousarray(ids).view(f"S{OBJECT_ID_SIZE}").reshape(-1)


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotTable:
    """Snapshots sorted by the bytes of their ids.

    Attributes
    ----------
    ids : uint8 array, shape (n, 12)
        Strictly increasing.
    parents : int64 array, shape (n,)
        Row of each parent, `NO_PARENT` for none.
    flushed_at : int64 array, shape (n,)
        Microseconds since 1970, UTC.
    messages : TextPool
        Commit messages.
    packed : PackedItems
        Commit metadata.
    pruned_first, pruned_count : int64 array, shape (n,)
        Each row's pruned ancestors in `pruned_ids`.
    pruned_ids : uint8 array, shape (m, 12)
        Oldest first within a row.
    """

    ids: Bytes
    parents: Ints
    flushed_at: Ints
    messages: TextPool
    packed: PackedItems
    pruned_first: Ints
    pruned_count: Ints
    pruned_ids: Bytes

    @classmethod
    def from_records(cls, records: Iterable[SnapshotRecord]) -> SnapshotTable:
        """Table of the given snapshots, in any order.

        Raises
        ------
        FormatError
            Kind ``duplicate-snapshot-id``.
        SnapshotNotFoundError
            When a parent is not among them.
        """
        rows = sorted(records, key=lambda record: record.id)
        ids = _id_column(record.id for record in rows)
        check_increasing(ids)
        none = np.zeros(len(rows), np.int64)
        counts = np.array([len(record.pruned) for record in rows], np.int64)
        table = cls(
            ids=ids,
            parents=none,
            flushed_at=np.array([record.flushed_at for record in rows], np.int64),
            messages=TextPool.from_raw(record.message.encode() for record in rows),
            packed=PackedItems.encoded([record.metadata for record in rows]),
            pruned_first=np.cumsum(counts) - counts,
            pruned_count=counts,
            pruned_ids=_id_column(id for record in rows for id in record.pruned),
        )
        parents = [
            NO_PARENT if record.parent_id is None else table.row_of(record.parent_id)
            for record in rows
        ]
        return replace(table, parents=np.array(parents, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, snapshot_id: object) -> bool:
        return isinstance(snapshot_id, bytes) and self.find(ObjectId(snapshot_id)) >= 0

    def __iter__(self) -> Iterator[SnapshotRecord]:
        return (self.record(row) for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SnapshotTable):
            return NotImplemented
        same_columns = (
            np.array_equal(self.ids, other.ids)
            and np.array_equal(self.parents, other.parents)
            and np.array_equal(self.flushed_at, other.flushed_at)
        )
        return same_columns and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def find(self, snapshot_id: ObjectId) -> int:
        """Row of a snapshot, -1 when it is not in the table."""
        row = self._place(snapshot_id)
        return row if self.ids[row : row + 1].tobytes() == snapshot_id else -1

    def _place(self, snapshot_id: bytes) -> int:
        """Row where an id is, or would have to be inserted."""
        wanted = np.array([snapshot_id], f"S{OBJECT_ID_SIZE}")
        return int(np.searchsorted(_keys(self.ids), wanted)[0])

    def find_all(self, ids: Bytes) -> Ints:
        """Rows of many snapshots at once.

        Parameters
        ----------
        ids : uint8 array, shape (k, 12)

        Returns
        -------
        int64 array, shape (k,)
            -1 for ids that are not in the table.
        """
        if not len(self):
            return np.full(len(ids), -1, np.int64)
        # By the first 8 bytes as a number, which is much faster and nearly always enough.
        rows = np.searchsorted(_heads(self.ids), _heads(ids))
        if (rows < len(self)).all() and np.array_equal(self.ids[rows], ids):
            return rows
        keys, wanted = _keys(self.ids), _keys(ids)
        rows = np.minimum(np.searchsorted(keys, wanted), len(self) - 1)
        return np.where(keys[rows] == wanted, rows, -1)

    def row_of(self, snapshot_id: ObjectId) -> int:
        """Row of a snapshot.

        Raises
        ------
        SnapshotNotFoundError
            Kind ``snapshot-not-found``.
        """
        row = self.find(snapshot_id)
        if row < 0:
            raise SnapshotNotFoundError(
                f"snapshot id not found `{id_text(snapshot_id)}`. It may have expired; "
                "`Repository.ancestry` lists the snapshots of a branch.",
                ErrorKind.SNAPSHOT_NOT_FOUND,
            )
        return row

    def id_at(self, row: int) -> ObjectId:
        """Id of a row."""
        return ObjectId(self.ids[row].tobytes())

    def parent_of(self, row: int) -> ObjectId | None:
        """Id of a row's parent."""
        parent = int(self.parents[row])
        return None if parent == NO_PARENT else self.id_at(parent)

    def pruned_of(self, row: int) -> tuple[ObjectId, ...]:
        """Ids of a row's pruned ancestors, oldest first."""
        first, count = int(self.pruned_first[row]), int(self.pruned_count[row])
        return tuple(ObjectId(id.tobytes()) for id in self.pruned_ids[first : first + count])

    def message_of(self, row: int) -> str:
        """Commit message of a row."""
        return self.messages.text(row) or ""

    def metadata_of(self, row: int) -> dict[str, Any]:
        """Commit metadata of a row."""
        return self.packed.of_row(row)

    def record(self, row: int) -> SnapshotRecord:
        """Everything about a row."""
        return SnapshotRecord(
            id=self.id_at(row),
            parent_id=self.parent_of(row),
            flushed_at=int(self.flushed_at[row]),
            message=self.message_of(row),
            metadata=self.metadata_of(row),
            pruned=self.pruned_of(row),
        )

    def get(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        """Everything about a snapshot, None when it is not in the table."""
        row = self.find(snapshot_id)
        return None if row < 0 else self.record(row)

    def lineage(self, row: int) -> Iterator[int]:
        """Rows from a row back to the root of its history, itself first.

        Raises
        ------
        FormatError
            When the parents go round in a circle.
        """
        parents = self.parents.data  # its items are Python integers, not numpy scalars
        for _ in range(len(self)):
            yield row
            row = parents[row]
            if row == NO_PARENT:
                return
        self._circle(row)

    def line(self, row: int) -> list[int]:
        """All of `lineage` at once."""
        parents, rows, limit = self.parents.data, [row], len(self)
        add = rows.append
        while (row := parents[row]) != NO_PARENT:
            add(row)
            if len(rows) > limit:
                self._circle(row)
        return rows

    def _circle(self, row: int) -> NoReturn:
        raise FormatError(
            f"damaged history: the ancestors of snapshot `{id_text(self.id_at(row))}` go round in "
            "a circle. Restore the `repo` object from one of its copies below `overwritten/`.",
            ErrorKind.DESERIALIZATION,
        )

    def insert(self, record: SnapshotRecord) -> SnapshotTable:
        """Table with one more snapshot.

        Raises
        ------
        FormatError
            Kind ``duplicate-snapshot-id``.
        SnapshotNotFoundError
            When its parent is not in the table.
        """
        row = self._place(record.id)
        if row < len(self) and self.ids[row].tobytes() == record.id:
            _duplicate(record.id)
        parent = NO_PARENT if record.parent_id is None else self.row_of(record.parent_id)
        parents = insert_row(self.parents, row, parent)
        parents += parents >= row  # rows from here on have moved down by one
        pruned = _id_column(record.pruned)
        return SnapshotTable(
            ids=insert_row(self.ids, row, np.frombuffer(record.id, np.uint8)),
            parents=parents,
            flushed_at=insert_row(self.flushed_at, row, record.flushed_at),
            messages=self.messages.inserted(row, record.message.encode()),
            packed=self.packed.inserted(row, record.metadata),
            pruned_first=insert_row(self.pruned_first, row, len(self.pruned_ids)),
            pruned_count=insert_row(self.pruned_count, row, len(pruned)),
            pruned_ids=np.concatenate([self.pruned_ids, pruned])
            if len(pruned)
            else self.pruned_ids,
        )

    def without(
        self,
        removed: Collection[ObjectId],
        adopted: Mapping[ObjectId, tuple[ObjectId | None, tuple[ObjectId, ...]]],
    ) -> SnapshotTable:
        """Table without some snapshots, their children handed to other parents.

        Parameters
        ----------
        removed : collection of ObjectId
            Snapshots to drop; ids that are not in the table are ignored.
        adopted : mapping of ObjectId to (parent id or None, pruned ids)
            New parent and complete new list of pruned ancestors of survivors.

        Raises
        ------
        SnapshotNotFoundError
            When an adopted snapshot or its new parent is not in the table.
        FormatError
            When a survivor would keep a parent that is removed.
        """
        keep = np.ones(len(self), bool)
        gone = self.find_all(_id_column(removed))
        keep[gone[gone >= 0]] = False
        parents, first, count = (
            self.parents.copy(),
            self.pruned_first.copy(),
            self.pruned_count.copy(),
        )
        extra: list[bytes] = []
        for child, (parent, pruned) in adopted.items():
            row = self.row_of(child)
            parents[row] = NO_PARENT if parent is None else self.row_of(parent)
            first[row], count[row] = len(self.pruned_ids) + len(extra), len(pruned)
            extra += pruned
        there = keep & (parents != NO_PARENT)
        if not keep[parents[there]].all():
            orphan = np.flatnonzero(there)[~keep[parents[there]]][0]
            raise FormatError(
                f"snapshot `{id_text(self.id_at(int(orphan)))}` would lose its parent. Give it a "
                "new one in the same change.",
                ErrorKind.SERIALIZATION,
            )
        moved = np.append(np.cumsum(keep) - 1, NO_PARENT)  # the last entry serves NO_PARENT
        packed = replace(self.packed, first=self.packed.first[keep], count=self.packed.count[keep])
        ids = self.ids[keep]
        return SnapshotTable(
            ids=ids,
            parents=moved[parents[keep]],
            flushed_at=self.flushed_at[keep],
            messages=self.messages.taken(keep),
            packed=packed,
            pruned_first=first[keep],
            pruned_count=count[keep],
            pruned_ids=np.concatenate([self.pruned_ids, _id_column(extra)]),
        )


def _duplicate(snapshot_id: bytes) -> None:
    raise FormatError(
        f"duplicate snapshot id `{id_text(snapshot_id)}`: the repository has it already. "
        "Commit again to get a fresh id.",
        ErrorKind.DUPLICATE_SNAPSHOT_ID,
    )


def check_increasing(ids: Bytes) -> Bytes:
    """Return ids that increase strictly; refuse others, searches would miss some.

    Raises
    ------
    FormatError
        Kind ``duplicate-snapshot-id`` when two are equal, else ``deserialization``.
    """
    keys = _keys(ids)
    if (keys[1:] < keys[:-1]).any():
        raise FormatError(
            "damaged history: the snapshots are not sorted by id. Restore the `repo` object from "
            "one of its copies below `overwritten/`.",
            ErrorKind.DESERIALIZATION,
        )
    equal = np.flatnonzero(keys[1:] == keys[:-1])
    if len(equal):
        _duplicate(ids[equal[0]].tobytes())
    return ids
