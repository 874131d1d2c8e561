"""The list of snapshots in the repo object: columns to flatbuffer bytes and back.

Icechunk spec 2, repo info, table ``SnapshotInfo``: 0 id, 1 parent_offset (row, -1 = none, absent =
0), 2 flushed_at, 3 message, 4 metadata, 5 pruned_ancestor_tx_logs.  All records written here have
the same 40 bytes, so that numpy fills them column by column::

     0 i32 soffset | 4 id | 16 u64 flushed_at | 24 i32 parent | 28 → message | 32 → metadata
    36 → pruned ids
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.spec.columns.text_pool import TextPool
from icechunk.spec.flatbuffers.columns import TableColumn, gather
from icechunk.spec.flatbuffers.write import MAX_BODY
from icechunk.spec.repo.snapshot_table import (
    LATEST_US,
    NO_PARENT,
    PackedItems,
    SnapshotTable,
    check_increasing,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.spec.columns.text_pool import Ints
    from icechunk.spec.flatbuffers.read import Body

_RECORD = np.dtype(
    [
        ("soffset", "<i4"),
        ("id", "u1", 12),
        ("flushed_at", "<u8"),
        ("parent", "<i4"),
        ("message", "<u4"),
        ("metadata", "<u4"),
        ("pruned", "<u4"),
    ]
)
_ITEM = np.dtype([("soffset", "<i4"), ("name", "<u4"), ("value", "<u4")])


def _record_vtable(metadata: bool, pruned: bool) -> list[int]:
    """Vtable of a record, with or without its optional fields (16 bytes)."""
    return [16, 40, 4, 24, 16, 28, 32 if metadata else 0, 36 if pruned else 0]


_VTABLES = (
    np.array([_record_vtable(bool(code & 1), bool(code & 2)) for code in range(4)], "<u2").tobytes()
    + np.array([8, 12, 4, 8], "<u2").tobytes()
)
_ITEM_VTABLE = 64
_VECTOR = len(_VTABLES)  # position of the vector of records


def spread(first: Ints, count: Ints) -> Ints:
    """Concatenation of the ranges ``first[k] ... first[k] + count[k] - 1``."""
    if (count == 1).all():
        return first
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(first - ends + count, count)


def write_rows(table: SnapshotTable) -> tuple[memoryview, int]:
    """Bytes of the list of snapshots.

    Parameters
    ----------
    table : SnapshotTable
        The rows.

    Returns
    -------
    memoryview
        Self-contained block, to be placed at a multiple of 8.
    int
        Position, within the block, of the vector.

    Raises
    ------
    FormatError
        When the block would exceed what a flatbuffer can address.
    """
    count = len(table)
    texts = table.messages.ready()
    records_at = _VECTOR + _roundup(4 + 4 * count)
    items_at = records_at + _RECORD.itemsize * count
    pruned_at = items_at + _items_size(table.packed)
    texts_at = pruned_at + _pruned_size(table)
    size = texts_at + len(texts.data)
    if size > MAX_BODY:
        raise FormatError(
            f"the list of {count} snapshots needs {size} bytes, the format allows {MAX_BODY}. "
            "Expire old snapshots.",
            ErrorKind.SERIALIZATION,
        )
    # Everything is written in its final place: fresh memory costs as much as what is done in it.
    out = np.empty(size, np.uint8)
    row_at = np.arange(records_at, items_at, _RECORD.itemsize)
    records = out[records_at:items_at].view(_RECORD)
    records["soffset"] = row_at - 16 * ((table.packed.count > 0) + 2 * (table.pruned_count > 0))
    records["id"] = table.ids
    records["flushed_at"] = table.flushed_at
    records["parent"] = table.parents
    records["message"] = texts.start + (texts_at - 4 - 28) - row_at
    records["metadata"] = _write_items(out, items_at, table.packed, row_at + 32)
    records["pruned"] = _write_pruned(out, pruned_at, table, row_at + 36)
    out[:_VECTOR] = np.frombuffer(_VTABLES, np.uint8)
    out[_VECTOR:records_at] = np.frombuffer(offset_vector(_VECTOR, row_at), np.uint8)
    out[texts_at:] = np.frombuffer(texts.data, np.uint8)
    return out.data, _VECTOR


def _roundup(size: int) -> int:
    """Next multiple of 8."""
    return -(-size // 8) * 8


def offset_vector(at: int, targets: Ints) -> bytes:
    """Vector of offsets to tables, padded to a multiple of 8 bytes.

    Parameters
    ----------
    at : int
        Position of the vector, a multiple of 8.
    targets : int64 array, shape (n,)
        Positions of the tables, behind it.
    """
    count = len(targets)
    words = np.zeros(_roundup(4 + 4 * count) // 4, "<u4")
    words[0] = count
    words[1 : 1 + count] = targets - (at + 4 + 4 * np.arange(count))
    return words.tobytes()


def _items_size(packed: PackedItems) -> int:
    """Bytes that the metadata of all rows takes."""
    rows, items = int(np.count_nonzero(packed.count)), int(packed.count.sum())
    texts = len(packed.names.ready().data) + len(packed.values.ready().data)
    return 4 * (rows + items) + _ITEM.itemsize * items + texts


def _write_items(out: NDArray[np.uint8], at: int, packed: PackedItems, fields: Ints) -> Ints:
    """Metadata of all rows, vectors, tables, names and values, written at a position.

    Returns
    -------
    int64 array, shape (n,)
        Distance of each row's vector from its field; 0 for rows without metadata.
    """
    distances = np.zeros(len(packed.count), np.int64)
    names, values = packed.names.ready(), packed.values.ready()
    if not names.data:
        return distances
    rows = np.flatnonzero(packed.count)
    count = packed.count[rows]
    items = spread(packed.first[rows], count)
    tables_at = at + 4 * (len(rows) + len(items))
    names_at = tables_at + _ITEM.itemsize * len(items)
    values_at = names_at + len(names.data)
    words = out[at:tables_at].view("<u4")
    tables = out[tables_at:names_at].view(_ITEM)
    item_at = np.arange(tables_at, names_at, _ITEM.itemsize)
    ends = np.cumsum(1 + count)
    vector_word = ends - (1 + count)
    item_word = spread(vector_word + 1, count)
    words[vector_word] = count
    words[item_word] = item_at - (at + 4 * item_word)
    tables["soffset"] = item_at - _ITEM_VTABLE
    tables["name"] = names.start[items] + (names_at - 4 - 4) - item_at
    tables["value"] = values.start[items] + (values_at - 4 - 8) - item_at
    out[names_at:values_at] = np.frombuffer(names.data, np.uint8)
    out[values_at : values_at + len(values.data)] = np.frombuffer(values.data, np.uint8)
    distances[rows] = at + 4 * vector_word - fields[rows]
    return distances


def _pruned_size(table: SnapshotTable) -> int:
    """Bytes that the pruned ancestors of all rows take."""
    return 4 * int(np.count_nonzero(table.pruned_count)) + 12 * int(table.pruned_count.sum())


def _write_pruned(out: NDArray[np.uint8], at: int, table: SnapshotTable, fields: Ints) -> Ints:
    """Pruned ancestors of all rows, written at a position; distances as of `_write_items`."""
    distances = np.zeros(len(table), np.int64)
    rows = np.flatnonzero(table.pruned_count)
    if len(rows):
        count = table.pruned_count[rows]
        ids = table.pruned_ids[spread(table.pruned_first[rows], count)]
        starts = np.cumsum(1 + 3 * count) - (1 + 3 * count)
        words = out[at : at + 4 * (len(rows) + 3 * len(ids))].view("<u4")
        is_count = np.zeros(len(words), bool)
        is_count[starts] = True
        words[is_count] = count
        words[~is_count] = ids.reshape(-1).view("<u4")
        distances[rows] = at + 4 * starts - fields[rows]
    return distances


def read_rows(rows: TableColumn) -> SnapshotTable:
    """List of snapshots from the tables of a `Repo` table.

    Parameters
    ----------
    rows : TableColumn
        The vector of snapshots.

    Raises
    ------
    FormatError
        For positions outside the buffer, missing fields, ids that repeat or are out of order,
        parents that do not exist and impossible times.
    """
    body = rows.body
    rows.require(0)
    rows.require(3)
    parents = rows.i32(1).astype(np.int64)
    if len(rows) and (parents.min() < NO_PARENT or parents.max() >= len(rows)):
        body.fail("the parent of a snapshot does not exist")
    pruned_at, pruned_count = rows.vectors(5, 12)
    if int(pruned_count.sum()) * 12 > body.size:
        body.fail("lists of pruned ancestors overlap")
    # Element k of a vector is at start + 12k: the remainder of the start is kept apart.
    at = spread(pruned_at // 12, pruned_count) * 12 + np.repeat(pruned_at % 12, pruned_count)
    return SnapshotTable(
        ids=check_increasing(rows.structs(0, 12)),
        parents=parents,
        flushed_at=read_times(rows, 2),
        messages=TextPool.of_spans(body.data, *rows.vectors(3, 1)),
        packed=_read_items(body, *rows.vectors(4, 4)),
        pruned_first=np.cumsum(pruned_count) - pruned_count,
        pruned_count=pruned_count,
        pruned_ids=gather(body, at, np.dtype("V12")).view(np.uint8).reshape(-1, 12),
    )


def read_times(rows: TableColumn, slot: int) -> Ints:
    """Column of timestamps, which must be before the year 10000."""
    times = rows.u64(slot)
    if (times > np.uint64(LATEST_US)).any():
        rows.body.fail("invalid timestamp in file")
    return times.astype(np.int64)


def _read_items(body: Body, start: Ints, count: Ints) -> PackedItems:
    """Metadata of all rows, given the spans of their vectors."""
    if not count.any():
        return PackedItems(count, count, TextPool.empty(), TextPool.empty())
    if int(count.sum()) * 4 > body.size:
        body.fail("lists of metadata items overlap")
    at = spread(start // 4, count) * 4 + np.repeat(start % 4, count)
    items = TableColumn(body, at + gather(body, at, np.dtype("<u4")))
    items.require(0)
    items.require(1)
    return PackedItems(
        first=np.cumsum(count) - count,
        count=count,
        names=TextPool.of_spans(body.data, *items.vectors(0, 1)),
        values=TextPool.of_spans(body.data, *items.vectors(1, 1)),
    )
