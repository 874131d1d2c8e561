"""Chunk coordinates as sortable keys.

A set of coordinates is ravelled inside its own bounding box, so that integer order is
lexicographic coordinate order and the coordinates can be derived back from the keys. Where
the box holds more than 2**62 cells the key is the big-endian byte string of the coordinates
instead, which sorts the same way.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from icechunk.spec.manifest.extents import Extents

Coords: TypeAlias = "NDArray[np.uint32]"
"""Coordinates of several chunks, one row per chunk, shape ``(n, d)``."""
ChunkIndex: TypeAlias = "tuple[int, ...]"
"""Coordinates of one chunk on the chunk grid of its array."""

_MAX_CELLS = 2**62


class Keyspace(NamedTuple):
    """A box and the rule that turns its coordinates into keys.

    Attributes
    ----------
    origin, shape : tuple of int
        Lowest corner and side lengths of the box.
    wide : bool
        Keys are byte strings (``S`` dtype) instead of int64.
    """

    origin: tuple[int, ...]
    shape: tuple[int, ...]
    wide: bool

    @classmethod
    def of_box(cls, extents: Extents) -> Keyspace:
        """Keyspace of a box."""
        shape = tuple(max(high - low, 0) for low, high in extents)
        cells = 1
        for side in shape:
            cells *= side
        return cls(tuple(low for low, _ in extents), shape, cells > _MAX_CELLS)

    @property
    def extents(self) -> Extents:
        """The box, half-open per axis."""
        return tuple((low, low + side) for low, side in zip(self.origin, self.shape, strict=True))

    def key(self, coords: Sequence[int]) -> int | bytes | None:
        """Key of one coordinate, None when it lies outside the box."""
        if len(coords) != len(self.shape):
            return None
        key = 0
        for c, low, side in zip(coords, self.origin, self.shape, strict=True):
            relative = c - low
            if not 0 <= relative < side:
                return None
            key = key * side + relative
        # numpy strips trailing NULs off the items of a byte string column
        return struct.pack(f">{len(coords)}I", *coords).rstrip(b"\0") if self.wide else key

    def keys(self, coords: Coords) -> NDArray[Any]:
        """Keys of coordinates that all lie inside the box.

        Parameters
        ----------
        coords
            uint32, shape ``(n, d)``.

        Returns
        -------
        ndarray
            Shape ``(n,)``, int64 (or ``S4d`` when wide).
        """
        count, ndim = coords.shape
        if self.wide:
            packed = np.ascontiguousarray(coords, dtype=">u4")
            return packed.view(f"S{4 * ndim}").reshape(count)
        keys = np.zeros(count, np.int64)
        for axis, (low, side) in enumerate(zip(self.origin, self.shape, strict=True)):
            if axis:
                keys *= side
            keys += coords[:, axis]
            if low:
                keys -= low
        return keys

    def coords(self, keys: NDArray[Any]) -> Coords:
        """Coordinates of keys, uint32 of shape ``(n, d)``."""
        ndim = len(self.shape)
        if self.wide:
            packed = np.ascontiguousarray(keys).view(">u4").reshape(len(keys), ndim)
            return packed.astype(np.uint32)
        out = np.empty((len(keys), ndim), np.uint32)
        rest = keys
        for axis in range(ndim - 1, -1, -1):
            side, low = self.shape[axis], self.origin[axis]
            if axis:
                quotient = rest // side
                column = rest - quotient * side
                rest = quotient
            else:
                column = rest
            out[:, axis] = column + low if low else column
        return out


def bounding_box(coords: Coords) -> Extents:
    """Tight box around coordinates; all axes empty when there are none."""
    if not len(coords):
        return tuple((0, 0) for _ in range(coords.shape[1]))
    box: list[tuple[int, int]] = []
    for axis in range(coords.shape[1]):
        column = coords[:, axis]
        box.append((int(column.min()), int(column.max()) + 1))
    return tuple(box)


def inside(coords: Coords, extents: Extents) -> NDArray[np.bool_]:
    """Which rows lie inside a box of the same rank, bool of shape ``(n,)``."""
    mask = np.ones(len(coords), np.bool_)
    for axis, (low, high) in enumerate(extents):
        column = coords[:, axis]
        if low > 0:
            mask &= column >= min(low, 2**32 - 1)
        if high < 2**32:
            mask &= column < max(high, 0)
    return mask


def sorted_unique(coords: Coords) -> Coords:
    """Rows in lexicographic order, each once."""
    if len(coords) < 2:
        return coords
    if not coords.shape[1]:
        return coords[:1]
    space = Keyspace.of_box(bounding_box(coords))
    keys = space.keys(coords)
    if bool((keys[1:] > keys[:-1]).all()):
        return coords
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.concatenate(([True], keys[1:] != keys[:-1]))
    return coords[order[first]]


def common(a: Coords, b: Coords) -> Coords:
    """Rows present in both sets, in lexicographic order."""
    if not len(a) or not len(b) or a.shape[1] != b.shape[1]:
        return a[:0]
    a = sorted_unique(a)
    return a[member(a, b)]


def member(a: Coords, b: Coords) -> NDArray[np.bool_]:
    """Which rows of `a` are present in `b`, bool of shape ``(len(a),)``."""
    if not len(a) or not len(b) or a.shape[1] != b.shape[1]:
        return np.zeros(len(a), np.bool_)
    b = sorted_unique(b)
    box = bounding_box(b)
    mask = inside(a, box)
    space = Keyspace.of_box(box)
    if not space.wide and len(b) == math.prod(space.shape):
        return mask  # every cell of the box is there
    wanted, keys = space.keys(a[mask]), space.keys(b)
    rows = np.searchsorted(keys, wanted)
    rows[rows == len(keys)] = 0
    mask[mask] = keys[rows] == wanted
    return mask
