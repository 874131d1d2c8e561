"""Appending and overwriting: what the stored encoding cannot hold is refused untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import icechunk
from icechunk import InvalidInputError, Repository
from icechunk.xarray import to_icechunk

xr = pytest.importorskip("xarray")
da = pytest.importorskip("dask.array")
cftime = pytest.importorskip("cftime")


# of the first write, which the tests only set up
pytestmark = [
    pytest.mark.filterwarnings("ignore:saving variable None with floating point data"),
    pytest.mark.filterwarnings("ignore:The codec `vlen-utf8` is currently not part"),
    pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification"),
]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository.create(icechunk.local_filesystem_storage(tmp_path / "repo"))


def times(first: str, count: int, step: str) -> Any:
    start = np.datetime64(first, "ns")
    return start + np.arange(count) * np.timedelta64(1, step)


DAYS = times("2000-01-01", 3, "D")
LATER = times("2000-01-04", 3, "D")
HOURS = times("2000-01-04", 3, "h")


def cf(calendar: str, day: int, hour: int = 0) -> Any:
    return np.array([cftime.datetime(2000, 1, day, hour, calendar=calendar)])


# What is stored, its encoding, and what is appended.
KEPT: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "days": (DAYS, {}, LATER),
    "hours in seconds": (DAYS, {"units": "seconds since 2000-01-01"}, HOURS),
    "hours in days as floats": (DAYS, {"units": "days since 2000-01-01", "dtype": "f8"}, HOURS),
    "no time": (DAYS, {"dtype": "f8"}, np.array(["2000-01-04", "NaT"], "datetime64[ns]")),
    "before the epoch of the units": (DAYS, {}, times("1999-01-01", 3, "D")),
    "years beyond nanoseconds": (
        np.array(["2000-01-01", "4000-01-01"], "datetime64[s]"),
        {"units": "days since 2000-01-01"},
        np.array(["5000-01-01"], "datetime64[s]"),
    ),
    "a calendar": (cf("noleap", 1), {}, cf("noleap", 2)),
    "intervals": (
        np.arange(3).astype("timedelta64[D]").astype("m8[ns]"),
        {"units": "hours", "dtype": "i8"},
        np.arange(3).astype("timedelta64[h]").astype("m8[ns]"),
    ),
    "whole numbers as floats": (np.arange(3, dtype="i4"), {}, np.array([3.0, 4.0])),
    "a wider integer with small values": (np.arange(3, dtype="i2"), {}, np.array([3, 4])),
    "doubles in singles": (np.array([0.1], "f4"), {}, np.array([0.2, np.nan])),
    "packed": (
        np.array([0.0, 1.5]),
        {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -99},
        np.array([np.nan, 3.14159]),
    ),
    "packed with an offset": (
        np.array([273.15, 300.0]),
        {"dtype": "i2", "scale_factor": np.float32(0.01), "add_offset": np.float32(273.15)},
        np.array([280.123456]),
    ),
    "text": (np.array(["a", "bb"], object), {}, np.array(["a longer one"], object)),
    "truth": (np.array([True, False]), {}, np.array([True])),
    "complex": (np.array([1j]), {}, np.array([2 + 1j])),
    "nothing": (DAYS, {}, DAYS[:0]),
}
LOST: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "hours in days": (DAYS, {"units": "days since 2000-01-01", "dtype": "i8"}, HOURS),
    "hours in what xarray chose": (DAYS, {}, HOURS),
    "half hours in hours": (
        times("2000-01-01", 3, "h"),
        {},
        times("2000-01-01T00:30", 2, "h"),
    ),
    "hours of a calendar in days": (cf("noleap", 1), {}, cf("noleap", 2, hour=6)),
    "another calendar": (cf("noleap", 1), {}, cf("360_day", 30)),
    "dates where a calendar is": (cf("noleap", 1), {}, LATER),
    "intervals": (
        np.arange(3).astype("timedelta64[D]").astype("m8[ns]"),
        {"units": "days", "dtype": "i8"},
        np.arange(1, 3).astype("timedelta64[h]").astype("m8[ns]"),
    ),
    "numbers where times are": (DAYS, {}, np.array([3, 4])),
    "times where numbers are": (np.arange(3), {}, LATER),
    "hours in days as short floats": (
        DAYS,
        {"units": "days since 1850-01-01", "dtype": "f4"},
        HOURS,
    ),
    "fractions in integers": (np.arange(3), {}, np.array([3.5])),
    "no value in integers": (np.arange(3), {}, np.array([np.nan])),
    "too large": (np.arange(3, dtype="i2"), {}, np.array([40_000])),
    "negative": (np.arange(3, dtype="u1"), {}, np.array([-1])),
    "beyond what is packed": (
        np.array([0.0, 1.5]),
        {"dtype": "i2", "scale_factor": 0.1},
        np.array([1e6]),
    ),
    "the value that stands for none": (
        np.array([0.0, 1.0]),
        {"dtype": "i2", "_FillValue": -99},
        np.array([-99.0]),
    ),
    "an overflow of floats": (np.array([1.0], "f4"), {}, np.array([1e300])),
    "longer text": (np.array(["a", "b"], "U1"), {}, np.array(["longer"], "U6")),
    "longer bytes": (np.array([b"a", b"b"], "S1"), {}, np.array([b"longer"], "S6")),
    "complex in real": (np.array([1.0]), {}, np.array([1j])),
}


def dataset(values: Any, **options: Any) -> Any:
    return xr.Dataset(coords={"t": ("t", values)}, **options)


def first(repo: Repository, values: Any, encoding: dict[str, Any]) -> Any:
    session = repo.writable_session("main")
    to_icechunk(dataset(values), session, encoding={"t": encoding} if encoding else None)
    session.commit("first")
    return repo.writable_session("main")


def read(session: Any, **options: Any) -> Any:
    with xr.open_zarr(session.store, consolidated=False, chunks=None, **options) as found:
        return found.load()


@pytest.mark.filterwarnings("ignore:Unable to decode time axis")
@pytest.mark.parametrize(("stored", "encoding", "more"), KEPT.values(), ids=KEPT)
def test_what_fits_is_appended(
    repo: Repository, stored: Any, encoding: dict[str, Any], more: Any
) -> None:
    session = first(repo, stored, encoding)
    to_icechunk(dataset(more), session, append_dim="t")
    coder = xr.coders.CFDatetimeCoder(time_unit="s" if stored.dtype == "M8[s]" else "ns")
    timedelta = stored.dtype.kind == "m"
    found = read(session, decode_times=coder, decode_timedelta=timedelta)["t"].values[len(stored) :]
    if encoding.get("scale_factor"):
        assert np.allclose(found, more, atol=encoding["scale_factor"] / 2, equal_nan=True)
    elif found.dtype.kind == "f":
        assert np.allclose(found, more, equal_nan=True)
    elif found.dtype.kind == "M":
        assert (np.isnat(found) == np.isnat(more)).all()
        assert (abs(found - more)[~np.isnat(more)] <= np.timedelta64(10, "us")).all()
    else:
        assert found.tolist() == more.tolist()


@pytest.mark.parametrize(("stored", "encoding", "more"), LOST.values(), ids=LOST)
def test_what_does_not_fit_is_refused(
    repo: Repository, stored: Any, encoding: dict[str, Any], more: Any
) -> None:
    session = first(repo, stored, encoding)
    with pytest.raises((ValueError, TypeError)):
        to_icechunk(dataset(more), session, append_dim="t")
    assert not session.has_uncommitted_changes


def test_the_error_names_the_variable_and_the_encoding_to_use(repo: Repository) -> None:
    session = first(repo, DAYS, {"units": "days since 2000-01-01", "dtype": "i8"})
    with pytest.raises(InvalidInputError) as caught:
        to_icechunk(dataset(HOURS), session, append_dim="t")
    assert caught.value.kind == "encoding-mismatch"
    said = str(caught.value)
    assert "the variable 't'" in said
    assert "int64 with units 'days since 2000-01-01'" in said
    needed = {
        "units": "hours since 2000-01-01",
        "calendar": "proleptic_gregorian",
        "dtype": "int64",
    }
    assert f'encoding={{"t": {needed}}}' in said
    # What it advises works.
    to_icechunk(dataset(DAYS), session, mode="w", encoding={"t": needed})
    to_icechunk(dataset(HOURS), session, append_dim="t")
    assert np.array_equal(read(session)["t"].values, np.append(DAYS, HOURS))


def test_lazy_times_that_do_not_fit_are_refused(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(xr.Dataset({"v": ("x", DAYS)}), session)
    session.commit("days")
    session = repo.writable_session("main")
    lazy = xr.Dataset({"v": ("x", da.from_array(HOURS, chunks=3))})
    with pytest.raises(ValueError, match="units"):
        to_icechunk(lazy, session, mode="a")
    assert not session.status().updated_chunks


@pytest.mark.parametrize(
    ("stored", "lazy", "fits"),
    [
        ("i4", "i8", False),
        ("i4", "i2", True),
        ("i4", "f8", False),
        ("f4", "f8", True),
        ("f8", "i4", True),
        ("u1", "i1", False),
        ("f8", "c16", False),
        ("c8", "c16", True),
    ],
)
def test_lazy_values_are_judged_by_their_type(
    repo: Repository, stored: str, lazy: str, fits: bool
) -> None:
    session = repo.writable_session("main")
    to_icechunk(xr.Dataset({"v": ("x", np.ones(4, stored))}), session)
    session.commit("ones")
    session = repo.writable_session("main")
    more = xr.Dataset({"v": ("x", da.full(4, 2, chunks=4, dtype=lazy))})
    if fits:
        to_icechunk(more, session, append_dim="x")
        assert read(session)["v"].values.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    else:
        with pytest.raises(InvalidInputError, match=r'dataset\["v"\].astype'):
            to_icechunk(more, session, append_dim="x")
        assert not session.has_uncommitted_changes


def test_lazy_values_for_a_packed_array(repo: Repository) -> None:
    session = repo.writable_session("main")
    encoding = {"v": {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -1}}
    to_icechunk(xr.Dataset({"v": ("x", np.ones(4))}), session, encoding=encoding)
    more = xr.Dataset({"v": ("x", da.full(4, 2.5, chunks=4))})
    to_icechunk(more, session, append_dim="x")
    assert read(session)["v"].values.tolist() == [1, 1, 1, 1, 2.5, 2.5, 2.5, 2.5]


def test_regions_and_overwriting_are_checked_as_well(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(xr.Dataset({"v": ("x", DAYS), "n": ("x", np.arange(3))}), session)
    session.commit("days")
    session = repo.writable_session("main")
    late = xr.Dataset({"v": ("x", HOURS[1:])})
    for options in ({"region": {"x": slice(1, 3)}}, {"mode": "r+", "region": {"x": slice(0, 2)}}):
        with pytest.raises(InvalidInputError, match="the variable 'v'"):
            to_icechunk(late, session, **options)
    with pytest.raises(InvalidInputError, match="the variable 'n'"):
        to_icechunk(xr.Dataset({"n": ("x", [0.5, 1, 2])}), session, mode="a")
    assert not session.has_uncommitted_changes
    to_icechunk(xr.Dataset({"n": ("x", [5.0, 6.0])}), session, region={"x": slice(1, 3)})
    assert read(session)["n"].values.tolist() == [0, 5, 6]


def test_undecoded_times_must_count_from_the_same_moment(repo: Repository) -> None:
    def raw(units: str) -> Any:
        return xr.Dataset(coords={"t": ("t", [0, 1], {"units": units})})

    session = repo.writable_session("main")
    to_icechunk(raw("hours since 2000-01-01"), session)
    session.commit("first")
    session = repo.writable_session("main")
    with pytest.raises(InvalidInputError, match="has the units 'hours since 2000-01-02'"):
        to_icechunk(raw("hours since 2000-01-02"), session, append_dim="t")
    assert not session.has_uncommitted_changes
    to_icechunk(raw("hours since 2000-01-01"), session, append_dim="t")
    assert read(session, decode_times=False)["t"].values.tolist() == [0, 1, 0, 1]


def test_arrays_that_grow_together_have_the_same_length(repo: Repository) -> None:
    whole = xr.Dataset({"a": ("t", np.arange(3.0)), "b": ("t", np.arange(3.0))}, {"t": DAYS})
    session = repo.writable_session("main")
    to_icechunk(whole, session)
    session.commit("three")
    session = repo.writable_session("main")
    more = whole.assign_coords(t=LATER)
    with pytest.raises(InvalidInputError, match="c 0") as caught:
        to_icechunk(more.assign(c=more.a), session, append_dim="t")
    assert caught.value.kind == "encoding-mismatch"
    assert not session.has_uncommitted_changes
    to_icechunk(more[["a"]].drop_vars("t"), session, append_dim="t")
    with pytest.raises(InvalidInputError, match="a 6, b 3, t 3"):
        to_icechunk(more, session, append_dim="t")
    to_icechunk(more[["b"]], session, append_dim="t")
    assert read(session).sizes == {"t": 6}


def test_other_changes_of_the_session_are_kept(repo: Repository) -> None:
    session = first(repo, DAYS, {})
    to_icechunk(xr.Dataset({"v": ("x", [1.0, 2.0])}), session, group="other")
    before = session.status()
    with pytest.raises(InvalidInputError):
        to_icechunk(dataset(HOURS), session, append_dim="t")
    assert session.status() == before
    to_icechunk(dataset(LATER), session, append_dim="t")
    session.commit("both")
    assert read(repo.readonly_session("main")).sizes == {"t": 6}
    assert read(repo.readonly_session("main"), group="other")["v"].values.tolist() == [1, 2]
