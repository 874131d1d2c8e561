"""Three-way merge of the cells of chunks, on decoded values.

A cell that only one side changed since the base is taken from that side; a cell that both changed
to different values is taken from the side chosen for such cells, or left open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icechunk.core.errors import ErrorKind, InvalidInputError

CELLS: Final = ("never", "auto")
"""What is done with chunks that both sides wrote: a conflict, or a merge of their cells."""


@dataclass(frozen=True, slots=True)
class CellCounts:
    """How many cells of a chunk each side changed since the base.

    Attributes
    ----------
    ours, theirs : int
        Changed by one side only.
    both : int
        Changed by both, to different values.
    alike : int
        Changed by both, to the same value.
    """

    ours: int
    theirs: int
    both: int
    alike: int


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two numbers may be apart and still count as equal.

    Attributes
    ----------
    abs, rel : float
        Absolute, and relative to the larger magnitude; the larger of both limits counts.
    """

    abs: float = 0.0
    rel: float = 0.0

    @classmethod
    def of(cls, given: Mapping[str, float] | None) -> Tolerance | None:
        """Read the form ``{"abs": 1e-6, "rel": 1e-9}``; None for bitwise equality.

        Raises
        ------
        InvalidInputError
            Kind ``not-allowed`` for other keys, and for limits that are negative or no numbers.
        """
        if given is None:
            return None
        good = isinstance(given, Mapping) and given.keys() <= {"abs", "rel"}
        if not good or not all(_is_limit(limit) for limit in given.values()):
            raise InvalidInputError(
                f"`tolerance` is {given!r}; it must be like {{'abs': 1e-6, 'rel': 1e-9}}, with "
                "limits that are not negative",
                ErrorKind.NOT_ALLOWED,
            )
        return cls(**{name: float(limit) for name, limit in given.items()})

    def near(self, one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.bool_]:
        """Where two blocks of numbers are near each other; nowhere for other data types."""
        kind = one.dtype.kind
        if kind in "iu":
            # The difference of signed numbers fits the unsigned type of the same size.
            unsigned = np.dtype(f"u{one.dtype.itemsize}")
            high, low = np.maximum(one, two), np.minimum(one, two)
            apart: NDArray[Any] = high.astype(unsigned) - low.astype(unsigned)
            size = np.maximum(np.abs(one.astype(np.float64)), np.abs(two.astype(np.float64)))
        elif kind in "fc":
            wide = np.result_type(one.dtype, np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                apart = np.abs(one.astype(wide) - two.astype(wide))
                size = np.maximum(np.abs(one), np.abs(two)).astype(np.float64)
        else:
            return np.zeros(one.shape, np.bool_)
        with np.errstate(invalid="ignore", over="ignore"):
            found: NDArray[np.bool_] = apart <= np.maximum(self.abs, self.rel * size)
        if kind in "fc":
            found &= np.isfinite(one) & np.isfinite(two)
            found |= np.isnan(one) & np.isnan(two)
        return found


def _is_limit(limit: object) -> bool:
    return isinstance(limit, int | float) and not isinstance(limit, bool) and limit >= 0


def differs(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two blocks of one data type have different values.

    Types of a fixed size are compared by bit pattern: 0.0 and -0.0 differ, equal NaNs do not.
    Fields of structures are compared one by one, strings and other objects by value.
    """
    dtype = one.dtype
    unequal: NDArray[np.bool_]
    if dtype.fields is not None:
        unequal = np.zeros(one.shape, np.bool_)
        for name in dtype.fields:
            field = differs(one[name], two[name])
            unequal |= field.any(axis=tuple(range(one.ndim, field.ndim)))
        return unequal
    if dtype.kind in "OT":
        return np.asarray(one != two, dtype=np.bool_)
    size = dtype.itemsize
    if size in (1, 2, 4, 8):
        unsigned = np.dtype(f"u{size}")
        unequal = _as(one, unsigned) != _as(two, unsigned)
        return unequal
    if size == 0:
        return np.zeros(one.shape, np.bool_)
    word = np.dtype("u8" if size % 8 == 0 else "u1")
    parts = (*one.shape, size // word.itemsize)
    unequal = (_as(one, word).reshape(parts) != _as(two, word).reshape(parts)).any(axis=-1)
    return np.asarray(unequal, dtype=np.bool_)


def _as(block: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The bytes of a block as words of another type; axes may be split."""
    if block.dtype.itemsize == dtype.itemsize and block.ndim:
        return np.ascontiguousarray(block).view(dtype)
    words = np.frombuffer(np.ascontiguousarray(block).tobytes(), dtype)
    return words.reshape(block.shape) if words.size == block.size else words


def merge(
    base: NDArray[Any] | None,
    ours: NDArray[Any],
    theirs: NDArray[Any],
    side: str = "ours",
    tolerance: Tolerance | None = None,
) -> tuple[NDArray[Any], CellCounts]:
    """Merge three blocks of one shape and data type.

    Parameters
    ----------
    base, ours, theirs : ndarray
        The values of the common ancestor and of both sides. Without a base every cell that is not
        equal on both sides counts as changed by both.
    side : {"ours", "theirs", "base"}
        Side of the cells that both changed to different values.
    tolerance : Tolerance, optional
        Of such cells, those that are near each other are taken from `theirs` and count as alike.
        What a side changed since the base is found bitwise.

    Returns
    -------
    ndarray, CellCounts
        The merged values, and how many cells each side changed.
    """
    if not ours.ndim:
        lifted = [None if one is None else one.reshape(1) for one in (base, ours, theirs)]
        assert lifted[1] is not None
        assert lifted[2] is not None
        block, count = merge(lifted[0], lifted[1], lifted[2], side, tolerance)
        return block.reshape(()), count
    apart = differs(ours, theirs)
    if base is None:
        mine = its = np.ones(ours.shape, np.bool_)
    else:
        mine, its = differs(ours, base), differs(theirs, base)
    both = mine & its & apart
    if tolerance is not None and both.any():
        rows = np.nonzero(both)
        near = np.zeros(ours.shape, np.bool_)
        near[rows] = tolerance.near(ours[rows], theirs[rows])
        apart = apart & ~near
        both &= ~near
    merged = theirs.copy()
    take = mine & ~its
    if side == "ours":
        take |= both
    merged[take] = ours[take]
    if side == "base" and base is not None:
        merged[both] = base[both]
    number = np.count_nonzero
    return merged, CellCounts(
        ours=int(number(mine & ~its)),
        theirs=int(number(its & ~mine)),
        both=int(number(both)),
        alike=int(number(mine & its & ~apart)),
    )
