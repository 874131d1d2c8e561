"""Lists of Python strings as text columns, a million at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.spec.columns.text_column import TextColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 1024


def text_column(values: Sequence[str] | NDArray[Any]) -> TextColumn:
    """Column of texts.

    Parameters
    ----------
    values : list of str, or ndarray
        A list, or a one-dimensional array of fixed-width or variable-width text, of bytes, or of
        str objects.

    Returns
    -------
    TextColumn
        Texts that repeat often share their bytes.

    Raises
    ------
    TypeError
        When an item is not a str.
    UnicodeEncodeError
        When a text holds half of a surrogate pair.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return TextColumn.from_array(values)
    listed: list[str] = list(values)
    if not listed:
        return TextColumn.blank(0)
    sample = listed[:: max(len(listed) // _SAMPLE, 1)]
    try:
        if len(set(sample)) * 4 < len(sample) * 3:
            return _repeating(listed)
        return _joined(listed)
    except TypeError:
        wrong = next(value for value in listed if not isinstance(value, str))
        raise TypeError(
            f"'{type(wrong).__name__}' object is not an instance of 'str': give text only"
        ) from None


def _repeating(values: list[str]) -> TextColumn:
    """Column of texts of which many are equal."""
    places = {text: place for place, text in enumerate(dict.fromkeys(values))}
    rows = np.fromiter(map(places.__getitem__, values), np.int64, len(values))
    return _joined(list(places)).take(rows)


def _joined(values: list[str]) -> TextColumn:
    """Column of texts, one after the other."""
    pool = "\0".join(values).encode()
    ends = np.flatnonzero(np.frombuffer(pool, np.uint8) == 0)
    if len(ends) != len(values) - 1:  # some text holds a NUL itself
        return TextColumn.from_strings(values)
    ends = np.append(ends, len(pool))
    start = np.concatenate(([0], ends[:-1] + 1))
    return TextColumn(pool, start, (ends - start).astype(np.uint32))
