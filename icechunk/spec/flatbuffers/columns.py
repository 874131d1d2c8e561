"""Vectorised access to a vector of FlatBuffers tables: one numpy array per field.

Rows with different vtables are handled together: the field offset of every row comes from a
small array of its distinct vtables. All positions are checked before anything is gathered, so
corrupt or malicious bytes give a `FormatError`, and results are never larger than the data.

Example
-------
::

    refs = TableColumn.of_vector(table, slot=1)        # of a read.Table
    lengths = refs.u64(3)                              # uint64, shape (n,)
    ids = refs.structs(4, 12)                          # uint8, shape (n, 12)
    native = refs.has(4)                               # bool, shape (n,)
    start, count = refs.vectors(0, item_size=4)        # spans of [u32]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

# Records that this library writes are much smaller; larger strides are not worth a copy.
_LARGEST_RECORD = 2048
# Blocks copied at once: about the size of a processor's caches.
_SLAB = 1024
# With so few rows, calls into numpy cost more than they save: without them, a small `repo` object
# is decoded in two thirds of the time.
_FEW = 16
# No Icechunk table has more fields: longer vtables come from later writers.
_SLOTS = 16
# Distance, table of one field and count.
_SMALLEST_ROW = 16

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from icechunk.spec.flatbuffers.read import Body, Table

    Positions = NDArray[np.int64]


class TableColumn:
    """Many tables of one type, addressed by row.

    Parameters
    ----------
    body
        The payload.
    positions
        int64, shape ``(n,)``: position of each table.

    Raises
    ------
    FormatError
        If a table or its vtable lies outside the payload.
    """

    __slots__ = ("_codes", "_known", "_offsets", "_records", "_run", "_stride", "body", "positions")

    def __init__(self, body: Body, positions: Positions) -> None:
        self.body = body
        self.positions = positions
        self._stride, self._run = _layout(body, positions)
        self._records: NDArray[np.uint8] | None = None
        self._known: dict[tuple[int, str], NDArray[Any]] = {}
        soffsets = gather(body, positions, np.dtype("<i4")).astype(np.int64)
        self._codes, self._offsets = _field_offsets(body, positions - soffsets)

    @classmethod
    def of_vector(cls, table: Table, slot: int) -> TableColumn:
        """Tables of a required vector field.

        Raises
        ------
        FormatError
            If the field is missing or anything lies outside the payload.
        """
        span = table.vector(slot, 4)
        if span is None:
            table.fail(f"missing required field {slot} of the table at {table.pos}")
        return cls(table.body, offset_targets(table.body, *span))

    def __len__(self) -> int:
        return len(self.positions)

    def _offset(self, slot: int) -> NDArray[np.int64] | int:
        """Offset of a field inside its table: one number, or one per row (0 = absent)."""
        offsets = self._offsets
        if slot >= offsets.shape[1]:
            return 0
        column = offsets[:, slot]
        if len(column) == 0:
            return 0
        if self._codes is None or (column == column[0]).all():
            return int(column[0])
        return column[self._codes]

    def has(self, slot: int) -> NDArray[np.bool_]:
        """Which rows store the field, bool of shape ``(n,)``."""
        offset = self._offset(slot)
        if isinstance(offset, int):
            return np.full(len(self), offset != 0)
        return np.not_equal(offset, 0)

    def prefetch(self, scalars: Mapping[int, str], numbers: int | None = None) -> None:
        """Read many fields on one walk over tables that lie in blocks, without a copy of them.

        The methods below then have the values already.

        Parameters
        ----------
        scalars
            Slot and dtype of the fields; of offset fields ``"<u4"``.
        numbers
            Slot of a vector of u32 that `u32_rows` will be asked for.
        """
        if not self._run or self._run == len(self) or self._codes is not None:
            return
        wanted = {(self._offset(slot), np.dtype(name)) for slot, name in scalars.items()}
        offset = 0 if numbers is None else self._offset(numbers)
        if isinstance(offset, int) and offset and offset + 4 <= self._stride:
            u4, first = np.dtype("<u4"), int(self.positions[0])
            at = offset + self.body.u32_at(first + offset)
            width = self.body.u32_at(first + at) if at + 4 <= self._stride else 0
            if at + 4 + 4 * width <= self._stride:
                wanted |= {(place, u4) for place in range(at, at + 4 + 4 * width, 4)}
            wanted.add((offset, u4))
        stride = self._stride
        fields = [
            (at, kind)
            for at, kind in wanted
            if type(at) is int and 0 < at <= stride - kind.itemsize
        ]
        self._known = _walk(self.body, self.positions, stride, self._run, fields)

    def has_beyond(self, known: int) -> bool:
        """Whether any row stores a field that comes after the known ones."""
        return bool(self._offsets[:, known:].any())

    def _field(self, offset: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """What every row holds at one offset."""
        known = self._known.get((offset, dtype.str))
        if known is not None:
            return known
        if not self._run or offset + dtype.itemsize > self._stride:
            return gather(self.body, self.positions + offset, dtype)
        if self._records is None:
            self._records = _contiguous(self.body, self.positions, self._stride, self._run)
        shape, strides = (len(self),), (self._stride,)
        return np.ndarray(shape, dtype, self._records.data, offset, strides).copy()

    def _gather(self, slot: int, dtype: np.dtype[Any], default: int) -> NDArray[Any]:
        """Field values of every row, `default` where absent."""
        offset = self._offset(slot)
        if isinstance(offset, int):
            if not offset:
                return np.full(len(self), default, dtype)
            return self._field(offset, dtype)
        out = np.full(len(self), default, dtype)
        rows = np.flatnonzero(offset)
        out[rows] = gather(self.body, self.positions[rows] + offset[rows], dtype)
        return out

    def u8(self, slot: int, default: int = 0) -> NDArray[np.uint8]:
        """Read unsigned bytes, shape ``(n,)``."""
        return self._gather(slot, np.dtype("u1"), default)

    def u16(self, slot: int, default: int = 0) -> NDArray[np.uint16]:
        """Read u16 fields, shape ``(n,)``."""
        return self._gather(slot, np.dtype("<u2"), default)

    def u32(self, slot: int, default: int = 0) -> NDArray[np.uint32]:
        """Read u32 fields, shape ``(n,)``."""
        return self._gather(slot, np.dtype("<u4"), default)

    def i32(self, slot: int, default: int = 0) -> NDArray[np.int32]:
        """Read i32 fields, shape ``(n,)``."""
        return self._gather(slot, np.dtype("<i4"), default)

    def u64(self, slot: int, default: int = 0) -> NDArray[np.uint64]:
        """Read u64 fields, shape ``(n,)``."""
        return self._gather(slot, np.dtype("<u8"), default)

    def structs(self, slot: int, size: int) -> NDArray[np.uint8]:
        """Read inline structs as bytes, shape ``(n, size)``, zeros where absent."""
        offset = self._offset(slot)
        dtype = np.dtype(f"V{size}")
        if isinstance(offset, int):
            if not offset:
                return np.zeros((len(self), size), np.uint8)
            return self._field(offset, dtype).view(np.uint8).reshape(len(self), size)
        out = np.zeros((len(self), size), np.uint8)
        rows = np.flatnonzero(offset)
        raw = gather(self.body, self.positions[rows] + offset[rows], dtype)
        out[rows] = raw.view(np.uint8).reshape(len(rows), size)
        return out

    def targets(self, slot: int) -> Positions:
        """Position each row's offset field points to, int64 of shape ``(n,)``, 0 = absent."""
        offset = self._offset(slot)
        out = np.zeros(len(self), np.int64)
        if isinstance(offset, int):
            if offset:
                np.add(self.positions, offset, out=out)
                out += self._field(offset, np.dtype("<u4"))
            return out
        rows = np.flatnonzero(offset)
        at = self.positions[rows] + offset[rows]
        out[rows] = at + gather(self.body, at, np.dtype("<u4"))
        return out

    def vectors(self, slot: int, item_size: int) -> tuple[Positions, NDArray[np.int64]]:
        """Spans of a vector, string or blob field.

        Parameters
        ----------
        slot
            The field.
        item_size
            Bytes per element.

        Returns
        -------
        start, count : ndarray of int64, shape (n,)
            Position of the first element and number of elements; both 0 where absent.
        """
        target = self.targets(slot)
        rows = target > 0
        if rows.all():
            return vector_spans(self.body, target, item_size)
        start, count = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
        start[rows], count[rows] = vector_spans(self.body, target[rows], item_size)
        return start, count

    def u32_rows(self, slot: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Vectors of u32 of one length.

        Parameters
        ----------
        slot
            A field that every row stores.

        Returns
        -------
        count : ndarray of int64, shape (n,)
            Length of each vector.
        rows : ndarray of uint32, shape (n, count[0])
            Their numbers; without meaning when the lengths differ.
        """
        offset = self._offset(slot)
        u4 = np.dtype("<u4")
        if isinstance(offset, int) and self._run and len(self):
            distance = self._field(offset, u4)
            at = offset + int(distance[0])
            width = int(self._field(at, u4)[0]) if at + 4 <= self._stride else 0
            inside = at + 4 + 4 * width <= self._stride
            if inside and at + 4 <= self._stride and (distance == distance[0]).all():
                self._check_overlap(width)
                count = self._field(at, u4).astype(np.int64)
                rows = np.empty((len(self), width), np.uint32)
                for column in range(width):
                    rows[:, column] = self._field(at + 4 + 4 * column, u4)
                return count, rows
        start, count = self.vectors(slot, 4)
        if (count != count[0]).any():
            return count, np.empty((len(self), 0), np.uint32)
        self._check_overlap(int(count[0]))
        return count, u32_rows(self.body, start, int(count[0]))

    def _check_overlap(self, width: int) -> None:
        """Bound what gets allocated: distinct rows share neither tables nor numbers."""
        if len(self) * (_SMALLEST_ROW + 4 * width) > self.body.size:
            self.body.fail("the vectors of its tables overlap each other")

    def require(self, slot: int) -> None:
        """Raise the `FormatError` unless every row stores the field."""
        offset = self._offset(slot)
        if isinstance(offset, int) and (offset or not len(self)):
            return
        there = self.has(slot)
        if not there.all():
            row = int(np.argmin(there))
            self.body.fail(f"missing required field {slot} of the table at {self.positions[row]}")


def offset_targets(body: Body, start: int, count: int) -> Positions:
    """Positions the elements of an offset vector point to (span checked by the caller)."""
    distances = np.frombuffer(body.data, "<u4", count, start)
    return distances + np.arange(start, start + 4 * count, 4, dtype=np.int64)


def vector_spans(body: Body, at: Positions, item_size: int) -> tuple[Positions, NDArray[np.int64]]:
    """(start, count) of the vectors whose length prefixes are at the given positions."""
    count = gather(body, at, np.dtype("<u4")).astype(np.int64)
    start = at + 4
    if len(at) and int((start + count * item_size).max()) > body.size:
        body.fail("a vector is out of bounds")
    return start, count


def u32_rows(body: Body, start: Positions, width: int) -> NDArray[np.uint32]:
    """Gather `width` consecutive u32 per row, shape ``(n, width)``.

    The spans were checked by `vectors`.
    """
    out = np.empty((len(start), width), np.uint32)
    for column in range(width):
        out[:, column] = gather(body, start + 4 * column, np.dtype("<u4"))
    return out


def gather(body: Body, at: Positions, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read one item per position.

    Parameters
    ----------
    body
        The payload.
    at
        int64, shape ``(n,)``: byte positions.
    dtype
        Type of the items.

    Returns
    -------
    ndarray
        A new array of shape ``(n,)``.

    Raises
    ------
    FormatError
        If an item lies outside the payload or a number is not aligned.
    """
    if not len(at):
        return np.empty(0, dtype)
    size = dtype.itemsize
    low, high = _bounds(at)
    if low < 0 or high + size > body.size:
        body.fail(f"position {low if low < 0 else high} is out of bounds")
    if len(at) > _FEW:
        stride = int(at[1]) - int(at[0])
        # records of constant stride, as this library writes them: a strided copy beats a gather
        if stride > 0 and high - low == stride * (len(at) - 1) and _evenly(at, stride):
            return np.ndarray((len(at),), dtype, body.data, low, (stride,)).copy()
    if dtype.kind == "V" or size == 1:
        windows = np.ndarray((body.size - size + 1,), dtype, body.data, 0, (1,))
        found: NDArray[Any] = windows[at]
        return found
    if int(np.bitwise_or.reduce(at)) & (size - 1):
        body.fail(f"a {8 * size}-bit number is unaligned")
    items: NDArray[Any] = np.frombuffer(body.data, dtype, body.size // size)
    values: NDArray[Any] = items[at >> (size.bit_length() - 1)]
    return values


def _bounds(at: Positions) -> tuple[int, int]:
    """Smallest and largest position."""
    if len(at) > _FEW:
        return int(at.min()), int(at.max())
    few = at.tolist()
    return min(few), max(few)


def _evenly(at: Positions, stride: int) -> bool:
    return bool((at[1:] - at[:-1] == stride).all())


def _layout(body: Body, positions: Positions) -> tuple[int, int]:
    """(bytes from table to table, tables per block but the last); zeros without blocks."""
    count = len(positions)
    if count < 2:
        return 0, 0
    steps = positions[1:] - positions[:-1]
    stride = int(steps[0])
    breaks = np.flatnonzero(steps != stride)
    run = int(breaks[0]) + 1 if len(breaks) else count
    low, high = int(positions.min()), int(positions.max())
    if not 4 <= stride <= _LARGEST_RECORD or run < 2 or low < 0 or high + stride > body.size:
        return 0, 0
    if count * stride > body.size:  # they overlap
        return 0, 0
    if not np.array_equal(breaks, np.arange(run - 1, count - 1, run)):
        return 0, 0
    return stride, run


def _slabs(
    body: Body, positions: Positions, stride: int, run: int
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Tables in blocks, without what lies between the blocks: (rows, bytes of their tables)."""
    count = len(positions)
    full = count // run
    item = np.dtype(f"V{run * stride}")
    windows = np.ndarray((body.size - item.itemsize + 1,), item, body.data, 0, (1,))
    heads = positions[: full * run : run]
    for low in range(0, full, _SLAB):
        part = heads[low : low + _SLAB]
        yield slice(low * run, (low + len(part)) * run), windows[part].view(np.uint8)
    if full * run < count:
        rows = slice(full * run, count)
        size = (count - full * run) * stride
        yield rows, np.frombuffer(body.data, np.uint8, size, int(positions[full * run]))


def _contiguous(body: Body, positions: Positions, stride: int, run: int) -> NDArray[np.uint8]:
    """All tables one after the other: a strided copy of each field then beats a gather."""
    count = len(positions)
    if run == count:
        return np.frombuffer(body.data, np.uint8, count * stride, int(positions[0]))
    records = np.empty(count * stride, np.uint8)
    for rows, slab in _slabs(body, positions, stride, run):
        records[rows.start * stride : rows.stop * stride] = slab
    return records


def _walk(
    body: Body, positions: Positions, stride: int, run: int, fields: list[tuple[int, np.dtype[Any]]]
) -> dict[tuple[int, str], NDArray[Any]]:
    """Values at the given offsets of all tables, by offset and dtype."""
    found = {(at, dtype.str): np.empty(len(positions), dtype) for at, dtype in fields}
    for rows, slab in _slabs(body, positions, stride, run):
        for at, dtype in fields:
            values = np.ndarray((rows.stop - rows.start,), dtype, slab.data, at, (stride,))
            found[at, dtype.str][rows] = values
    return found


def _field_offsets(
    body: Body, vtables: Positions
) -> tuple[NDArray[np.intp] | None, NDArray[np.int64]]:
    """Field offsets of the vtables at the given positions.

    Returns
    -------
    codes
        Row of `offsets` for each vtable, None when they are all equal.
    offsets
        int64, shape ``(distinct vtables, slots)``, 0 = absent.
    """
    if not len(vtables):
        return None, np.zeros((0, 0), np.int64)
    if len(vtables) <= _FEW:
        return _few_offsets(body, vtables.tolist())
    fresh = np.flatnonzero(vtables[1:] != vtables[:-1]) + 1
    heads = np.concatenate((vtables[:1], vtables[fresh]))
    first = np.array([body.vtable_at(int(vtables[0]))], np.int64)
    if _are_equal(body, heads):
        return None, first
    ordered = np.sort(heads)  # np.unique would import numpy.ma: longer than all of this takes
    distinct = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    codes = np.repeat(
        np.searchsorted(distinct, heads),
        np.diff(np.concatenate(([0], fresh, [len(vtables)]))),
    )
    u16 = np.dtype("<u2")
    sizes = gather(body, distinct, u16).astype(np.int64)
    if (sizes < 4).any() or (sizes % 2).any() or int((distinct + sizes).max()) > body.size:
        body.fail("a vtable is out of bounds or has an invalid size")
    slots = min((int(sizes.max()) - 4) // 2, _SLOTS)
    offsets = np.zeros((len(distinct), slots), np.int64)
    for slot in range(slots):
        rows = np.flatnonzero(sizes >= 6 + 2 * slot)
        offsets[rows, slot] = gather(body, distinct[rows] + 4 + 2 * slot, u16)
    return codes, offsets


def _few_offsets(
    body: Body, vtables: list[int]
) -> tuple[NDArray[np.intp] | None, NDArray[np.int64]]:
    """`_field_offsets` for few tables, without numpy."""
    distinct = dict.fromkeys(vtables)
    rows = [body.vtable_at(at)[:_SLOTS] for at in distinct]
    if all(row == rows[0] for row in rows):
        return None, np.array(rows[:1], np.int64)
    slots = max(map(len, rows))
    offsets = np.array([row + (0,) * (slots - len(row)) for row in rows], np.int64)
    codes = {at: code for code, at in enumerate(distinct)}
    return np.array([codes[at] for at in vtables], np.intp), offsets


def _are_equal(body: Body, vtables: Positions) -> bool:
    """Whether all vtables are copies of the first, which was checked."""
    if len(vtables) == 1:
        return True
    first = int(vtables[0])
    size = int.from_bytes(body.data[first : first + 2], "little")
    low, high = int(vtables.min()), int(vtables.max())
    if low < 0 or high + size > body.size:
        return False
    windows = np.ndarray((body.size - size + 1,), f"V{size}", body.data, 0, (1,))
    raw = windows[vtables].view(np.uint8).reshape(-1, size)
    return bool((raw == raw[0]).all())
