from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import Repository
from icechunk_widgets.arrays.axis_labels import Axis, axes_of, cf_times
from icechunk_widgets.arrays.nodes import ArrayShape, array_shape
from tests.widgets.scenes import climate


def test_coordinates_beside_the_array() -> None:
    session = climate().readonly_session("main")
    shape = array_shape(session, "/SST")
    assert shape is not None
    time, lat, lon = axes_of(session, shape)
    assert time is not None
    assert time.ends(1, 3) == ("2000-01-02", "2000-01-03")
    assert lat is not None
    assert lat.ends(0, 6) == (-45.0, 45.0)
    assert lon is not None
    assert lon.units is None


def test_coordinates_are_looked_for_in_the_groups_above() -> None:
    session = Repository.create(icechunk.in_memory_storage()).writable_session("main")
    root = zarr.group(session.store)
    root.create_array("x", data=np.arange(3), dimension_names=["x"])
    root.create_group("a/b").create_array(
        "v", shape=(3, 2), chunks=(3, 2), dtype="f4", dimension_names=("x", "y")
    )
    shape = array_shape(session, "/a/b/v")
    assert shape is not None
    first, second = axes_of(session, shape)
    assert first is not None
    assert first.ends(0, 3) == (0, 2)
    assert second is None


def test_a_coordinate_of_another_length_is_no_label() -> None:
    session = climate().readonly_session("main")
    assert axes_of(session, ArrayShape("/a", (5,), (5,), ("X",), "f4")) == [None]


@pytest.mark.parametrize(
    ("units", "calendar", "first"),
    [
        ("days since 2000-01-01", None, "2000-01-02"),
        ("hour since 0000-01-01 00:00:00", "standard", "0000-01-01 01:00"),
        ("seconds since 1970-01-01T12:30", "proleptic_gregorian", "1970-01-01 12:30"),
    ],
)
def test_times(units: str, calendar: str | None, first: str) -> None:
    times = cf_times(np.array([1.0]), units, calendar)
    assert times is not None
    assert Axis(times, None).ends(0, 1)[0] == first


@pytest.mark.parametrize(
    ("units", "calendar"),
    [
        ("days since 2000-01-01", "noleap"),
        ("degrees_north", None),
        ("fortnights since 2000-01-01", None),
        ("days since 2000-99-99", None),
        ("days since 2000-01-01 later", None),
    ],
)
def test_what_is_no_time_of_ours(units: str, calendar: str | None) -> None:
    found = cf_times(np.array([1.0]), units, calendar)
    assert found is None or units.endswith("later")


def test_the_gap_of_the_standard_calendar_is_not_crossed() -> None:
    assert cf_times(np.array([730000.0]), "days since 0001-01-01", "standard") is None
    assert (
        cf_times(np.array([730000.0]), "days since 0001-01-01", "proleptic_gregorian") is not None
    )
    assert cf_times(np.array([np.nan]), "days since 2000-01-01") is None
    assert cf_times(np.array([1e30]), "days since 2000-01-01") is None


def test_labels_of_chunks() -> None:
    axis = Axis(np.arange(5) * 10, "m")
    assert axis.label(2, 3) == {
        "first": 0,
        "last": 40,
        "units": "m",
        "up": False,
        "starts": [0, 20, 40],
        "ends": [10, 30, 40],
    }
    assert "starts" not in axis.label(2, 6)  # a grid that reaches beyond the coordinate
    assert "starts" not in Axis(np.arange(6000), None).label(1, 6000)
    assert Axis(np.arange(0), None).ends(0, 0) == (None, None)


@pytest.mark.parametrize(
    ("name", "attributes", "values", "up"),
    [
        ("COADSY", {"units": "degrees_north"}, [-89.0, 89.0], True),
        ("COADSY", {"units": "degrees_north"}, [89.0, -89.0], False),
        ("row", {"axis": "Y"}, [0, 1], True),
        ("north", {"standard_name": "projection_y_coordinate"}, [0, 1], True),
        ("level", {"positive": "up"}, [0, 1], True),
        ("level", {"positive": "down"}, [0, 1], False),
        ("lat", {}, [0, 1], True),
        ("grid_latitude", {"units": "degree_N"}, [0, 1], True),
        ("y", {}, [0, 1], True),
        ("year", {}, [1999, 2000], False),
        ("lon", {"units": "degrees_east"}, [0, 1], False),
        ("y", {"units": "days since 2000-01-01"}, [0, 1], False),
    ],
)
def test_which_axes_point_up(
    name: str, attributes: dict[str, str], values: list[float], up: bool
) -> None:
    session = Repository.create(icechunk.in_memory_storage()).writable_session("main")
    root = zarr.group(session.store)
    root.create_array(name, data=np.array(values), attributes=attributes)
    (axis,) = axes_of(session, ArrayShape("/v", (2,), (2,), (name,), "f4"))
    assert axis is not None
    assert axis.up is up
