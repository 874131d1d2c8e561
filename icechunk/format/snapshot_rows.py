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

from icechunk.format import flex
from icechunk.format.flat_columns import TableColumn, gather
from icechunk.format.flat_write import MAX_BODY
from icechunk.ground.errors import ErrorKind, FormatError
from icechunk.model.snapshot_table import (
    NO_PARENT,
    PackedItems,
    SnapshotTable,
    check_increasing,
)
from icechunk.model.text_pool import TextPool

if TYPE_CHECKING:
    from icechunk.format.flat_read import Body, Table
    from icechunk.model.text_pool import Ints

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
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(first - ends + count, count)


def write_rows(table: SnapshotTable) -> tuple[bytes, int]:
    """Bytes of the list of snapshots.

    Parameters
    ----------
    table : SnapshotTable
        The rows.

    Returns
    -------
    bytes
        Self-contained block, to be placed at a multiple of 8.
    int
        Position, within the block, of the vector.

    Raises
    ------
    FormatError
        When the block would exceed what a flatbuffer can address.
    """
    table = table.settled(flex.encode, flex.decode)
    count = len(table)
    with_items = np.flatnonzero(table.packed.count)
    with_pruned = np.flatnonzero(table.pruned_count)
    items = spread(table.packed.first[with_items], table.packed.count[with_items])
    pruned = spread(table.pruned_first[with_pruned], table.pruned_count[with_pruned])
    texts = table.messages.ready()
    names, values = table.packed.names.ready(), table.packed.values.ready()

    # Where each part goes
    records_at = _VECTOR + (4 + 4 * count + 7) // 8 * 8
    vectors_at = records_at + _RECORD.itemsize * count
    items_at = vectors_at + 4 * (len(with_items) + len(items))
    pruned_at = items_at + _ITEM.itemsize * len(items)
    texts_at = pruned_at + 4 * len(with_pruned) + 12 * len(pruned)
    names_at = texts_at + len(texts.data)
    values_at = names_at + len(names.data)
    end = values_at + len(values.data)
    if end > MAX_BODY:
        raise FormatError(
            f"the list of {count} snapshots needs {end} bytes, the format allows {MAX_BODY}. "
            "Expire old snapshots.",
            ErrorKind.SERIALIZATION,
        )

    row_at = records_at + _RECORD.itemsize * np.arange(count)
    records = np.zeros(count, _RECORD)
    code = (table.packed.count > 0) + 2 * (table.pruned_count > 0)
    records["soffset"] = row_at - 16 * code
    records["id"] = table.ids
    records["flushed_at"] = table.flushed_at
    records["parent"] = table.parents
    records["message"] = texts_at + texts.start - 4 - (row_at + 28)

    widths = 1 + table.packed.count[with_items]
    vector_word = np.cumsum(widths) - widths
    records["metadata"][with_items] = vectors_at + 4 * vector_word - (row_at[with_items] + 32)
    item_at = items_at + _ITEM.itemsize * np.arange(len(items))
    vectors = np.empty(len(with_items) + len(items), "<u4")
    item_words = spread(vector_word + 1, widths - 1)
    vectors[vector_word] = widths - 1
    vectors[item_words] = item_at - (vectors_at + 4 * item_words)
    entries = np.empty(len(items), _ITEM)
    entries["soffset"] = item_at - _ITEM_VTABLE
    entries["name"] = names_at + names.start[items] - 4 - (item_at + 4)
    entries["value"] = values_at + values.start[items] - 4 - (item_at + 8)

    sizes = 4 + 12 * table.pruned_count[with_pruned]
    pruned_start = np.cumsum(sizes) - sizes
    records["pruned"][with_pruned] = pruned_at + pruned_start - (row_at[with_pruned] + 36)
    pruned_words = np.empty((len(with_pruned) + 3 * len(pruned)), "<u4")
    is_count = np.zeros(len(pruned_words), bool)
    is_count[pruned_start // 4] = True
    pruned_words[is_count] = table.pruned_count[with_pruned]
    pruned_words[~is_count] = table.pruned_ids[pruned].reshape(-1).view("<u4")

    head = np.zeros((records_at - _VECTOR) // 4, "<u4")
    head[0] = count
    head[1 : 1 + count] = row_at - (_VECTOR + 4 + 4 * np.arange(count))
    arrays = (head, records, vectors, entries, pruned_words)
    parts = [_VTABLES, *(array.tobytes() for array in arrays)]
    return b"".join([*parts, texts.data, names.data, values.data]), _VECTOR


def read_rows(root: Table, slot: int) -> SnapshotTable:
    """List of snapshots from a field of the `Repo` table.

    Parameters
    ----------
    root : Table
        The `Repo` table.
    slot : int
        Its field that holds the vector of snapshots.

    Raises
    ------
    FormatError
        For positions outside the buffer, missing fields, ids that repeat or are out of order,
        parents that do not exist and times beyond int64.
    """
    rows = TableColumn.of_vector(root, slot)
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
    """Column of timestamps, which must fit int64."""
    times = rows.u64(slot)
    if (times >> np.uint64(63)).any():
        rows.body.fail("invalid timestamp in file")
    return times.astype(np.int64)


def _read_items(body: Body, start: Ints, count: Ints) -> PackedItems:
    """Metadata of all rows, given the spans of their vectors."""
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
        unpack=flex.decode,
    )
