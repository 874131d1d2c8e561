"""How much chunks differ between two states, for the chunks on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from icechunk import IcechunkError
from icechunk_widgets.arrays.nodes import ArrayShape, array_shape
from icechunk_widgets.arrays.pictures import Side, difference, read
from icechunk_widgets.kernel.failures import ChunkUnreadable

MOST_CHUNKS = 64


def magnitudes(one: Side, two: Side, chunks: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Compare the values of chunks in two states.

    Parameters
    ----------
    one, two : Side
        The states of an array.
    chunks : sequence of (sequence of int)
        Coordinates, at most 64 of them.

    Returns
    -------
    list of dict
        Per chunk ``equal`` (whether all values are equal; None when unknown) and ``largest``
        (the largest absolute difference; None without two numbers to compare).
    """
    shapes = array_shape(one.session, one.path), array_shape(two.session, two.path)
    if shapes[0] is None or shapes[1] is None or shapes[0].chunks != shapes[1].chunks:
        return [{"equal": None, "largest": None} for _ in chunks[:MOST_CHUNKS]]
    results = []
    for chunk in chunks[:MOST_CHUNKS]:
        try:
            results.append(_compare(one, two, shapes[0], shapes[1], chunk))
        except ChunkUnreadable:  # the other chunks can still be compared
            results.append({"equal": None, "largest": None})
        except IcechunkError:
            raise
        except Exception:  # codecs raise exceptions of any class
            results.append({"equal": None, "largest": None})
    return results


def _compare(
    one: Side, two: Side, first: ArrayShape, second: ArrayShape, chunk: Sequence[int]
) -> dict[str, Any]:
    region = [
        (int(c) * length, min((int(c) + 1) * length, max(sizes)))
        for c, length, *sizes in zip(chunk, first.chunks, first.shape, second.shape, strict=True)
    ]
    if any(start >= stop for start, stop in region):
        return {"equal": None, "largest": None}
    blocks = [
        read(side.session, side.path, region, shape.chunks)
        for side, shape in ((one, first), (two, second))
    ]
    numbers = difference(*blocks)
    equal = same_values(_stored(one, region), _stored(two, region))
    return {"equal": equal, "largest": None if numbers is None else numbers["max_abs"]}


def _stored(side: Side, region: list[tuple[int, int]]) -> NDArray[Any]:
    array = zarr.open_array(side.session.store, path=side.path, mode="r")
    return np.asarray(array[tuple(slice(start, stop) for start, stop in region)])


def same_values(one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Whether two blocks have equal values; missing ones (NaN, NaT) count as equal."""
    if one.shape != two.shape or one.dtype != two.dtype:
        return False
    return bool(np.array_equal(one, two, equal_nan=one.dtype.kind in "fcmM"))
