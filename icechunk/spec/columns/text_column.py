"""Columns of chunk references without their coordinates, and texts as spans of bytes.

`icechunk.spec.manifest.chunk_table.ChunkTable` adds the coordinates.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

Pool: TypeAlias = "bytes | memoryview"

_BLOCK = 2**14
_FEW = 32  # rows, up to which a dictionary is faster than sorting with numpy
_BLOCK_BYTES = 2**19  # about the size of a processor's caches
_HASH_SEED = np.arange(1, 1025, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
_HASH_SEED ^= _HASH_SEED >> np.uint64(31) << np.uint64(1)


def copy_spans(
    target: NDArray[np.uint8],
    target_start: NDArray[np.int64],
    source: NDArray[np.uint8],
    source_start: NDArray[np.int64],
    length: NDArray[Any],
) -> None:
    """Copy many byte ranges at once.

    Parameters
    ----------
    target, source
        One-dimensional contiguous byte arrays.
    target_start, source_start, length
        Shape ``(n,)``: range k goes from ``source[source_start[k]:][:length[k]]`` to
        ``target_start[k]``. The caller guarantees that all ranges lie inside the arrays.
    """
    for size, rows in _by_length(length):
        item = f"V{size}"
        windows_in = np.ndarray((len(source) - size + 1,), item, source.data, 0, (1,))
        windows_out = np.ndarray((len(target) - size + 1,), item, target.data, 0, (1,))
        start_in, start_out = source_start[rows], target_start[rows]
        step = max(_BLOCK_BYTES // size, 1)
        for low in range(0, len(start_in), step):
            part = slice(low, low + step)
            windows_out[start_out[part]] = windows_in[start_in[part]]


def equal_spans(
    one: NDArray[np.uint8],
    one_start: NDArray[np.int64],
    two: NDArray[np.uint8],
    two_start: NDArray[np.int64],
    length: NDArray[Any],
) -> NDArray[np.bool_]:
    """Compare many byte ranges of two arrays at once; bool of shape ``(n,)``.

    Parameters are those of `copy_spans`.
    """
    equal = np.ones(len(length), np.bool_)
    for size, rows in _by_length(length):
        item = f"V{size}"
        windows_one = np.ndarray((len(one) - size + 1,), item, one.data, 0, (1,))
        windows_two = np.ndarray((len(two) - size + 1,), item, two.data, 0, (1,))
        start_one, start_two = one_start[rows], two_start[rows]
        found = np.empty(len(start_one), np.bool_)
        step = max(_BLOCK_BYTES // size, 1)
        for low in range(0, len(found), step):
            part = slice(low, low + step)
            found[part] = windows_one[start_one[part]] == windows_two[start_two[part]]
        equal[rows] = found
    return equal


def _by_length(length: NDArray[Any]) -> Iterable[tuple[int, Any]]:
    """Yield (length, rows having it) for every non-zero length."""
    if not len(length):
        return
    if (length == length[0]).all():
        if length[0]:
            yield int(length[0]), slice(None)
        return
    order = np.argsort(length, kind="stable")
    ordered = length[order]
    edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        size = int(ordered[low])
        if size:
            yield size, order[low:high]


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn:
    """One byte string per row, as spans into a shared pool; an empty span means none.

    Attributes
    ----------
    pool : bytes or memoryview
        The bytes; rows may share and overlap spans.
    start : ndarray of int64, shape (n,)
    length : ndarray of uint32, shape (n,)
    """

    pool: Pool
    start: NDArray[np.int64]
    length: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def nbytes(self) -> int:
        """Memory held, the whole pool included."""
        return memoryview(self.pool).nbytes + self.start.nbytes + self.length.nbytes

    @property
    def pool_array(self) -> NDArray[np.uint8]:
        """The pool as a read-only uint8 array."""
        return np.frombuffer(self.pool, np.uint8)

    @classmethod
    def from_bytes(cls, values: Iterable[bytes | None]) -> TextColumn:
        """Column of the given byte strings; equal ones share their span."""
        spans: dict[bytes, tuple[int, int]] = {b"": (0, 0)}
        pieces: list[bytes] = []
        rows: list[tuple[int, int]] = []
        size = 0
        for value in values:
            raw = value or b""
            span = spans.get(raw)
            if span is None:
                span = spans[raw] = (size, len(raw))
                pieces.append(raw)
                size += len(raw)
            rows.append(span)
        table = np.array(rows, np.int64).reshape(len(rows), 2)
        return cls(b"".join(pieces), table[:, 0].copy(), table[:, 1].astype(np.uint32))

    @classmethod
    def from_strings(cls, values: Iterable[str | None]) -> TextColumn:
        """Column of the given texts (UTF-8)."""
        return cls.from_bytes(None if v is None else v.encode("utf-8") for v in values)

    @classmethod
    def from_array(cls, values: NDArray[Any]) -> TextColumn:
        """Column of a one-dimensional numpy ``S``, ``U`` or ``StringDType`` array."""
        kind = values.dtype.kind
        if kind != "S":
            # a StringDType column does not know its width
            width = str(int(np.strings.str_len(values).max(initial=1))) if kind == "T" else ""
            try:
                values = values.astype("S" + width)
            except UnicodeEncodeError:
                values = np.char.encode(values.astype("U" + width), "utf-8")
        values = np.ascontiguousarray(values)
        start = np.arange(len(values), dtype=np.int64) * values.dtype.itemsize
        return cls(values.tobytes(), start, np.char.str_len(values).astype(np.uint32))

    @classmethod
    def blank(cls, count: int) -> TextColumn:
        """Column of `count` rows without text."""
        return cls(b"", np.zeros(count, np.int64), np.zeros(count, np.uint32))

    def bytes_at(self, row: int) -> bytes:
        """Bytes of one row."""
        start = int(self.start[row])
        return bytes(self.pool[start : start + int(self.length[row])])

    def text_at(self, row: int) -> str:
        """Text of one row; undecodable bytes become U+FFFD."""
        return self.bytes_at(row).decode("utf-8", "replace")

    def texts(self) -> list[str]:
        """Text of every row, decoding each distinct span once."""
        codes, values = self.distinct(content=False)
        found = values._decoded()
        # Codes follow the order of appearance.
        return found if len(found) == len(self) else spread(found, codes)

    def _decoded(self) -> list[str]:
        """Text of every row, their part of the pool decoded at once where they need much of it."""
        ends = self.start + self.length
        low, high = int(self.start.min(initial=2**62)), int(ends.max(initial=0))
        if int(self.length.sum(dtype=np.int64)) * 4 >= high - low > 0:
            with suppress(UnicodeDecodeError):
                part = str(memoryview(self.pool)[low:high], "ascii")
                spans = zip((self.start - low).tolist(), (ends - low).tolist(), strict=True)
                return [part[at:end] for at, end in spans]
        return [self.text_at(row) for row in range(len(self))]

    def take(self, rows: Any) -> TextColumn:
        """Column of selected rows (indices, mask or slice) over the same pool."""
        return TextColumn(self.pool, self.start[rows], self.length[rows])

    def compact(self) -> TextColumn:
        """Copy into a pool of exactly the bytes in use, when that saves half or more."""
        codes, values = self.distinct(content=False)
        used = int(values.length.sum(dtype=np.int64))
        if used * 2 > memoryview(self.pool).nbytes:
            return self
        start = np.cumsum(values.length, dtype=np.int64) - values.length
        pool = np.empty(used, np.uint8)
        copy_spans(pool, start, self.pool_array, values.start, values.length)
        if len(values) == len(self):  # codes follow the order of appearance
            return TextColumn(pool.data, start, values.length)
        return TextColumn(pool.data, start[codes], values.length[codes])

    def distinct(self, *, content: bool = True) -> tuple[NDArray[np.int64], TextColumn]:
        """Factorise the rows.

        Parameters
        ----------
        content
            Find equal bytes; otherwise only equal spans.

        Returns
        -------
        codes : ndarray of int64, shape (n,)
            Row of `values` that holds the text of each row.
        values : TextColumn
            The distinct texts over the same pool, in order of first appearance.
        """
        if not len(self):
            return np.zeros(0, np.int64), self
        big = bool((self.start >= 2**31).any())
        span = self.start * 2**32 + self.length if not big else self._wide_spans()
        codes, first = _factorise(span)
        if content and len(first) > 1:
            again, kept = self.take(first)._by_content()
            codes, first = again[codes], first[kept]
        return codes, self.take(first)

    def _wide_spans(self) -> NDArray[Any]:
        """Spans as comparable 12-byte strings, for pools beyond 2 GiB."""
        packed = np.empty(len(self), [("start", ">u8"), ("length", ">u4")])
        packed["start"], packed["length"] = self.start, self.length
        return packed.view("S12")

    def _by_content(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(codes, first row of each code) of equal bytes; a hash proposes, bytes decide."""
        pool = self.pool_array
        codes = np.zeros(len(self), np.int64)
        firsts: list[NDArray[np.int64]] = []
        known = 0
        empty = np.flatnonzero(self.length == 0)
        if len(empty):
            codes[empty] = known
            firsts.append(empty[:1])
            known = 1
        for size, rows in _by_length(self.length):
            index = np.arange(len(self)) if isinstance(rows, slice) else rows
            part, first = _equal_rows(pool, self.start[index], size)
            codes[index] = part + known
            firsts.append(index[first])
            known += len(first)
        return _by_appearance(codes, np.concatenate(firsts))

    def __reduce__(self) -> tuple[Any, ...]:
        return TextColumn, (bytes(self.pool), self.start, self.length)


