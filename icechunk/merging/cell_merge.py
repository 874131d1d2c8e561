"""Merge chunks that both sides of a merge wrote, cell by cell."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from icechunk.core.errors import IcechunkError
from icechunk.merging import cells
from icechunk.merging.chunk_values import ChunkFormat, ChunkValues, Payload
from icechunk.merging.verdicts import BASE, CELLS, MERGED, SOURCE, TARGET, UNDECIDED
from icechunk.spec.manifest.chunk_table import NATIVE, TOMBSTONE, ChunkTable, Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from icechunk.core.ids import ObjectId
    from icechunk.merging.cells import Tolerance
    from icechunk.merging.sides import Sides
    from icechunk.spec.manifest.coordinates import ChunkIndex, Coords
    from icechunk.spec.snapshot.nodes import NodeSnapshot

BATCH = 64 * 1024 * 1024
"""Decoded bytes of one state that are held at a time."""

SIDES = {UNDECIDED: "theirs", SOURCE: "ours", TARGET: "theirs", BASE: "base"}
_DELETED = Location(TOMBSTONE, None, 0, 0, None, None, None, 0)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Written:
    """Chunks with new references.

    Attributes
    ----------
    rows : list of (tuple of int, Location)
        Coordinates and references; tombstones for chunks of fill values only.
    """

    rows: list[tuple[ChunkIndex, Location]] = field(default_factory=list)

    def add(self, coords: ChunkIndex, place: Location | None) -> None:
        """Add a chunk; None stands for the fill value."""
        self.rows.append((coords, _DELETED if place is None else place))

    def table(self, rank: int) -> ChunkTable:
        """The references."""
        return ChunkTable.from_locations(rank, self.rows)

    @property
    def objects(self) -> set[ObjectId]:
        """Objects that hold them."""
        return {place.id for _, place in self.rows if place.kind == NATIVE and place.id is not None}


def merge_cells(
    sides: Sides,
    merged: NodeSnapshot,
    coords: Coords,
    codes: NDArray[np.uint8],
    values: ChunkValues,
    tolerance: Tolerance | None,
) -> Written:
    """Merge the cells of the chunks whose code asks for it; their codes become what was found.

    Parameters
    ----------
    sides : Sides
        The three states of the array, of one encoding.
    merged : NodeSnapshot
        The array with the merged metadata: cells beyond its shape are not compared.
    coords : ndarray
        Chunks that both sides wrote, uint32 of shape ``(n, d)``.
    codes : ndarray
        ``CELLS`` plus the side of cells that both changed; other codes stay.  Replaced by
        ``SOURCE``, ``TARGET``, ``MERGED`` or ``UNDECIDED``.
    values : ChunkValues
        Reads and stores chunks.
    tolerance : Tolerance or None
        What counts as equal where both sides changed a cell.

    Returns
    -------
    Written
        The chunks with the code ``MERGED``.
    """
    rows = [row for row, code in enumerate(codes.tolist()) if code >= CELLS]
    written = Written()
    try:
        work = _Work(sides, merged, values, tolerance)
    except Exception as error:  # whatever Zarr raises for a codec or data type it does not know
        _log.info("chunks of %s are not merged cell by cell: %s", sides.path, error)
        codes[rows] -= CELLS
        return written
    for batch in work.batches(rows):
        at = [tuple(map(int, coords[row])) for row in batch]
        found = work.merge(at, [int(codes[row]) - CELLS for row in batch])
        for row, one, (code, place) in zip(batch, at, found, strict=True):
            codes[row] = code
            if code == MERGED:
                written.add(one, place)
    return written


class _Work:
    """One array whose chunks are merged."""

    def __init__(
        self,
        sides: Sides,
        merged: NodeSnapshot,
        values: ChunkValues,
        tolerance: Tolerance | None,
    ) -> None:
        self._values = values
        self._tolerance = tolerance
        self._merged = ChunkFormat(merged)
        self._ours, self._theirs = ChunkFormat(sides.source), ChunkFormat(sides.target)
        # Both sides made the array: it was empty before.  Otherwise the base may have expired.
        made = sides.states[0] is not None and sides.source.id != sides.target.id
        known = sides.base if sides.base is not None else sides.target if made else None
        self._base = None if known is None else ChunkFormat(known)
        self._tables = sides.former(), sides.source_table(), sides.target_table()
        self._key = merged.id, merged.user_data, tolerance

    def batches(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        size = prod(self._merged.chunk) * max(self._merged.empty.dtype.itemsize, 1)
        step = max(BATCH // max(size, 1), 1)
        for start in range(0, len(rows), step):
            yield rows[start : start + step]

    def merge(
        self, coords: Sequence[ChunkIndex], sides: Sequence[int]
    ) -> list[tuple[int, Location | None]]:
        """Code, and reference of a chunk that was written, for each chunk."""
        places = [tuple(_place(table, one) for table in self._tables) for one in coords]
        keys = [
            (self._key, one, where, side)
            for one, where, side in zip(coords, places, sides, strict=True)
        ]
        known = self._values.known
        fresh = [row for row, key in enumerate(keys) if key not in known]
        data = self._values.fetch([place for row in fresh for place in places[row]])
        pending: list[tuple[int, bytes | None]] = []
        for nth, row in enumerate(fresh):
            code, payload = self._one(coords[row], sides[row], data[3 * nth : 3 * nth + 3])
            if code == MERGED:
                pending.append((row, payload))
            known[keys[row]] = code, None
        stored = self._values.store([payload for _, payload in pending])
        for (row, _), place in zip(pending, stored, strict=True):
            known[keys[row]] = MERGED, place
        return [known[key] for key in keys]

    def _one(
        self, coords: ChunkIndex, side: int, data: Sequence[Payload | IcechunkError]
    ) -> tuple[int, bytes | None]:
        payloads = [one for one in data if not isinstance(one, IcechunkError)]
        if len(payloads) < len(data):
            return side, None  # a virtual chunk that may not be read is decided as a whole
        before, mine, its = payloads
        extent = self._merged.extent(coords)
        # `...` for a view also of an array without axes
        part: tuple[Any, ...] = (*map(slice, extent), ...)
        ours = self._ours.decode(mine, coords)[part]
        theirs = self._theirs.decode(its, coords)[part]
        base = None if self._base is None else self._base.decode(before, coords)[part]
        block, count = cells.merge(base, ours, theirs, SIDES[side], self._tolerance)
        if count.both and side == UNDECIDED:
            return UNDECIDED, None
        # A side's chunk stands as it is, unless the merged array shows more of it than that side.
        for code, state, held in ((TARGET, self._theirs, theirs), (SOURCE, self._ours, ours)):
            shows = all(a >= b for a, b in zip(state.extent(coords), extent, strict=True))
            if shows and not cells.differs(block, held).any():
                return code, None
        whole = self._merged.empty.copy()
        whole[part] = block
        return MERGED, self._merged.encode(whole)


def _place(table: ChunkTable, coords: ChunkIndex) -> Location | None:
    """Where a chunk of a state is; hashable."""
    row = table.find(coords)
    if row < 0:
        return None
    place = table.location(row)
    return place if place.inline is None else place._replace(inline=bytes(place.inline))
