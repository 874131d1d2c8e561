"""Vectorised writer of a FlatBuffers vector of tables: records of constant stride.

Tables of equal shape (a `Records` group) lie one after the other behind one shared vtable, so
every field of all of them is one strided numpy assignment. A vector may mix groups; its
distances put the tables in order. The result is a self-contained `Block` for
`flat_write.Builder.block`.

Example
-------
::

    records = Records(                       # n tables {0: [u32] coords, 3: u64 length}
        count=n, stride=24 + 4 * d, vtable=(12, 16, 4, 0, 0, 8),
        scalars=[(4, "<u4", 12), (8, "<u8", lengths), (16, "<u4", d)],
        matrix=(20, coords),
    )
    block = table_vector([records])
    ref = builder.block(block.raw, block.entry, align=8)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from icechunk.format.flat_write import MAX_BODY, too_large
from icechunk.model.columns import copy_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from icechunk.model.columns import TextColumn


class Block(NamedTuple):
    """Position-independent bytes (8-aligned) and the position of the vector within."""

    raw: memoryview
    entry: int


class Blobs(NamedTuple):
    """Length-prefixed strings or byte vectors for many rows; rows may share an entry.

    Attributes
    ----------
    codes : ndarray of int64, shape (n,)
        Entry of each row.
    values : TextColumn
        The entries.
    nul : bool
        Whether entries are strings, which end in a NUL.
    """

    codes: NDArray[np.int64]
    values: TextColumn
    nul: bool

    def starts(self) -> tuple[NDArray[np.int64], int]:
        """(position of each entry, size of all) when laid out one after the other."""
        sizes = (self.values.length.astype(np.int64) + (8 if self.nul else 7)) & ~3
        ends = np.cumsum(sizes)
        return ends - sizes, int(ends[-1]) if len(ends) else 0

    def write(self, out: NDArray[np.uint8], base: int, starts: NDArray[np.int64]) -> None:
        """Write the entries at `base`, which is a multiple of 4."""
        out.view("<u4")[(starts + base) >> 2] = self.values.length
        copy_spans(
            out, starts + (base + 4), self.values.pool_array, self.values.start, self.values.length
        )


@dataclass(frozen=True, slots=True)
class Records:
    """Tables of one shape.

    Attributes
    ----------
    count : int
    stride : int
        Bytes from one table to the next, a multiple of 4 (of 8 when `scalars` hold u64).
    vtable : tuple of int
        The u16 words of the shared vtable.
    scalars : list of (offset, dtype, values)
        Values in each table: an array of shape ``(count,)`` or one number.
    matrix : (offset, ndarray of uint32, shape (count, d)) or None
        Numbers that follow each other in each table.
    blobs : list of (offset, Blobs)
        Offset fields and what they point to.
    rows : ndarray of int64, shape (count,), or None
        Places of the tables in the vector; None = all, in order.
    """

    count: int
    stride: int
    vtable: tuple[int, ...]
    scalars: Sequence[tuple[int, str, Any]] = ()
    matrix: tuple[int, NDArray[np.uint32]] | None = None
    blobs: Sequence[tuple[int, Blobs]] = field(default_factory=list)
    rows: NDArray[np.int64] | None = None

    def write(self, out: NDArray[np.uint8], base: int, vtable: int) -> NDArray[np.int64]:
        """Write the tables at `base` (blobs excepted) and return their positions."""
        places = np.arange(base, base + self.stride * self.count, self.stride, dtype=np.int64)
        self._column(out, base, "<i4")[...] = places - vtable
        for offset, dtype, values in self.scalars:
            self._column(out, base + offset, dtype)[...] = values
        if self.matrix is not None:
            offset, rows = self.matrix
            for axis in range(rows.shape[1]):
                self._column(out, base + offset + 4 * axis, "<u4")[...] = rows[:, axis]
        return places

    def link(self, out: NDArray[np.uint8], base: int, offset: int, at: NDArray[np.int64]) -> None:
        """Point an offset field of every table to the absolute positions `at`."""
        step = np.arange(base + offset, base + offset + self.stride * self.count, self.stride)
        self._column(out, base + offset, "<u4")[...] = at - step

    def _column(self, out: NDArray[np.uint8], start: int, dtype: str) -> NDArray[Any]:
        """Strided view of one field of all tables."""
        return np.ndarray((self.count,), dtype, out.data, start, (self.stride,))


def table_vector(groups: Sequence[Records]) -> Block:
    """Write a vector of tables.

    Parameters
    ----------
    groups
        The tables; together their `rows` number the elements of the vector.

    Returns
    -------
    Block

    Raises
    ------
    FormatError
        If the block alone would exceed the 2 GiB a payload may have.
    """
    groups = [group for group in groups if group.count]
    count = sum(group.count for group in groups)
    vtables: list[int] = []
    size = 0
    for group in groups:
        vtables.append(size)
        size += 2 * len(group.vtable)
    vector = _up(size, 4)
    bases: list[int] = []
    size = _up(vector + 4 + 4 * count, 8)
    for group in groups:
        bases.append(size)
        size = _up(size + group.stride * group.count, 8)
    pools: list[tuple[Records, int, int, Blobs, NDArray[np.int64], int]] = []
    for group, base in zip(groups, bases, strict=True):
        for offset, blobs in group.blobs:
            starts, used = blobs.starts()
            pools.append((group, base, offset, blobs, starts, size))
            size = _up(size + used, 4)
    size = _up(size, 8)
    if size > MAX_BODY:
        raise too_large(size)

    out = np.zeros(size, np.uint8)
    places = np.empty(count, np.int64)
    for group, base, vtable in zip(groups, bases, vtables, strict=True):
        words = len(group.vtable)
        out[vtable : vtable + 2 * words] = np.array(group.vtable, "<u2").view(np.uint8)
        places[slice(None) if group.rows is None else group.rows] = group.write(out, base, vtable)
    for group, base, offset, blobs, starts, pool in pools:
        blobs.write(out, pool, starts)
        group.link(out, base, offset, (starts + pool)[blobs.codes])
    words_out = out[vector : vector + 4 + 4 * count].view("<u4")
    words_out[0] = count
    words_out[1:] = places - np.arange(vector + 4, vector + 4 + 4 * count, 4)
    return Block(out.data, vector)


def _up(size: int, align: int) -> int:
    return -(-size // align) * align
