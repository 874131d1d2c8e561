"""Uncommitted chunk references of one array: append-only columns and an index, last write wins."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from math import prod
from typing import Any, Final

import numpy as np

from icechunk.core.ids import ObjectId
from icechunk.spec.manifest.chunk_table import (
    INLINE,
    NATIVE,
    TOMBSTONE,
    ChunkTable,
    Location,
    TextColumn,
)
from icechunk.spec.manifest.coordinates import ChunkIndex, inside
from icechunk.spec.manifest.references import deletions

_NO_ID: Final = bytes(12)
DELETED: Final = Location(TOMBSTONE, None, 0, 0, None, None, None, 0)
"""What `ChunkEdits.find` answers for a chunk that the session removed."""


class _Singles:
    """Single writes as columns; a row never changes, so that readers need no lock."""

    __slots__ = ("ids", "kinds", "lengths", "num_chunks", "offsets", "pool", "rows", "strides")

    def __init__(self, num_chunks: tuple[int, ...]) -> None:
        extents = [max(count, 1) for count in num_chunks]
        self.num_chunks = num_chunks
        # Row-major strides make one integer of the coordinates; Python integers do not overflow.
        self.strides = tuple(prod(extents[axis + 1 :]) for axis in range(len(extents)))
        self.rows: dict[int, int] = {}
        self.kinds = bytearray()
        self.ids = bytearray()
        self.offsets: array[int] = array("Q")
        self.lengths: array[int] = array("Q")
        self.pool = bytearray()

    def key(self, coords: ChunkIndex) -> int:
        key = 0
        for position, stride in zip(coords, self.strides, strict=True):
            key += position * stride
        return key

    def add(
        self, coords: ChunkIndex, kind: int, object_id: bytes, offset: int, length: int
    ) -> None:
        row = len(self.kinds)
        self.kinds.append(kind)
        self.ids += object_id
        self.offsets.append(offset)
        self.lengths.append(length)
        # Last: a reader without the lock must never see a row that is not there yet.
        self.rows[self.key(coords)] = row

    def location(self, row: int) -> Location:
        kind = self.kinds[row]
        if kind == NATIVE:
            object_id = ObjectId(bytes(self.ids[12 * row : 12 * row + 12]))
            place = self.offsets[row], self.lengths[row]
            return Location(NATIVE, object_id, *place, None, None, None, 0)
        if kind == INLINE:
            start, length = self.offsets[row], self.lengths[row]
            data = bytes(self.pool[start : start + length])
            return Location(INLINE, None, 0, length, data, None, None, 0)
        return DELETED

    def table(self) -> ChunkTable:
        live = self.rows.copy()
        kinds = np.frombuffer(bytes(self.kinds), np.uint8)
        offsets = np.frombuffer(self.offsets.tobytes(), np.uint64)
        lengths = np.frombuffer(self.lengths.tobytes(), np.uint64)
        ids = np.frombuffer(bytes(self.ids), np.uint8).reshape(-1, 12)
        if not len(live) == len(kinds) == len(offsets) == len(lengths) == len(ids):
            # Some rows were written over or forgotten, or another thread is adding one.
            rows = np.fromiter(live.values(), np.int64, len(live))
            kinds, offsets, lengths, ids = kinds[rows], offsets[rows], lengths[rows], ids[rows]
        inline = kinds == INLINE
        text = None
        if inline.any():
            text = TextColumn(
                bytes(self.pool),
                np.where(inline, offsets, 0).astype(np.int64),
                np.where(inline, lengths, 0).astype(np.uint32),
            )
        return ChunkTable.from_columns(
            self._coords(live),
            kinds,
            ids,
            np.where(kinds == NATIVE, offsets, np.uint64(0)),
            lengths,
            text=text,
        )

    def coords(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        return self._coords(sorted(self.rows))

    def _coords(self, live: Collection[int]) -> np.ndarray[Any, np.dtype[np.uint32]]:
        coords = np.empty((len(live), len(self.strides)), np.uint32)
        if not self.strides:
            return coords
        if self.strides[0] * max(self.num_chunks[0], 1) < 2**63:
            rest = np.fromiter(live, np.int64, len(live))
            for axis, stride in enumerate(self.strides):
                coords[:, axis], rest = np.divmod(rest, stride)
        else:
            for row, key in enumerate(live):
                for axis, stride in enumerate(self.strides):
                    coords[row, axis], key = divmod(key, stride)
        return coords


class ChunkEdits:
    """References written or deleted in a session, for one array.

    Single writes go to growing columns with a dictionary from coordinates to rows; whole tables
    (bulk writes, merged forks, writes made under an earlier chunk grid) are kept as layers below.
    One thread may write at a time; `find` and `table` may be called at any time.

    Parameters
    ----------
    num_chunks : tuple of int
        Chunks along each axis of the present grid.
    """

    __slots__ = ("_forgotten", "_hidden", "_layers", "_singles")

    def __init__(self, num_chunks: tuple[int, ...]) -> None:
        self._layers: list[ChunkTable] = []
        self._singles = _Singles(num_chunks)
        # Rows of the layers that were forgotten one by one, and how many: taken out all at once.
        self._forgotten: set[ChunkIndex] = set()
        self._hidden = 0

    @property
    def num_chunks(self) -> ChunkIndex:
        """Chunks along each axis of the present grid."""
        return self._singles.num_chunks

    def __len__(self) -> int:
        """Number of recorded edits (an upper bound when bulk layers overlap)."""
        rows = len(self._singles.rows) - self._hidden
        return rows + sum(len(layer) for layer in self._layers)

    def set_native(self, coords: ChunkIndex, object_id: ObjectId, offset: int, length: int) -> None:
        """Refer to `length` bytes at `offset` of a chunk object."""
        self._singles.add(coords, NATIVE, object_id, offset, length)

    def set_inline(self, coords: ChunkIndex, data: bytes | memoryview) -> None:
        """Store a chunk's bytes in the edits."""
        singles = self._singles
        start = len(singles.pool)
        singles.pool += data
        singles.add(coords, INLINE, _NO_ID, start, len(data))

    def delete(self, coords: ChunkIndex) -> None:
        """Record a deletion, whether or not the chunk exists."""
        self._singles.add(coords, TOMBSTONE, _NO_ID, 0, 0)

    def forget(self, coords: ChunkIndex) -> None:
        """Drop the edit of a chunk, so that the base's chunk shows again."""
        if self._layers and coords not in self._forgotten:
            hidden = sum(layer.find(coords) >= 0 for layer in self._layers)
            if hidden:
                self._forgotten.add(coords)
                self._hidden += hidden
        self._singles.rows.pop(self._singles.key(coords), None)

    def put(self, coords: ChunkIndex, location: Location | None) -> None:
        """Record a location; None deletes."""
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
        """Record a table of references, which replace earlier edits of the same chunks."""
        self._seal(self.num_chunks)
        self._layers.append(table)
        if len(self._layers) > 8:
            self._layers = [_stack(self._layers)]

    def regrid(self, num_chunks: tuple[int, ...]) -> None:
        """Change to another chunk grid.

        Chunks written outside of it are removed, and stay removed when the grid grows again.  The
        removals are recorded, since a commit's log must name every chunk that was removed.  Edits
        of an array of another rank are dropped.
        """
        if num_chunks == self.num_chunks:
            return
        self._seal(num_chunks)
        rank = len(num_chunks)
        self._layers = [cut(layer, num_chunks) for layer in self._layers if layer.ndim == rank]

    def drop(self, coords: np.ndarray[Any, Any]) -> None:
        """Forget the edits at these coordinates (uint32, one row per chunk)."""
        if not len(coords):
            return
        table = _without(self.table(), coords)
        self._restart([table] if len(table) else [], self.num_chunks)

    def copy(self) -> ChunkEdits:
        """An independent copy."""
        return _restore(self.num_chunks, self.table() if len(self) else None)

    def _seal(self, num_chunks: tuple[int, ...]) -> None:
        """Turn the single writes into a layer, and change to a grid."""
        layers = self._shown()
        if self._singles.rows:
            layers.append(self._singles.table())
        self._restart(layers, num_chunks)

    def _restart(self, layers: list[ChunkTable], num_chunks: tuple[int, ...]) -> None:
        # In this order: readers look at the single writes, what is forgotten, and the layers.
        self._layers = layers
        self._forgotten, self._hidden = set(), 0
        self._singles = _Singles(num_chunks)

    def _shown(self) -> list[ChunkTable]:
        """The layers without forgotten edits."""
        forgotten, layers = self._forgotten.copy(), self._layers
        if not forgotten:
            return list(layers)
        coords = np.array(sorted(forgotten), np.uint32).reshape(len(forgotten), -1)
        return [rest for layer in layers if len(rest := _without(layer, coords))]

    def table(self) -> ChunkTable:
        """All edits; deletions are rows of kind ``TOMBSTONE``."""
        singles = self._singles
        layers = self._shown()
        if singles.rows:
            layers.append(singles.table())
        return _stack(layers) if layers else ChunkTable.empty(len(singles.num_chunks))

    def coords(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Coordinates of all edits, uint32 of shape ``(n, d)``, sorted, each once."""
        singles = self._singles
        return self.table().coords() if self._shown() else singles.coords()

    def written(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Coordinates of chunks that were written and not removed again, likewise."""
        return _live(self.table())

    def find(self, coords: ChunkIndex) -> Location | None:
        """Edit of a chunk: its location, `DELETED`, or None where there is none."""
        singles = self._singles
        key = 0
        for position, stride in zip(coords, singles.strides, strict=True):
            key += position * stride
        row = singles.rows.get(key)
        if row is not None:
            return singles.location(row)
        if coords in self._forgotten:
            return None
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


def _live(table: ChunkTable) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return table.coords(np.flatnonzero(table.kind != TOMBSTONE))


def cut(table: ChunkTable, num_chunks: tuple[int, ...]) -> ChunkTable:
    """Edits with a deletion in place of every chunk outside of a grid."""
    outside = _live(table)
    outside = outside[~inside(outside, tuple((0, max(count, 1)) for count in num_chunks))]
    return ChunkTable.merge(table, deletions(outside), keep_tombstones=True)


def _without(table: ChunkTable, coords: np.ndarray[Any, Any]) -> ChunkTable:
    rows = table.find_many(coords)
    keep = np.ones(len(table), np.bool_)
    keep[rows[rows >= 0]] = False
    return table.select(keep)


def _restore(num_chunks: tuple[int, ...], table: ChunkTable | None) -> ChunkEdits:
    edits = ChunkEdits(num_chunks)
    if table is not None:
        edits.extend(table)
    return edits
