"""Many texts as one pool of bytes and two columns of spans.

A history of 100,000 snapshots has as many messages: as Python strings they would cost more to make
than everything else in the file.  Here they stay bytes until one is read.

Every text that this module adds to a pool is *framed*: its length as u32 in front, a NUL behind,
the length aligned to 4 bytes.  A pool that consists mostly of framed texts is *dense*, and a writer
may copy it in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.spec.columns.text_column import copy_spans

Ints = npt.NDArray[np.int64]

# With so few rows, calls into numpy cost more than they save.
_FEW = 16

ABSENT = -1
"""Length of a row that has no text at all."""


def insert_row(column: npt.NDArray[Any], row: int, value: Any) -> npt.NDArray[Any]:
    """Copy of a column with one more row at a position (faster than `numpy.insert`)."""
    wider = np.empty((len(column) + 1, *column.shape[1:]), column.dtype)
    wider[:row] = column[:row]
    wider[row] = value
    wider[row + 1 :] = column[row:]
    return wider


def frame(raw: bytes) -> bytes:
    """Text with its u32 length in front, a NUL behind, padded to a multiple of 4 bytes."""
    return b"%b%b%b" % (len(raw).to_bytes(4, "little"), raw, bytes(4 - len(raw) % 4))


def _half(length: Ints, data: bytes) -> bool:
    """Whether framed texts of these lengths, absent ones included, are at least half of a pool."""
    there = length[length >= 0]
    return int((there // 4 * 4 + 8).sum()) * 2 >= len(data)


@dataclass(frozen=True, slots=True, eq=False)
class TextPool:
    """One text, or none, per row.

    Attributes
    ----------
    data : bytes
        The pool.
    start : int64 array, shape (n,)
        Position of each text in `data`.
    length : int64 array, shape (n,)
        Its number of bytes, `ABSENT` where the row has none.
    dense : bool
        Whether every text is framed and at least half of the pool is in use.
    """

    data: bytes
    start: Ints
    length: Ints
    dense: bool

    @classmethod
    def from_raw(cls, raws: Iterable[bytes | None]) -> TextPool:
        """Pool of the given byte texts, in order."""
        return cls.empty().extended(raws)

    @classmethod
    def empty(cls) -> TextPool:
        """Pool without rows."""
        nothing = np.empty(0, np.int64)
        return cls(b"", nothing, nothing, True)

    @classmethod
    def of_spans(cls, data: bytes | memoryview, start: Ints, length: Ints) -> TextPool:
        """Pool over texts found inside a larger buffer.

        Parameters
        ----------
        data : bytes or memoryview
            Any buffer that holds the texts.
        start, length : int64 array, shape (n,)
            Their spans, inside `data`; length `ABSENT` for none.

        Returns
        -------
        TextPool
            With only the part of `data` that the spans cover, rewritten unless it is dense.
        """
        if len(start) <= _FEW and int(length.sum()) <= len(data):
            return cls._of_few(data, start.tolist(), length.tolist())
        there = length >= 0
        if not there.any():
            return cls(b"", np.zeros(len(start), np.int64), length, True)
        first, last = start[there], start[there] + length[there]
        low, high = int(first.min()), int(last.max())
        cut = max(low - 4, 0)
        # One NUL and the padding belong to the last frame.
        part = bytes(data[cut : cut + (high - cut) // 4 * 4 + 4])
        pool = cls(part, start - cut, length, False)
        return cls(part, pool.start, length, True) if pool._is_dense() else pool.compacted()

    @classmethod
    def _of_few(cls, data: bytes | memoryview, start: list[int], length: list[int]) -> TextPool:
        """`of_spans` for few rows, without numpy."""
        frames: list[bytes] = []
        places: dict[tuple[int, int], int] = {}
        size = 0
        for at, count in zip(start, length, strict=True):
            if count >= 0 and (at, count) not in places:
                places[at, count] = size + 4
                frames.append(frame(bytes(data[at : at + count])))
                size += len(frames[-1])
        starts = [places.get(span, 0) for span in zip(start, length, strict=True)]
        columns = np.array([starts, length], np.int64)
        return cls(b"".join(frames), columns[0], columns[1], True)

    def __len__(self) -> int:
        return len(self.start)

    def raw(self, row: int) -> bytes | None:
        """Bytes of a row's text, or None."""
        # `item` is twice as fast as an index followed by `int`.
        length, start = self.length.item(row), self.start.item(row)
        return None if length < 0 else self.data[start : start + length]

    def text(self, row: int) -> str | None:
        """Text of a row, or None; what is not UTF-8 shows as replacement characters."""
        raw = self.raw(row)
        return None if raw is None else raw.decode(errors="replace")

    def texts(self, rows: npt.NDArray[Any]) -> list[str | None]:
        """Texts of many rows at once; as `text` gives them."""
        start, length = self.start[rows], self.length[rows]
        spans = zip(start.tolist(), (start + length).tolist(), strict=True)
        data = self.data
        if data.isascii():
            whole = data.decode("ascii")
            return [None if end < begin else whole[begin:end] for begin, end in spans]
        return [
            None if end < begin else data[begin:end].decode(errors="replace")
            for begin, end in spans
        ]

    def _is_dense(self) -> bool:
        """Check the frames, and that they fill at least half of the pool."""
        there = self.length >= 0
        start, length = self.start[there], self.length[there]
        if len(self.data) % 4 or (len(start) and (start.min() < 4 or (start % 4).any())):
            return False
        if len(start) and int((start + length).max()) >= len(self.data):
            return False
        words = np.frombuffer(self.data, "<u4")
        bytes_ = np.frombuffer(self.data, np.uint8)
        if (words[start // 4 - 1] != length).any() or bytes_[start + length].any():
            return False
        return _half(length, self.data)

    def compacted(self) -> TextPool:
        """Same texts in a dense pool; rows that shared a text still share it."""
        there = self.length >= 0
        if not there.any():
            return TextPool(b"", np.zeros(len(self), np.int64), self.length, True)
        width = int(self.length.max()) + 1
        keys = self.start[there] * width + self.length[there]
        spans, inverse = np.unique(keys, return_inverse=True)
        start, length = spans // width, spans % width
        if int(length.sum()) > len(self.data):
            raise FormatError(
                "damaged texts: they overlap. Restore the object they came from, for example "
                "from a copy of the repository.",
                ErrorKind.DESERIALIZATION,
            )
        sizes = length // 4 * 4 + 8
        target = np.cumsum(sizes) - sizes + 4
        out = np.zeros(int(sizes.sum()), np.uint8)
        out.view("<u4")[target // 4 - 1] = length
        copy_spans(out, target, np.frombuffer(self.data, np.uint8), start, length)
        new_start = np.zeros(len(self), np.int64)
        new_start[there] = target[inverse.reshape(-1)]
        return TextPool(out.tobytes(), new_start, self.length, True)

    def ready(self) -> TextPool:
        """A dense pool with the same texts: it can be appended to and copied in one piece."""
        return self if self.dense else self.compacted()

    def inserted(self, row: int, raw: bytes | None) -> TextPool:
        """Copy with one more row at a position; a text equal to the next row's is shared."""
        pool = self.ready()
        data, start = pool.data, len(pool.data) + 4
        if raw is None:
            start = 0
        elif row < len(pool) and pool.raw(row) == raw:
            start = int(pool.start[row])
        else:
            data += frame(raw)
        length = ABSENT if raw is None else len(raw)
        starts = insert_row(pool.start, row, start)
        return TextPool(data, starts, insert_row(pool.length, row, length), True)

    def extended(self, raws: Iterable[bytes | None]) -> TextPool:
        """Copy with more rows at the end."""
        pool = self.ready()
        listed = list(raws)
        frames = [b"" if raw is None else frame(raw) for raw in listed]
        sizes = np.array([len(part) for part in frames], np.int64)
        length = np.array([ABSENT if raw is None else len(raw) for raw in listed], np.int64)
        start = len(pool.data) + np.cumsum(sizes) - sizes + 4
        return TextPool(
            b"".join([pool.data, *frames]),
            np.concatenate([pool.start, start]),
            np.concatenate([pool.length, length]),
            True,
        )

    def taken(self, rows: npt.NDArray[Any] | slice) -> TextPool:
        """Some of the rows, given by positions, a mask or a slice."""
        start, length = self.start[rows], self.length[rows]
        if not self.dense:
            return TextPool(self.data, start, length, False)
        return TextPool(self.data, start, length, _half(length, self.data))
