"""Real files: values read through virtual references equal those of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import icechunk
from tests.virtual_chunks.datasets import add_classic, add_hdf5
from tests.virtual_chunks.places import Place

DATA = Path(__file__).resolve().parents[2] / "examples/data/coads_climatology.cdf"
RAW: Any = {"decode_times": False, "mask_and_scale": False}


def opened(session: icechunk.Session) -> xr.Dataset:
    return xr.open_zarr(session.store, consolidated=False, zarr_format=3, **RAW)


def same(virtual: xr.Dataset, real: xr.Dataset) -> None:
    virtual, real = virtual.load(), real.load()
    assert set(virtual.variables) == set(real.variables)
    for name in real.variables:
        np.testing.assert_array_equal(virtual[name].values, real[name].values, err_msg=str(name))
        assert virtual[name].dims == real[name].dims


@pytest.fixture(params=["zarr's pipeline", "our pipeline"])
def pipeline(request: pytest.FixtureRequest) -> Any:
    with icechunk.fast_pipeline(request.param == "our pipeline"):
        yield


@pytest.mark.usefixtures("pipeline")
def test_a_classic_netcdf_file_reads_as_xarray_reads_it(place: Place) -> None:
    data = DATA.read_bytes()
    location = place.put("coads climatology.cdf", data)
    repo = place.repository()
    session = repo.writable_session("main")
    assert "SST" in add_classic(session, data, location)
    with xr.open_dataset(DATA, engine="scipy", **RAW) as real:
        same(opened(session), real)
        session.commit("references")
        same(opened(repo.readonly_session("main")), real)


@pytest.mark.usefixtures("pipeline")
def test_a_selection_of_records_reads_only_them(place: Place) -> None:
    data = DATA.read_bytes()
    session = place.repository().writable_session("main")
    add_classic(session, data, place.put("coads.cdf", data))
    with xr.open_dataset(DATA, engine="scipy", **RAW) as real:
        wanted = {"TIME": slice(3, 9, 2), "COADSX": slice(10, 50), "COADSY": 17}
        same(opened(session)[["SST", "UWND"]].isel(wanted), real[["SST", "UWND"]].isel(wanted))


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3:UserWarning")
@pytest.mark.parametrize("packing", ["contiguous", "chunked", "zlib", "zlib and shuffle"])
def test_a_netcdf4_file_reads_as_xarray_reads_it(
    place: Place, packing: str, tmp_path: Path
) -> None:
    path = tmp_path / "made.nc"
    chunked = {} if packing == "contiguous" else {"chunksizes": (5, 40, 70)}
    packed = {"zlib": "zlib" in packing, "shuffle": "shuffle" in packing}
    with xr.open_dataset(DATA, engine="scipy", **RAW) as source:
        small = source[["SST", "SLP"]].load()
        for variable in small.variables.values():
            variable.encoding = {}
        small.to_netcdf(
            path,
            engine="netcdf4",
            unlimited_dims=[],
            encoding={name: {**chunked, **packed} for name in ("SST", "SLP")},
        )
    session = place.repository().writable_session("main")
    add_hdf5(session, str(path), place.put("made.nc", path.read_bytes()))
    with xr.open_dataset(path, engine="netcdf4", **RAW) as real:
        same(opened(session), real)
