"""Many object ids as one sorted column, and conversion of their texts to such columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from icechunk.core.ids import OBJECT_ID_SIZE, ObjectId

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ids: TypeAlias = "NDArray[np.bytes_]"
"""Ids as fixed-width bytes, shape (n,): they compare like their bytes, all having one length.

A single element loses the zero bytes at its end; `ids_of` gives whole ids back.
"""

_KIND = f"S{OBJECT_ID_SIZE}"
_CHARS = -(-OBJECT_ID_SIZE * 8 // 5)
_NOT_A_DIGIT = 255
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8)
_DIGITS = np.full(256, _NOT_A_DIGIT, np.uint8)
_DIGITS[_ALPHABET] = np.arange(32)

_PAIRS = np.stack([np.repeat(_ALPHABET, 32), np.tile(_ALPHABET, 32)], axis=1).view("<u2")[:, 0]
"""Texts of all pairs of digits, as two characters each."""
_PAIR_AT = np.arange(0, _CHARS * 5, 10) // 8
_PAIR_SHIFT = (6 - np.arange(0, _CHARS * 5, 10) % 8).astype(np.uint16)

NO_IDS: Ids = np.empty(0, _KIND)


def column(ids: Iterable[bytes]) -> Ids:
    """Distinct ids, sorted."""
    return _distinct(np.frombuffer(b"".join(ids), _KIND))


def from_rows(rows: NDArray[np.uint8]) -> Ids:
    """Distinct ids of an array of shape (n, 12), sorted."""
    return _distinct(np.ascontiguousarray(rows).reshape(-1).view(_KIND))


def distinct_rows(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Distinct ids of an array of shape (n, 12), sorted, as such an array; quick for millions."""
    high = np.ascontiguousarray(ids[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
    low = np.ascontiguousarray(ids[:, 8:]).view(">u4").reshape(-1).astype(np.uint32)
    order = np.argsort(high)
    sorted_high = high[order]
    if (sorted_high[1:] == sorted_high[:-1]).any():  # rare unless chunks share objects
        order = np.lexsort((low, high))
    high, low = high[order], low[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return ids[order[first]]


def union(columns: Sequence[Ids]) -> Ids:
    """Ids that are in any of the columns, which need not be in order; sorted."""
    filled = [ids for ids in columns if len(ids)]
    if not filled:
        return NO_IDS
    return _distinct(filled[0] if len(filled) == 1 else np.concatenate(filled))


def _distinct(ids: Ids) -> Ids:
    """The ids sorted, each once; what is in order already costs next to nothing."""
    if not (ids[1:] >= ids[:-1]).all():
        ids = np.sort(ids, kind="stable")  # merges runs that are sorted
    first = np.ones(len(ids), np.bool_)
    first[1:] = ids[1:] != ids[:-1]
    return ids if first.all() else ids[first]


def without(ids: Ids, others: Ids) -> Ids:
    """Ids of the first column that are not in the second."""
    return ids[~member(ids, others)]


def member(ids: Ids, of: Ids) -> NDArray[np.bool_]:
    """Which ids are in a sorted column."""
    if not len(of):
        return np.zeros(len(ids), np.bool_)
    places = np.minimum(np.searchsorted(of, ids), len(of) - 1)
    found: NDArray[np.bool_] = of[places] == ids
    return found


def ids_of(ids: Ids) -> list[ObjectId]:
    """The ids one by one."""
    found: list[ObjectId] = np.ascontiguousarray(ids).view(f"V{OBJECT_ID_SIZE}").tolist()
    return found


def texts_of(ids: Ids) -> list[str]:
    """20-character texts of the ids."""
    raw = np.zeros((len(ids), OBJECT_ID_SIZE + 1), np.uint8)
    raw[:, :-1] = np.ascontiguousarray(ids).view(np.uint8).reshape(-1, OBJECT_ID_SIZE)
    # Two digits are 10 bits, which begin in one byte and end in the next.
    window = raw[:, _PAIR_AT].astype(np.uint16) << 8 | raw[:, _PAIR_AT + 1]
    text = _PAIRS[window >> _PAIR_SHIFT & 1023].tobytes().decode("ascii")
    return [text[start : start + _CHARS] for start in range(0, len(text), _CHARS)]


def from_texts(texts: Sequence[str]) -> tuple[Ids, NDArray[np.bool_]]:
    """Ids of their 20-character texts.

    Parameters
    ----------
    texts : sequence of str
        Names, of ids or of anything else.

    Returns
    -------
    ids : shape (n,)
        In the order of the texts; zeros where a text is not an id.
    valid : bool array, shape (n,)
        Which texts are ids exactly as this library and others write them.
    """
    fits = np.array([len(text) == _CHARS and text.isascii() for text in texts], np.bool_)
    blank = "\0" * _CHARS
    joined = "".join([text if fit else blank for text, fit in zip(texts, fits, strict=True)])
    digits = _DIGITS[np.frombuffer(joined.encode(), np.uint8).reshape(-1, _CHARS)]
    spare = _CHARS * 5 - OBJECT_ID_SIZE * 8
    valid = fits & (digits != _NOT_A_DIGIT).all(axis=1) & (digits[:, -1] % (1 << spare) == 0)
    digits[~valid] = 0
    bits = np.unpackbits(digits[:, :, None], axis=2)[:, :, 3:].reshape(-1, _CHARS * 5)
    packed: NDArray[Any] = np.packbits(bits[:, : OBJECT_ID_SIZE * 8], axis=1)
    return np.ascontiguousarray(packed).reshape(-1).view(_KIND), valid
