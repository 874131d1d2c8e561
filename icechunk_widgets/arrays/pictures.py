"""Values of one chunk in several states as pictures on one scale, with statistics."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from icechunk import ErrorKind, InvalidInputError, Session
from icechunk_widgets.arrays.axis_labels import Axis, axes_of
from icechunk_widgets.arrays.nodes import ArrayShape, array_shape, document
from icechunk_widgets.kernel.failures import ChunkUnreadable, describe, reading
from icechunk_widgets.kernel.plain import plain

LARGEST = 256
WHOLE_LIMIT = 2**26  # elements; of a larger chunk only the displayed plane is read

_COUNTABLE = re.compile(r"bool|u?int\d+|b?float\d+|complex\d+|numpy\.(datetime|timedelta)64")


Values = Callable[[tuple[slice, ...]], NDArray[Any]]


@dataclass(frozen=True)
class Side:
    """One state of an array.

    Attributes
    ----------
    side : str
        ``ours``, ``theirs``, ``base``, ``result``, ``before`` or ``after``.
    label : str
        Name in the view.
    session : Session
        To read from.
    path : str
        The array's path there.
    values : callable, optional
        Returns the stored values of a region (slices), for values that no session has yet.
    """

    side: str
    label: str
    session: Session
    path: str
    values: Values | None = None


def preview(
    path: str, chunk: Sequence[int], sides: Sequence[Side], index: Sequence[int] | None = None
) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    """The values of one chunk as pictures.

    Parameters
    ----------
    path : str
        Path to show.
    chunk : sequence of int
        Coordinates on the chunk grid.
    sides : sequence of Side
        The states; the geometry is that of the first one with the array.
    index : sequence of int, optional
        Position inside the chunk along every axis; used for the axes that are not displayed.

    Returns
    -------
    dict, list of ndarray
        The numbers, and per side a float32 picture of shape ``(h, w)``, at most 256 x 256, NaN
        where values are missing.

    Raises
    ------
    InvalidInputError
        When no side has the array, or the chunk is off its grid.
    """
    shapes = [array_shape(side.session, side.path) for side in sides]
    first = next((i for i, shape in enumerate(shapes) if shape is not None), None)
    if first is None:
        raise InvalidInputError(
            f"there is no array at `{path}`; choose one of the listed nodes",
            ErrorKind.NOT_AN_ARRAY,
        )
    shape = shapes[first]
    assert shape is not None
    window = Window.of_chunk(_region(shape, shapes, chunk), index)
    values, unread = [], []
    for side, held in zip(sides, shapes, strict=True):
        block, reason = _read_or_explain(side, held, window.to_read)
        values.append(block)
        unread.append(reason)
    pictures = [_picture(block[window.plane]) for block in values]
    low, high = _scale(values)
    axes = axes_of(sides[first].session, shape)
    vertical, horizontal = window.vertical, window.horizontal
    comparable = len(values) > 1 and not any(unread[:2])
    reply = {
        "path": path,
        "chunk": [int(c) for c in chunk],
        "shape": list(pictures[0].shape),
        "axes": [_axis_name(shape, vertical), _axis_name(shape, horizontal)],
        "extent": {
            "y": _extent(axes, window.region, vertical),
            "x": _extent(axes, window.region, horizontal),
        },
        "up": _points_up(axes, vertical),
        "origin": [start for start, _ in window.region],
        "vmin": low,
        "vmax": high,
        "fill": fill_value(sides[first].session, sides[first].path),
        "other_axes": [
            {
                "axis": axis,
                "name": shape.names[axis],
                "size": window.size[axis],
                "position": window.position[axis],
            }
            for axis in range(len(window.size))
            if axis not in window.shown
        ],
        "sides": [
            {
                "side": side.side,
                "label": side.label,
                "stats": stats(block),
                **({"unread": reason} if reason else {}),
            }
            for side, block, reason in zip(sides, values, unread, strict=True)
        ],
        "difference": difference(values[0], values[1]) if comparable else None,
        "counts": changed_counts(values[1], values[0]) if comparable else None,
        "dtype": shape.dtype,
        "decimated": pictures[0].size != window.plane_size,
        "partial": window.partial,
    }
    return plain(reply), pictures


def _read_or_explain(
    side: Side, shape: ArrayShape | None, region: list[tuple[int, int]]
) -> tuple[NDArray[np.float64], str]:
    """Values of one side, or NaN and the reason why its chunk cannot be read."""
    chunks = None if shape is None else shape.chunks
    try:
        return read(side.session, side.path, region, chunks, side.values), ""
    except ChunkUnreadable as error:
        return np.full([stop - start for start, stop in region], np.nan), describe(error)["message"]


@dataclass(frozen=True)
class Window:
    """The displayed elements of a chunk, and the two axes of the picture.

    Attributes
    ----------
    region : list of (int, int)
        Element range of the chunk along each axis.
    shown : tuple of int
        At most two axes, preferably the last ones with more than one element.
    position : tuple of int
        Place of the picture along every axis, counted inside the chunk.
    """

    region: list[tuple[int, int]]
    shown: tuple[int, ...]
    position: tuple[int, ...]

    @classmethod
    def of_chunk(cls, region: list[tuple[int, int]], index: Sequence[int] | None) -> Window:
        """Window on a region, at an index along the other axes."""
        size = [stop - start for start, stop in region]
        long = [axis for axis, length in enumerate(size) if length > 1]
        others = [axis for axis in range(len(size)) if axis not in long]
        requested = [*(index or ()), *[0] * len(size)]
        position = tuple(
            min(max(int(request), 0), length - 1)
            for request, length in zip(requested, size, strict=False)
        )
        return cls(region, tuple(sorted([*others, *long][-2:])), position)

    @property
    def size(self) -> tuple[int, ...]:
        """Elements along each axis."""
        return tuple(stop - start for start, stop in self.region)

    @property
    def vertical(self) -> int | None:
        """Axis drawn downwards, None for a line or a point."""
        return self.shown[0] if len(self.shown) == 2 else None

    @property
    def horizontal(self) -> int | None:
        """Axis drawn to the right, None for a point."""
        return self.shown[-1] if self.shown else None

    @property
    def partial(self) -> bool:
        """Whether the chunk is so large that only the displayed plane is read."""
        return math.prod(self.size) > WHOLE_LIMIT

    @property
    def to_read(self) -> list[tuple[int, int]]:
        """Element range to read along each axis."""
        if not self.partial:
            return self.region
        return [
            (start, stop) if axis in self.shown else (start + at, start + at + 1)
            for axis, ((start, stop), at) in enumerate(zip(self.region, self.position, strict=True))
        ]

    @property
    def plane(self) -> tuple[slice | int, ...]:
        """Index of the picture in what was read."""
        return tuple(
            slice(None) if axis in self.shown else (0 if self.partial else at)
            for axis, at in enumerate(self.position)
        )

    @property
    def plane_size(self) -> int:
        """Elements of the picture before decimation."""
        return math.prod(self.size[axis] for axis in self.shown)


def _region(
    shape: ArrayShape, shapes: list[ArrayShape | None], chunk: Sequence[int]
) -> list[tuple[int, int]]:
    """Element range of a chunk along each axis, clipped to the largest of the states."""
    if len(chunk) != len(shape.shape) or any(int(c) < 0 for c in chunk):
        raise InvalidInputError(
            f"invalid chunk index: {list(chunk)} for `{shape.path}` with "
            f"{len(shape.shape)} dimensions",
            ErrorKind.INVALID_CHUNK_INDEX,
        )
    ranks = [other.shape for other in shapes if other and len(other.shape) == len(shape.shape)]
    largest = [max(sizes) for sizes in zip(*ranks, strict=True)]
    region = []
    for c, length, size in zip(chunk, shape.chunks, largest, strict=True):
        start, stop = int(c) * length, min((int(c) + 1) * length, size)
        if start >= stop:
            raise InvalidInputError(
                f"invalid chunk index: {list(chunk)} is off the chunk grid of `{shape.path}`; "
                f"its shape is {list(shape.shape)}",
                ErrorKind.INVALID_CHUNK_INDEX,
            )
        region.append((start, stop))
    return region


def read(
    session: Session,
    path: str,
    region: Sequence[tuple[int, int]],
    chunks: tuple[int, ...] | None,
    values: Values | None = None,
) -> NDArray[np.float64]:
    """Values of a region as float64; NaN where they are missing, and beyond the array's end.

    Parameters
    ----------
    session, path
        The array.
    region : sequence of (int, int)
        Half-open range along each axis.
    chunks : tuple of int or None
        None when this state has no such array; all values are missing then.
    values : callable, optional
        Returns the stored values instead of the session's array.
    """
    size = tuple(stop - start for start, stop in region)
    block = np.full(size, np.nan)
    held = None if chunks is None else document(session, path)
    if held is None or len(held.get("shape", ())) != len(region):
        return block
    if not _COUNTABLE.fullmatch(_type_name(held)):
        return block  # not numeric; zarr may not know the type either
    array = zarr.open_array(session.store, path=path, mode="r")
    clipped = tuple(
        slice(start, max(start, min(stop, length)))
        for (start, stop), length in zip(region, array.shape, strict=True)
    )
    with reading(path):
        stored = np.asarray(array[clipped]) if values is None else values(clipped)
    numbers = as_numbers(stored, held)
    block[tuple(slice(0, count) for count in numbers.shape)] = numbers
    return block


def _type_name(held: dict[str, Any]) -> str:
    declared = held.get("data_type")
    return str(declared.get("name")) if isinstance(declared, dict) else str(declared)


def as_numbers(values: NDArray[Any], held: dict[str, Any]) -> NDArray[np.float64]:
    """Stored values as float64: missing values NaN, packed ones unpacked (CF).

    Parameters
    ----------
    values : ndarray
        As stored.
    held : dict
        The array's ``zarr.json``, with the attributes ``_FillValue``, ``missing_value``,
        ``scale_factor`` and ``add_offset``; a fill value from 1e30 on counts as missing too.
    """
    if values.dtype.kind in "mM":
        numbers = values.astype(np.int64).astype(np.float64)
        numbers[np.isnat(values)] = np.nan
        return numbers
    if values.dtype.kind == "c":
        magnitude: NDArray[np.float64] = np.abs(values).astype(np.float64)
        return magnitude
    if values.dtype.kind not in "biuf":
        return np.full(values.shape, np.nan)
    numbers = values.astype(np.float64)
    attributes = held.get("attributes", {})
    missing = [_number(attributes.get(name)) for name in ("_FillValue", "missing_value")]
    own = _number(held.get("fill_value"))
    if (
        own is not None and abs(own) >= 1e30
    ):  # too large for a measurement: a marker of missing values
        missing.append(own)
    for marker in missing:
        if marker is not None and np.isfinite(marker):
            stored = np.float64(values.dtype.type(marker)) if values.dtype.kind == "f" else marker
            numbers[numbers == stored] = np.nan
    numbers[np.isinf(numbers)] = np.nan
    scale, offset = (_number(attributes.get(name)) for name in ("scale_factor", "add_offset"))
    if scale is not None and np.isfinite(scale):
        numbers *= scale
    if offset is not None and np.isfinite(offset):
        numbers += offset
    return numbers


def _number(value: Any) -> float | None:
    """A number from an attribute; xarray encodes fill values as base64 of a double."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
            return float(struct.unpack("<d", raw)[0]) if len(raw) == 8 else float(value)
        except (ValueError, struct.error):
            try:
                return float(value)
            except ValueError:
                return None
    return None


