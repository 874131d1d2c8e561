"""The chunks of an array to which both sides appended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.merging import cells
from icechunk.merging.appends import Append
from icechunk.merging.cell_merge import BATCH, SIDES, Written
from icechunk.merging.chunk_values import ChunkFormat, ChunkValues
from icechunk.merging.sides import Sides, array_of
from icechunk.merging.verdicts import CELLS, SOURCE, UNDECIDED, Verdicts
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import sorted_unique

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.spec.manifest.coordinates import ChunkIndex, Coords
    from icechunk.spec.snapshot.nodes import NodeSnapshot


@dataclass(frozen=True, slots=True)
class Joined:
    """The chunks of an array that both sides appended to.

    Attributes
    ----------
    table : ChunkTable
        References of the merged array from the first chunk with new rows on.
    written : Written
        Those that were written.
    conflicts : ndarray
        Chunks in which both sides changed a former row to different values.
    """

    table: ChunkTable
    written: Written
    conflicts: Coords


def joined(
    sides: Sides,
    merged: NodeSnapshot,
    append: Append,
    verdicts: Verdicts,
    values: ChunkValues | None,
) -> Joined:
    """Place the second side's new rows after the first's.

    Whole chunks are moved by reference where they fit; the others are read and written.
    """
    tables = sides.source_table(), sides.target_table()
    first, second = tables if append.first == SOURCE else tables[::-1]
    rank, axis, chunk = first.ndim, append.axis, append.chunk
    start = -(-append.base // chunk)
    at = first.coords()[:, axis]
    parts = [first.select((at >= start) & (at < append.firsts // chunk))]
    if append.shift % chunk == 0:
        parts.append(_moved(second, axis, start, append.shift // chunk))
    written, open_ = Written(), np.zeros((0, rank), np.uint32)
    gathered = append.gathered()
    if gathered:
        assert values is not None
        written, open_ = _Gather(sides, merged, append, verdicts, values).run(gathered)
        parts.append(written.table(rank))
    return Joined(ChunkTable.concat(parts, ndim=rank), written, open_)


def _moved(table: ChunkTable, axis: int, start: int, by: int) -> ChunkTable:
    """References from a chunk on, moved along an axis."""
    part = table.select(table.coords()[:, axis] >= start)
    coords = part.coords().astype(np.int64)
    coords[:, axis] += by
    return ChunkTable.from_columns(
        coords,
        part.kind,
        part.id,
        part.offset,
        part.length,
        text=part.text,
        etag=part.etag,
        modified=part.modified,
    )


class _Gather:
    """Writes chunks whose rows come from several places."""

    def __init__(
        self,
        sides: Sides,
        merged: NodeSnapshot,
        append: Append,
        verdicts: Verdicts,
        values: ChunkValues,
    ) -> None:
        assert sides.base is not None
        self._sides, self._append = sides, append
        self._verdicts, self._values = verdicts, values
        self._merged = ChunkFormat(merged)
        self._grid = array_of(merged).num_chunks
        self._forms = [ChunkFormat(one) for one in (sides.base, sides.source, sides.target)]
        self._tables = [sides.former(), sides.source_table(), sides.target_table()]
        self._blocks: dict[tuple[int, ChunkIndex], NDArray[Any]] = {}

    def run(self, gathered: list[int]) -> tuple[Written, Coords]:
        """Chunks that were written, and those with rows that both changed."""
        written = Written()
        open_: list[ChunkIndex] = []
        size = prod(self._merged.chunk) * max(self._merged.empty.dtype.itemsize, 1)
        step = max(BATCH // max(size, 1), 1)
        pending: list[tuple[ChunkIndex, bytes | None]] = []

        def flush() -> None:
            places = self._values.store([data for _, data in pending])
            for (coords, _), place in zip(pending, places, strict=True):
                if place is not None:
                    written.add(coords, place)
            pending.clear()

        for others in self._others(gathered):
            self._blocks.clear()
            for at in gathered:
                coords = _with(others, self._append.axis, at)
                block, clash = self._block(coords, at)
                if clash:
                    open_.append(coords)
                pending.append((coords, self._merged.encode(block)))
                if len(pending) >= step:
                    flush()
        flush()
        return written, np.array(open_, np.uint32).reshape(len(open_), len(self._grid))

    def _others(self, gathered: list[int]) -> Iterator[ChunkIndex]:
        """Places along the other axes where a side has chunks that are read."""
        axis, append = self._append.axis, self._append
        low = min(gathered) - -(-append.shift // append.chunk)
        found = [np.zeros((0, len(self._grid)), np.uint32)]
        for table in self._tables:
            coords = table.coords()
            coords = coords[coords[:, axis] >= max(min(low, append.base // append.chunk), 0)]
            coords[:, axis] = 0
            found.append(coords)
        for row in sorted_unique(np.concatenate(found)).tolist():
            yield tuple(row)

    def _read(self, state: int, coords: ChunkIndex) -> NDArray[Any]:
        """Values of a chunk of the base (0), source (1) or target (2)."""
        key = state, coords
        if key not in self._blocks:
            form, table = self._forms[state], self._tables[state]
            self._blocks[key] = self._values.blocks(form, table, [coords])[0]
        return self._blocks[key]

    def _block(self, coords: ChunkIndex, at: int) -> tuple[NDArray[Any], bool]:
        """Values of a merged chunk, and whether both sides changed one of its former rows."""
        append, axis = self._append, self._append.axis
        first, second = (1, 2) if append.first == SOURCE else (2, 1)
        low, high = at * append.chunk, min((at + 1) * append.chunk, append.total)
        block, clash = self._merged.empty.copy(), False
        if low < append.base:
            rows = _rows(axis, 0, min(high, append.base) - low)
            block[rows], clash = self._former(coords, rows)
        start, stop = max(low, append.base), min(high, append.firsts)
        if start < stop:
            rows = _rows(axis, start - low, stop - low)
            block[rows] = self._read(first, coords)[rows]
        start = max(low, append.firsts) - append.shift
        while start < high - append.shift:
            place, offset = divmod(start, append.chunk)
            stop = min((place + 1) * append.chunk, high - append.shift)
            from_ = self._read(second, _with(coords, axis, place))
            to = start + append.shift - low
            block[_rows(axis, to, to + stop - start)] = from_[
                _rows(axis, offset, offset + stop - start)
            ]
            start = stop
        extent = self._merged.extent(coords)
        for each, length in enumerate(extent):
            beyond = _rows(each, length, self._merged.chunk[each])
            block[beyond] = self._merged.empty[beyond]
        return block, clash

    def _former(self, coords: ChunkIndex, rows: tuple[slice, ...]) -> tuple[NDArray[Any], bool]:
        """Rows that the base has too, merged cell by cell."""
        base, ours, theirs = (self._read(state, coords)[rows] for state in range(3))
        where = np.array([coords], np.uint32)
        code = int(self._verdicts.sides(self._sides.path, where, self._grid)[0]) % CELLS
        block, count = cells.merge(base, ours, theirs, SIDES[code], self._verdicts.tolerance)
        return block, bool(count.both) and code == UNDECIDED


def _rows(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    return (*(slice(None) for _ in range(axis)), slice(start, stop))


def _with(coords: ChunkIndex, axis: int, at: int) -> ChunkIndex:
    return (*coords[:axis], at, *coords[axis + 1 :])