def spread(values: list[str], codes: NDArray[np.int64]) -> list[str]:
    """The value of each code."""
    listed: list[str] = np.array(values, object)[codes].tolist()
    return listed


def _factorise(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(codes, first row of each code), by appearance; runs are folded first, they are common."""
    if len(values) <= _FEW:
        listed = values.tolist()
        codes = {value: code for code, value in enumerate(dict.fromkeys(listed))}
        rows = np.array([listed.index(value) for value in codes], np.int64)
        return np.array([codes[value] for value in listed], np.int64), rows
    if (values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all():
        rows = np.arange(len(values), dtype=np.int64)
        return rows, rows
    change = np.concatenate(([True], values[1:] != values[:-1]))
    heads = np.flatnonzero(change)
    _, first, inverse = np.unique(values[heads], return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1).astype(np.int64, copy=False)
    inverse, first = _by_appearance(inverse, first.astype(np.int64, copy=False))
    if len(heads) == len(values):
        return inverse, first
    return np.repeat(inverse, np.diff(np.append(heads, len(values)))), heads[first]


def _by_appearance(
    codes: NDArray[np.int64], first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber codes so that first rows ascend: the result depends on the texts alone."""
    if (first[1:] > first[:-1]).all():
        return codes, first
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[codes], first[order]


def _equal_rows(
    pool: NDArray[np.uint8], start: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`_by_content` for spans of one length."""
    windows = np.ndarray((len(pool) - size + 1,), f"V{size}", pool.data, 0, (1,))
    hashes = np.empty(len(start), np.uint64)
    words = -(-size // 8)
    seeds = np.resize(_HASH_SEED, words)
    for low in range(0, len(start), _BLOCK):
        part = start[low : low + _BLOCK]
        padded = np.zeros((len(part), words * 8), np.uint8)
        padded[:, :size] = windows[part].view(np.uint8).reshape(len(part), size)
        mixed = padded.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * seeds
        mixed ^= mixed >> np.uint64(32)
        hashes[low : low + _BLOCK] = mixed.sum(axis=1)
    ordered = np.sort(hashes)
    if (ordered[1:] != ordered[:-1]).all():  # the fastest check that all differ
        rows = np.arange(len(start), dtype=np.int64)
        return rows, rows
    codes, first = _factorise(hashes)
    for low in range(0, len(start), _BLOCK):
        part = start[low : low + _BLOCK]
        leader = start[first[codes[low : low + _BLOCK]]]
        differs = np.flatnonzero(part != leader)
        if len(differs) and not (windows[part[differs]] == windows[leader[differs]]).all():
            return _equal_rows_exact(pool, start, size)
    return codes, first


def _equal_rows_exact(
    pool: NDArray[np.uint8], start: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compare every text, after a hash collision."""
    raw = pool.tobytes()
    seen: dict[bytes, int] = {}
    first: list[int] = []
    codes = np.empty(len(start), np.int64)
    for row, at in enumerate(start.tolist()):
        text = raw[at : at + size]
        code = seen.setdefault(text, len(seen))
        if code == len(first):
            first.append(row)
        codes[row] = code
    return codes, np.array(first, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RefColumns:
    """Columns of chunk references without their coordinates; None = nothing to store.

    Attributes
    ----------
    kind : ndarray of uint8, shape (n,)
    length : ndarray of uint64, shape (n,)
    id : ndarray of uint8, shape (n, 12), or None
        Chunk ids of native rows, zeros elsewhere; None without native rows.
    offset : ndarray of uint64, shape (n,), or None
        None when all are zero.
    text : TextColumn or None
        Location of virtual rows, payload of inline ones.
    etag : TextColumn or None
    modified : ndarray of uint32, shape (n,), or None
        Seconds since 1970, 0 = unknown.
    """

    kind: NDArray[np.uint8]
    length: NDArray[np.uint64]
    id: NDArray[np.uint8] | None = None
    offset: NDArray[np.uint64] | None = None
    text: TextColumn | None = None
    etag: TextColumn | None = None
    modified: NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def nbytes(self) -> int:
        """Memory held; a pool that two columns share counts once."""
        total = self.kind.nbytes + self.length.nbytes
        total += sum(c.nbytes for c in (self.id, self.offset, self.modified) if c is not None)
        texts = [t for t in (self.text, self.etag) if t is not None]
        total += sum(t.start.nbytes + t.length.nbytes for t in texts)
        return total + sum({id(t.pool): memoryview(t.pool).nbytes for t in texts}.values())

    def lean(self) -> RefColumns:
        """Drop the columns that say nothing."""
        blank_etag = self.etag is not None and not self.etag.length.any()
        blank_text = self.text is not None and not self.text.length.any()
        return RefColumns(
            self.kind,
            self.length,
            self.id if self.id is not None and (self.kind == 1).any() else None,
            self.offset if self.offset is not None and self.offset.any() else None,
            None if blank_text else self.text,
            None if blank_etag else self.etag,
            self.modified if self.modified is not None and self.modified.any() else None,
        )

    def take(self, rows: Any) -> RefColumns:
        """Columns of selected rows (indices, mask or slice)."""
        ids = self.id
        if ids is not None:
            ids = ids.view("V12").reshape(-1)[rows].view(np.uint8).reshape(-1, 12)
        return RefColumns(
            self.kind[rows],
            self.length[rows],
            ids,
            None if self.offset is None else self.offset[rows],
            None if self.text is None else self.text.take(rows),
            None if self.etag is None else self.etag.take(rows),
            None if self.modified is None else self.modified[rows],
        )

    def replaced(self, rows: NDArray[np.int64], other: RefColumns) -> RefColumns:
        """Copy with the given rows overwritten by the rows of `other`."""
        sizes = (len(self), len(other))
        source = np.arange(len(self))
        source[rows] = np.arange(len(self), len(self) + len(other))

        def spliced(mine: TextColumn | None, theirs: TextColumn | None) -> TextColumn | None:
            joined = _join_text((mine, theirs), sizes)
            return None if joined is None else joined.take(source)

        return RefColumns(
            _put(self.kind, other.kind, rows, len(self)),
            _put(self.length, other.length, rows, len(self)),
            _put(self.id, other.id, rows, len(self)),
            _put(self.offset, other.offset, rows, len(self)),
            spliced(self.text, other.text),
            spliced(self.etag, other.etag),
            _put(self.modified, other.modified, rows, len(self)),
        )

    @staticmethod
    def concat(parts: Sequence[RefColumns]) -> RefColumns:
        """Rows of all parts, one part after the other."""
        sizes = [len(part) for part in parts]
        return RefColumns(
            np.concatenate([part.kind for part in parts]),
            np.concatenate([part.length for part in parts]),
            _join([part.id for part in parts], sizes, (12,)),
            _join([part.offset for part in parts], sizes),
            _join_text([part.text for part in parts], sizes),
            _join_text([part.etag for part in parts], sizes),
            _join([part.modified for part in parts], sizes),
        )


def _put(mine: Any, theirs: Any, rows: NDArray[np.int64], count: int) -> Any:
    """Copy of an optional column with some rows overwritten, zeros standing in for missing ones."""
    if mine is None and theirs is None:
        return None
    column = np.zeros((count, *theirs.shape[1:]), theirs.dtype) if mine is None else mine.copy()
    column[rows] = 0 if theirs is None else theirs
    return column


def _join(
    columns: Sequence[NDArray[Any] | None], sizes: Sequence[int], tail: tuple[int, ...] = ()
) -> NDArray[Any] | None:
    """Concatenate optional columns, zeros standing in for missing ones."""
    present = next((column for column in columns if column is not None), None)
    if present is None:
        return None
    return np.concatenate(
        [
            np.zeros((size, *tail), present.dtype) if column is None else column
            for column, size in zip(columns, sizes, strict=True)
        ]
    )


def _join_text(columns: Sequence[TextColumn | None], sizes: Sequence[int]) -> TextColumn | None:
    """Concatenate optional text columns, joining the pools."""
    if all(column is None for column in columns):
        return None
    pools: list[Pool] = []
    places: dict[int, int] = {}
    starts: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.uint32]] = []
    size = 0
    for column, count in zip(columns, sizes, strict=True):
        part = TextColumn.blank(count) if column is None else column
        place = places.get(id(part.pool))
        if place is None:
            place = places[id(part.pool)] = size
            pools.append(part.pool)
            size += memoryview(part.pool).nbytes
        starts.append(part.start + place if place else part.start)
        lengths.append(part.length)
    pool = pools[0] if len(pools) == 1 else b"".join(pools)
    return TextColumn(pool, np.concatenate(starts), np.concatenate(lengths))