def fill_value(session: Session, path: str) -> float | None:
    """The array's fill value as a finite number, or None."""
    held = document(session, path)
    value = None if held is None else _number(held.get("fill_value"))
    return value if value is not None and np.isfinite(value) else None


def stats(block: NDArray[np.float64]) -> dict[str, Any]:
    """Number of values and of missing ones, minimum, maximum, mean."""
    valid = block[~np.isnan(block)]
    nan = int(block.size - valid.size)
    if not valid.size:
        return {"count": 0, "nan": nan, "min": None, "max": None, "mean": None}
    low, high, mean = float(valid.min()), float(valid.max()), float(valid.mean())
    return {"count": int(block.size), "nan": nan, "min": low, "max": high, "mean": mean}


def difference(one: NDArray[np.float64], two: NDArray[np.float64]) -> dict[str, float] | None:
    """Statistics of the difference of two blocks; None when no two values can be compared.

    Returns
    -------
    dict or None
        ``max_abs``, ``mean_abs`` and ``rms`` over the values that neither misses, and
        ``changed``: the share of all values that differ, missing ones included.
    """
    missing_one, missing_two = np.isnan(one), np.isnan(two)
    both = ~(missing_one | missing_two)
    with np.errstate(invalid="ignore"):
        delta = np.abs(one - two)[both]
    delta[one[both] == two[both]] = 0.0  # of infinities too
    if not delta.size:
        return None
    unequal = int(np.count_nonzero(delta)) + int(np.count_nonzero(missing_one != missing_two))
    return {
        "max_abs": float(delta.max()),
        "mean_abs": float(delta.mean()),
        "rms": float(np.sqrt(np.mean(delta * delta))),
        "changed": unequal / one.size,
    }


