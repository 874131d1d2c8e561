"""Uncommitted chunk references of one array: append-only columns and an index, last write wins."""

from __future__ import annotations

from array import array
from math import prod
from typing import Any, Final

import numpy as np

from icechunk.ground.ids import ObjectId
from icechunk.model.chunk_table import INLINE, NATIVE, TOMBSTONE, ChunkTable, Location, TextColumn

_NO_ID: Final = bytes(12)
DELETED: Final = Location(TOMBSTONE, None, 0, 0, None, None, None, 0)
"""What `ChunkEdits.find` answers for a chunk that the session removed."""

Coords = tuple[int, ...]


class ChunkEdits:
    """References written or deleted in a session, for one array.

    Single writes go to growing columns with a dictionary from coordinates to rows; whole tables
    (bulk writes, merged forks, writes made under an earlier chunk grid) are kept as layers below.

    Parameters
    ----------
    num_chunks : tuple of int
        Chunks along each axis of the present grid.
    """

    __slots__ = (
        "_ids",
        "_kinds",
        "_layers",
        "_lengths",
        "_offsets",
        "_pool",
        "_rows",
        "_strides",
        "num_chunks",
    )

    def __init__(self, num_chunks: Coords) -> None:
        self._layers: list[ChunkTable] = []
        self._start(num_chunks)

    def _start(self, num_chunks: Coords) -> None:
        self.num_chunks = num_chunks
        extents = [max(count, 1) for count in num_chunks]
        # Row-major strides make one integer of the coordinates; Python integers do not overflow.
        self._strides = tuple(prod(extents[axis + 1 :]) for axis in range(len(extents)))
        self._rows: dict[int, int] = {}
        self._kinds = bytearray()
        self._ids = bytearray()
        self._offsets: array[int] = array("Q")
        self._lengths: array[int] = array("Q")
        self._pool = bytearray()

    def __len__(self) -> int:
        """Number of recorded edits (an upper bound when bulk layers overlap)."""
        return len(self._rows) + sum(len(layer) for layer in self._layers)

    def _row(self, coords: Coords) -> int:
        key = 0
        for position, stride in zip(coords, self._strides, strict=True):
            key += position * stride
        row = self._rows.get(key)
        if row is None:
            row = len(self._kinds)
            self._kinds.append(0)
            self._ids += _NO_ID
            self._offsets.append(0)
            self._lengths.append(0)
            # Last: a reader without the lock must never see a row that is not there yet.
            self._rows[key] = row
        return row

    def set_native(self, coords: Coords, object_id: ObjectId, offset: int, length: int) -> None:
        """Point a chunk to `length` bytes at `offset` of a chunk object."""
        row = self._row(coords)
        self._ids[12 * row : 12 * row + 12] = object_id
        self._offsets[row] = offset
        self._lengths[row] = length
        self._kinds[row] = NATIVE

    def set_inline(self, coords: Coords, data: bytes | memoryview) -> None:
        """Keep a chunk's bytes themselves."""
        row = self._row(coords)
        start = len(self._pool)
        self._pool += data
        self._offsets[row] = start
        self._lengths[row] = len(data)
        self._kinds[row] = INLINE

    def delete(self, coords: Coords) -> None:
        """Record that a chunk is gone, whether or not it exists."""
        self._kinds[self._row(coords)] = TOMBSTONE

    def put(self, coords: Coords, location: Location | None) -> None:
        """Record a reference read elsewhere; None deletes."""
        if location is None:
            self.delete(coords)
        elif location.kind == NATIVE and location.id is not None:
            self.set_native(coords, location.id, location.offset, location.length)
        elif location.kind == INLINE and location.inline is not None:
            self.set_inline(coords, location.inline)
        else:
            self.extend(
                ChunkTable.from_locations(len(self.num_chunks), [(coords, location)]),
            )

    def extend(self, table: ChunkTable) -> None:
        """Record a whole table of references; it wins over everything recorded before."""
        self._seal()
        self._layers.append(table)
        if len(self._layers) > 8:
            self._layers = [_stack(self._layers)]

    def regrid(self, num_chunks: Coords) -> None:
        """Continue under another chunk grid; edits outside it no longer exist."""
        if num_chunks == self.num_chunks:
            return
        bounds = tuple((0, max(count, 1)) for count in num_chunks)
        self._seal()
        self._layers = [layer.within(bounds) for layer in self._layers]
        self._start(num_chunks)

    def drop(self, coords: np.ndarray[Any, Any]) -> None:
        """Forget the edits at these coordinates (uint32, one row per chunk)."""
        if not len(coords):
            return
        table = self.table()
        rows = table.find_many(coords)
        keep = np.ones(len(table), np.bool_)
        keep[rows[rows >= 0]] = False
        self._start(self.num_chunks)
        self._layers = [table.select(keep)] if keep.any() else []

    def copy(self) -> ChunkEdits:
        """An independent copy."""
        return _restore(self.num_chunks, self.table() if len(self) else None)

    def _seal(self) -> None:
        """Turn the single writes into a layer."""
        if self._rows:
            self._layers.append(self._live())
        self._start(self.num_chunks)

    def _live(self) -> ChunkTable:
        rows = np.fromiter(self._rows.values(), np.int64, len(self._rows))
        kinds = np.frombuffer(bytes(self._kinds), np.uint8)[rows]
        offsets = np.frombuffer(self._offsets.tobytes(), np.uint64)[rows]
        lengths = np.frombuffer(self._lengths.tobytes(), np.uint64)[rows]
        lengths = np.where(kinds == TOMBSTONE, np.uint64(0), lengths)
        inline = kinds == INLINE
        text = None
        if inline.any():
            text = TextColumn(
                bytes(self._pool),
                np.where(inline, offsets, 0).astype(np.int64),
                np.where(inline, lengths, 0).astype(np.uint32),
            )
        return ChunkTable.from_columns(
            self._coords(),
            kinds,
            np.frombuffer(bytes(self._ids), np.uint8).reshape(-1, 12)[rows],
            np.where(kinds == NATIVE, offsets, np.uint64(0)),
            lengths,
            text=text,
        )

    def _coords(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        coords = np.empty((len(self._rows), len(self._strides)), np.uint32)
        if not self._strides:
            return coords
        if self._strides[0] * max(self.num_chunks[0], 1) < 2**63:
            rest = np.fromiter(self._rows, np.int64, len(self._rows))
            for axis, stride in enumerate(self._strides):
                coords[:, axis], rest = np.divmod(rest, stride)
        else:
            for row, key in enumerate(self._rows):
                for axis, stride in enumerate(self._strides):
                    coords[row, axis], key = divmod(key, stride)
        return coords

    def table(self) -> ChunkTable:
        """Everything recorded, deletions included as rows of kind ``TOMBSTONE``."""
        layers = [*self._layers, self._live()] if self._rows else self._layers
        return _stack(layers) if layers else ChunkTable.empty(len(self.num_chunks))

    def find(self, coords: Coords) -> Location | None:
        """What the session recorded for a chunk: its place, `DELETED`, or None for nothing."""
        key = 0
        for position, stride in zip(coords, self._strides, strict=True):
            key += position * stride
        row = self._rows.get(key)
        if row is not None:
            kind = self._kinds[row]
            if kind == NATIVE:
                object_id = ObjectId(bytes(self._ids[12 * row : 12 * row + 12]))
                place = self._offsets[row], self._lengths[row]
                return Location(NATIVE, object_id, *place, None, None, None, 0)
            if kind == INLINE:
                start, length = self._offsets[row], self._lengths[row]
                data = bytes(self._pool[start : start + length])
                return Location(INLINE, None, 0, length, data, None, None, 0)
            return DELETED
        for layer in reversed(self._layers):
            found = layer.find(coords)
            if found >= 0:
                location = layer.location(found)
                return DELETED if location.kind == TOMBSTONE else location
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.num_chunks, self.table() if len(self) else None)


def _stack(layers: list[ChunkTable]) -> ChunkTable:
    result = layers[0]
    for layer in layers[1:]:
        result = ChunkTable.merge(result, layer, keep_tombstones=True)
    return result


def _restore(num_chunks: Coords, table: ChunkTable | None) -> ChunkEdits:
    edits = ChunkEdits(num_chunks)
    if table is not None:
        edits.extend(table)
    return edits
