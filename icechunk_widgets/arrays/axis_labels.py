"""Labels for the axes of an array, from the 1-d coordinate arrays of its dimensions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from icechunk import Session
from icechunk_widgets.arrays.nodes import ArrayShape, document
from icechunk_widgets.kernel.plain import plain

MOST_VALUES = 4_000_000
MOST_CHUNKS = 5_000

_SINCE = re.compile(
    r"^\s*(\w+?)s?\s+since\s+(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[T\s]+([\d:.]+))?", re.I
)
_STEPS = {"day": 86_400.0, "hour": 3600.0, "hr": 3600.0, "h": 3600.0, "minute": 60.0, "min": 60.0,
          "second": 1.0, "sec": 1.0, "millisecond": 1e-3, "microsecond": 1e-6}  # fmt: skip
_GREGORIAN = np.datetime64("1582-10-15")
_NORTH_UNITS = re.compile(r"degrees?_?(north|n)", re.I)
_UP_NAMES = {"latitude", "grid_latitude", "projection_y_coordinate", "height", "altitude",
             "northing"}  # fmt: skip
_UP_NAME = re.compile(r"(.*_)?(lat|latitude|northing|height|altitude)|y(?!ea?r).*", re.I)


@dataclass(frozen=True)
class Axis:
    """Values along one axis.

    Attributes
    ----------
    values : ndarray
        Numbers, or datetime64.
    units : str or None
        Units of the numbers; None for times.
    up : bool
        Whether larger values are drawn at the top: latitude, height.
    """

    values: NDArray[Any]
    units: str | None
    up: bool = False

    def at(self, positions: Sequence[int]) -> list[Any]:
        """Values at some positions: numbers, or times as text of one precision."""
        part = self.values[list(positions)]
        if part.dtype.kind != "M":
            return [plain(value) for value in part]
        whole = bool((part == part.astype("datetime64[D]")).all())
        texts = np.datetime_as_string(part, unit="D" if whole else "m")
        return [str(text).replace("T", " ") for text in texts]

    def ends(self, start: int, stop: int) -> tuple[Any, Any]:
        """Values at the first and the last position of a half-open range."""
        stop = min(stop, len(self.values))
        if start >= stop:
            return None, None
        first, last = self.at([start, stop - 1])
        return first, last

    def label(self, chunk: int, count: int) -> dict[str, Any]:
        """Labels of the axis for a view.

        Parameters
        ----------
        chunk, count : int
            Elements per chunk, and number of chunks.

        Returns
        -------
        dict
            ``first``, ``last``, ``units``, ``up``; for at most 5000 chunks also ``starts`` and
            ``ends``, the values at the first and the last element of every chunk.
        """
        size = len(self.values)
        first, last = self.ends(0, size)
        label = {"first": first, "last": last, "units": self.units, "up": self.up}
        if count <= MOST_CHUNKS and size > (count - 1) * chunk:
            label["starts"] = self.at(range(0, size, chunk)[:count])
            label["ends"] = self.at(
                [min(start + chunk, size) - 1 for start in range(0, size, chunk)]
            )
        return label


def axes_of(session: Session, shape: ArrayShape) -> list[Axis | None]:
    """Coordinates of every axis of an array; None for an axis without any.

    They are 1-d arrays with the name and length of the dimension, beside the array or in a group
    above it.

    Parameters
    ----------
    session : Session
        State to read.
    shape : ArrayShape
        The array.
    """
    return [
        None if name is None else _axis(session, shape.path, name, size)
        for name, size in zip(shape.names, shape.shape, strict=True)
    ]


def _axis(session: Session, path: str, name: str, size: int) -> Axis | None:
    folder = path.rpartition("/")[0]
    while True:
        held = document(session, f"{folder}/{name}")
        if held is not None:
            break
        if not folder:
            return None
        folder = folder.rpartition("/")[0]
    if held.get("shape") != [size] or not 0 < size <= MOST_VALUES:
        return None
    try:
        values = np.asarray(zarr.open_array(session.store, path=f"{folder}/{name}", mode="r")[:])
    except Exception:
        # Labels are optional: an unreadable coordinate must not hide the data.
        return None
    attributes = held.get("attributes", {})
    units = attributes.get("units")
    units = units if isinstance(units, str) else None
    if values.dtype.kind in "mM":
        return Axis(values, None) if values.dtype.kind == "M" else None
    if values.dtype.kind not in "biuf":
        return Axis(values, units) if values.dtype.kind in "UTO" else None
    times = None if units is None else cf_times(values, units, attributes.get("calendar"))
    if times is not None:
        return Axis(times, None)
    return Axis(values, units, up=_points_up(name, attributes) and bool(values[-1] > values[0]))


def _points_up(name: str, attributes: dict[str, Any]) -> bool:
    """Whether larger coordinates are drawn at the top (CF: latitude, height, axis Y)."""
    texts = {
        key: str(attributes.get(key, "")).strip() for key in ("units", "standard_name", "axis")
    }
    if texts["axis"].upper() == "Y" or str(attributes.get("positive", "")).lower() == "up":
        return True
    if _NORTH_UNITS.fullmatch(texts["units"]) or texts["standard_name"] in _UP_NAMES:
        return True
    return _UP_NAME.fullmatch(name) is not None


def cf_times(values: NDArray[Any], units: str, calendar: Any = None) -> NDArray[Any] | None:
    """Numbers with CF time units as datetime64[us]; None for other units and calendars.

    Parameters
    ----------
    values : ndarray
        Offsets.
    units : str
        Such as ``hours since 2000-01-01 00:00``.
    calendar : str, optional
        CF calendar name; only Gregorian calendars are supported.
    """
    found = _SINCE.match(units)
    if found is None or str(calendar or "standard").lower() not in (
        "standard",
        "gregorian",
        "proleptic_gregorian",
    ):
        return None
    step, year, month, day, clock = found.groups()
    if step.lower() not in _STEPS or not np.isfinite(values).all():
        return None
    try:
        origin = np.datetime64(f"{int(year):04}-{int(month):02}-{int(day):02}", "us")
        if clock:
            hours, minutes, seconds = ([*clock.split(":"), "0", "0"])[:3]
            offset = float(hours) * 3600 + float(minutes) * 60 + float(seconds)
            origin = origin + np.timedelta64(round(offset * 1e6), "us")
        micros = np.round(values.astype(np.float64) * _STEPS[step.lower()] * 1e6)
        if np.abs(micros).max(initial=0) > 2**62:
            return None
        times: NDArray[Any] = origin + micros.astype("timedelta64[us]")
    except ValueError:
        return None
    if str(calendar or "standard").lower() != "proleptic_gregorian" and (
        bool(times.size) and origin < _GREGORIAN <= times.max()
    ):
        return None  # the standard calendar skips ten days in 1582; numpy's does not
    return times