def changed_counts(one: NDArray[np.float64], two: NDArray[np.float64]) -> dict[str, int]:
    """Number of values, of unequal ones, and of those missing on one side only.

    Parameters
    ----------
    one, two : ndarray
        The later state and the earlier one; missing values are NaN.
    """
    missing_one, missing_two = np.isnan(one), np.isnan(two)
    gone = int(np.count_nonzero(missing_one & ~missing_two))
    came = int(np.count_nonzero(missing_two & ~missing_one))
    unequal = int(np.count_nonzero((one != two) & ~(missing_one & missing_two)))
    return {"values": int(one.size), "unequal": unequal, "gone": gone, "came": came}


def _scale(values: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Smallest and largest finite value."""
    finite = [block[np.isfinite(block)] for block in values]
    lows = [float(block.min()) for block in finite if block.size]
    highs = [float(block.max()) for block in finite if block.size]
    return (min(lows), max(highs)) if lows else (0.0, 1.0)


def _picture(plane: NDArray[np.float64]) -> NDArray[np.float32]:
    flat = plane.reshape((1,) * (2 - plane.ndim) + plane.shape)
    steps = (-(-length // LARGEST) or 1 for length in flat.shape)
    thinned = flat[tuple(slice(None, None, step) for step in steps)]
    with np.errstate(over="ignore"):
        small = thinned.astype("<f4")
    small[np.isinf(small)] = np.nan
    return np.ascontiguousarray(small)


def _axis_name(shape: ArrayShape, axis: int | None) -> str | None:
    return None if axis is None else shape.names[axis] or f"axis {axis}"


def _points_up(axes: list[Axis | None], number: int | None) -> bool:
    axis = None if number is None else axes[number]
    return axis is not None and axis.up


def _extent(
    axes: list[Axis | None], region: list[tuple[int, int]], number: int | None
) -> list[Any] | None:
    axis = None if number is None else axes[number]
    if axis is None or number is None:
        return None
    return [*axis.ends(*region[number]), axis.units]
