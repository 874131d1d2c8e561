"""Compare chunk references, whole tables at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk.spec.columns.text_column import TextColumn, equal_spans
from icechunk.spec.manifest.chunk_table import INLINE, TOMBSTONE, VIRTUAL, ChunkTable
from icechunk.spec.manifest.coordinates import Coords


def same(
    one: ChunkTable, one_rows: NDArray[np.int64], two: ChunkTable, two_rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs of rows refer to the same bytes, bool of shape ``(n,)``.

    Two deletions are the same; inline payloads and virtual locations are compared by content.
    """
    kind = one.kind[one_rows]
    equal: NDArray[np.bool_] = kind == two.kind[two_rows]
    length = one.length[one_rows] == two.length[two_rows]
    offset = _column(one.offset, one_rows) == _column(two.offset, two_rows)
    ids = _same_ids(one, one_rows, two, two_rows)
    inline, dead = kind == INLINE, kind == TOMBSTONE
    equal &= dead | (length & ids & (offset | inline))
    texts = np.flatnonzero(equal & (inline | (kind == VIRTUAL)))
    equal[texts] = _same_texts(one, one_rows[texts], two, two_rows[texts])
    return equal


def deletions(coords: Coords) -> ChunkTable:
    """Edits that remove the chunks at some coordinates (uint32, shape ``(n, d)``)."""
    count = len(coords)
    kinds = np.full(count, TOMBSTONE, np.uint8)
    return ChunkTable.from_columns(coords, kinds, None, None, np.zeros(count, np.uint64))


def clashing(one: ChunkTable, two: ChunkTable) -> Coords:
    """Coordinates that both tables hold, with different references; uint32, shape ``(n, d)``."""
    coords = two.coords()
    rows = one.find_many(coords)
    common = np.flatnonzero(rows >= 0)
    differs = ~same(one, rows[common], two, common)
    return coords[common[differs]]


def changed(before: ChunkTable, after: ChunkTable) -> Coords:
    """Coordinates that only one table holds, or both with different references, in order."""
    if before.ndim != after.ndim:
        return after.coords()
    if before.covers_same(after):
        rows = np.arange(len(after))
        return after.coords(np.flatnonzero(~same(before, rows, after, rows)))
    former = before.coords()
    gone = former[~after.contains(former)]
    coords = after.coords()
    rows = before.find_many(coords)
    held = np.flatnonzero(rows >= 0)
    keep = np.ones(len(after), np.bool_)
    keep[held] = ~same(before, rows[held], after, held)
    stacked = np.concatenate((gone, coords[keep]))
    if not len(gone) or not stacked.shape[1]:
        return stacked
    return stacked[np.lexsort(stacked.T[::-1])]


def _column(column: NDArray[Any] | None, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    return np.zeros(len(rows), np.uint64) if column is None else column[rows]


def _same_ids(
    one: ChunkTable, one_rows: NDArray[np.int64], two: ChunkTable, two_rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs of rows name the same object, bool of shape ``(n,)``; without one it is zeros."""
    if one.id is None and two.id is None:
        return np.ones(len(one_rows), np.bool_)
    mine, its = (
        np.zeros((len(rows), 12), np.uint8) if table.id is None else table.id[rows]
        for table, rows in ((one, one_rows), (two, two_rows))
    )
    words = mine.view(np.uint32) == its.view(np.uint32)
    equal: NDArray[np.bool_] = words[:, 0] & words[:, 1] & words[:, 2]
    return equal


def _same_texts(
    one: ChunkTable, one_rows: NDArray[np.int64], two: ChunkTable, two_rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs of rows have equal payloads or locations, bool of shape ``(n,)``."""
    mine, its = (
        (TextColumn.blank(len(table)) if table.text is None else table.text).take(rows)
        for table, rows in ((one, one_rows), (two, two_rows))
    )
    equal: NDArray[np.bool_] = mine.length == its.length
    rows = np.flatnonzero(equal)
    pools = mine.pool_array, its.pool_array
    if np.array_equal(*pools):
        rows = rows[mine.start[rows] != its.start[rows]]
    equal[rows] = equal_spans(
        pools[0], mine.start[rows], pools[1], its.start[rows], mine.length[rows]
    )
    return equal
