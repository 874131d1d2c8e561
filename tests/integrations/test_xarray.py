"""Xarray datasets written, appended and read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import IcechunkError, Repository
from icechunk.xarray import (
    LazyArrayWriter,
    XarrayDatasetWriter,
    _XarrayDatasetWriter,
    is_chunked_array,
    is_dask_collection,
    to_icechunk,
)

xr = pytest.importorskip("xarray")
da = pytest.importorskip("dask.array")

SCHEDULERS = ["synchronous", "threads", "processes"]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """On disk, so that other processes find it."""
    return Repository.create(icechunk.local_filesystem_storage(tmp_path / "repo"))


@pytest.fixture(scope="module")
def coads(root: Path) -> Iterator[Any]:
    """Monthly climatology of the COADS: 7 variables of 12 x 90 x 180."""
    path = root / "examples/data/coads_climatology.cdf"
    with xr.open_dataset(path, engine="scipy", decode_times=False) as dataset:
        yield dataset.load()


def stored(session: Any, group: str | None = None, **options: Any) -> Any:
    """What xarray reads back, in memory."""
    options = {"consolidated": False, "decode_times": False, "chunks": None} | options
    with xr.open_zarr(session.store, group=group, **options) as dataset:
        return dataset.load()


def committed(repo: Repository, **options: Any) -> Any:
    return stored(repo.readonly_session("main"), **options)


def small(lazy: bool = True) -> Any:
    values = np.arange(24.0).reshape(4, 6)
    data = da.from_array(values, chunks=(2, 3)) if lazy else values
    return xr.Dataset(
        {"a": (("x", "y"), data), "s": ((), 3)},
        coords={"x": np.arange(4), "y": np.arange(6)},
        attrs={"title": "small"},
    )


# whole datasets


def test_a_real_dataset_comes_back_identical(repo: Repository, coads: Any) -> None:
    session = repo.writable_session("main")
    to_icechunk(coads, session)
    xr.testing.assert_identical(stored(session), coads)
    session.commit("COADS")
    xr.testing.assert_identical(committed(repo), coads)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_real_dataset_in_dask_chunks_on_every_scheduler(
    repo: Repository, coads: Any, scheduler: str
) -> None:
    session = repo.writable_session("main")
    lazy = coads[["SST", "SLP"]].chunk({"TIME": 4, "COADSY": 45})
    to_icechunk(lazy, session, chunkmanager_store_kwargs={"scheduler": scheduler})
    chunks = session.status().updated_chunks
    assert len(chunks["/SST"]) == len(chunks["/SLP"]) == 6
    session.commit("COADS")
    xr.testing.assert_identical(committed(repo), coads[["SST", "SLP"]])


def test_encoding_decides_chunks_and_type(repo: Repository, coads: Any) -> None:
    session = repo.writable_session("main")
    encoding = {"SST": {"chunks": (1, 90, 180), "dtype": "float64"}}
    to_icechunk(coads[["SST"]], session, encoding=encoding)
    array = zarr.open_array(session.store, path="SST", mode="r")
    assert array.chunks == (1, 90, 180)
    assert array.dtype == np.float64
    xr.testing.assert_equal(stored(session), coads[["SST"]])


def test_dates_are_decoded_again(repo: Repository) -> None:
    times = np.array(["2000-01-01", "2000-01-03"], "datetime64[ns]")
    dataset = xr.Dataset({"v": ("time", [1.0, 2.0])}, coords={"time": times})
    session = repo.writable_session("main")
    to_icechunk(dataset, session)
    xr.testing.assert_equal(stored(session, decode_times=True), dataset)


def test_empty_and_scalar_dask_arrays(repo: Repository) -> None:
    dataset = xr.Dataset(
        {"empty": ("n", da.zeros(0)), "scalar": ((), da.asarray(7.0)), "d": ("m", da.ones(3))}
    )
    session = repo.writable_session("main")
    # xarray derives a chunk size of 0 from an empty dask array, which Zarr 3.4 refuses.
    to_icechunk(dataset, session, encoding={"empty": {"chunks": (1,)}})
    xr.testing.assert_equal(stored(session), dataset.compute())


def test_groups_do_not_see_each_other(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(small(), session, group="one")
    to_icechunk(small(lazy=False) + 1, session, group="deep/two")
    session.commit("groups")
    xr.testing.assert_equal(committed(repo, group="one"), small().compute())
    xr.testing.assert_equal(committed(repo, group="deep/two"), small().compute() + 1)


@pytest.mark.parametrize(
    ("name", "variable"), [("sst", "sst"), (None, "__xarray_dataarray_variable__")]
)
def test_a_data_array_comes_back(repo: Repository, name: str | None, variable: str) -> None:
    session = repo.writable_session("main")
    array = small()["a"].rename(name)
    to_icechunk(array, session)
    xr.testing.assert_equal(stored(session)[variable].rename(None), array.compute().rename(None))


def test_a_data_array_named_like_its_coordinate_keeps_both(repo: Repository) -> None:
    session = repo.writable_session("main")
    array = xr.DataArray([5, 6, 7], dims="x", coords={"x": [1, 2, 3]}, name="x")
    to_icechunk(array, session)
    read = stored(session)
    assert read["x"].values.tolist() == [1, 2, 3]
    assert read["__xarray_dataarray_variable__"].values.tolist() == [5, 6, 7]


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_into_a_fork_that_is_merged_later(repo: Repository, scheduled: Any, scheduler: str) -> None:
    session = repo.writable_session("main")
    fork = session.fork()
    to_icechunk(small(), fork, chunkmanager_store_kwargs=scheduled(scheduler))
    session.merge(fork)
    session.commit("merged")
    xr.testing.assert_identical(committed(repo), small().compute())


def test_write_empty_chunks_reaches_the_workers(repo: Repository) -> None:
    zeros = xr.Dataset({"a": ("x", da.zeros(4, chunks=2))})
    session = repo.writable_session("main")
    encoding = {"a": {"write_empty_chunks": True, "_FillValue": 0.0}}
    to_icechunk(zeros, session, encoding=encoding)
    session.commit("zeros")
    array = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    assert array.nchunks_initialized == 2


# modes


def test_modes_of_writing_again(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(small(), session)
    with pytest.raises(FileExistsError):
        to_icechunk(small(), session)
    to_icechunk(small() * 2, session, mode="a")
    xr.testing.assert_equal(stored(session), small().compute() * 2)
    with pytest.raises(ValueError, match="non-pre-existing variables"):
        to_icechunk(small().rename(a="b"), session, mode="r+")
    to_icechunk(small()[["a"]].drop_vars(["x", "y"]), session, mode="w")
    assert set(stored(session).variables) == {"a"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "r"}, "only supported options for mode"),
        ({"mode": "w", "append_dim": "x"}, "cannot set append_dim unless"),
        ({"mode": "w", "region": "auto"}, "cannot set region unless"),
    ],
)
def test_arguments_that_contradict_each_other(
    repo: Repository, options: dict[str, Any], message: str
) -> None:
    session = repo.writable_session("main")
    with pytest.raises(ValueError, match=message):
        to_icechunk(small(), session, **options)
    assert not session.has_uncommitted_changes


@pytest.mark.parametrize("lazy", [False, True])
def test_append_along_a_dimension(repo: Repository, coads: Any, lazy: bool) -> None:
    whole = coads[["SST"]]
    parts = [whole.isel(TIME=slice(0, 6)), whole.isel(TIME=slice(6, 12))]
    for number, part in enumerate(parts):
        session = repo.writable_session("main")
        to_icechunk(
            part.chunk({"TIME": 3}) if lazy else part,
            session,
            append_dim="TIME" if number else None,
            encoding=None if number else {"SST": {"chunks": (3, 90, 180)}},
        )
        session.commit(f"part {number}")
    xr.testing.assert_identical(committed(repo), whole)
    with pytest.raises(ValueError, match="does not match any existing"):
        to_icechunk(parts[0], repo.writable_session("main"), append_dim="nowhere")


def test_append_dates(repo: Repository) -> None:
    times = np.arange("2000-01-01", "2000-01-09", dtype="datetime64[D]").astype("datetime64[ns]")
    whole = xr.Dataset({"v": ("time", np.arange(8.0))}, coords={"time": times})
    session = repo.writable_session("main")
    to_icechunk(whole.isel(time=slice(0, 3)), session)
    to_icechunk(whole.isel(time=slice(3, 8)), session, append_dim="time")
    xr.testing.assert_equal(stored(session, decode_times=True), whole)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_append_along_two_dimensions_in_one_session(
    repo: Repository, scheduled: Any, scheduler: str
) -> None:
    # The changes that workers return must not include those of the parent: merging them would
    # undo the second resize.
    options = {"chunkmanager_store_kwargs": scheduled(scheduler)}
    values = np.arange(64.0).reshape(8, 8)
    whole = xr.Dataset({"a": (("x", "y"), values)})
    lazy = whole.chunk({"x": 2, "y": 2})
    session = repo.writable_session("main")
    first = lazy.isel(x=slice(0, 4), y=slice(0, 4))
    to_icechunk(first, session, **options)
    to_icechunk(lazy.isel(x=slice(4, 8), y=slice(0, 4)), session, append_dim="x", **options)
    to_icechunk(lazy.isel(y=slice(4, 8)), session, append_dim="y", **options)
    session.commit("appended")
    xr.testing.assert_equal(committed(repo), whole)


@pytest.mark.parametrize("lazy", [False, True])
def test_write_a_region(repo: Repository, lazy: bool) -> None:
    session = repo.writable_session("main")
    to_icechunk(small(), session)
    session.commit("base")
    session = repo.writable_session("main")
    part = (small() * 10)[["a"]].isel(x=slice(2, 4)).drop_vars(["x", "y"])
    to_icechunk(part if lazy else part.compute(), session, region={"x": slice(2, 4)})
    assert len(session.status().updated_chunks["/a"]) == 2
    expected = small().compute()["a"].values.copy()
    expected[2:] *= 10
    assert np.array_equal(stored(session)["a"].values, expected)

    auto = (small() * 100)[["a"]].isel(x=slice(0, 2))
    to_icechunk(auto if lazy else auto.compute(), session, region="auto")
    expected[:2] *= 100
    assert np.array_equal(stored(session)["a"].values, expected)


def test_dask_chunks_that_share_a_stored_chunk_are_refused(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(small(), session)
    uneven = small().chunk({"x": 3, "y": 6})
    with pytest.raises(ValueError, match="would overlap multiple Dask chunks"):
        to_icechunk(uneven, session, mode="a")
    to_icechunk(
        uneven * 3,
        session,
        mode="a",
        safe_chunks=False,
        chunkmanager_store_kwargs={"scheduler": "synchronous"},
    )
    xr.testing.assert_equal(stored(session), small().compute() * 3)
    to_icechunk(uneven * 4, session, mode="a", align_chunks=True)
    xr.testing.assert_equal(stored(session), small().compute() * 4)


def test_processes_that_share_a_stored_chunk_are_refused(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(small(), session)
    with pytest.raises(icechunk.InvalidInputError, match="to one Zarr chunk") as caught:
        to_icechunk(
            small().chunk({"x": 3, "y": 6}) * 3,
            session,
            mode="a",
            safe_chunks=False,
            chunkmanager_store_kwargs={"scheduler": "processes"},
        )
    assert caught.value.kind == "shared-chunk"


# what is passed


def test_a_store_may_stand_for_its_session(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(small(), session.store)
    xr.testing.assert_equal(stored(session), small().compute())


def test_older_names_of_the_arguments(repo: Repository) -> None:
    session = repo.writable_session("main")
    to_icechunk(dataset=small(), store=session.store)  # type: ignore[call-arg]
    with pytest.warns(UserWarning, match="ignores the unknown keyword arguments compute"):
        to_icechunk(small(), session, mode="a", compute=True)  # type: ignore[call-arg]
    xr.testing.assert_equal(stored(session), small().compute())
    with pytest.raises(TypeError):
        to_icechunk(small())  # type: ignore[call-arg]


def test_other_objects_are_refused(repo: Repository) -> None:
    session = repo.writable_session("main")
    with pytest.raises(TypeError, match="cannot write a list"):
        to_icechunk([1], session)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="its own `group`"):
        to_icechunk(xr.DataTree(small()), session)
    with pytest.raises(TypeError, match="Invalid name 3"):
        to_icechunk(xr.Dataset({3: ("x", [1])}), session)
    with pytest.raises(ValueError, match="must not be empty"):
        to_icechunk(xr.Dataset({"": ("x", [1])}), session)
    assert not session.has_uncommitted_changes


def test_a_read_only_session_is_refused(repo: Repository) -> None:
    with pytest.raises((ValueError, IcechunkError), match="read-only"):
        to_icechunk(small(), repo.readonly_session("main"))


# in steps


def test_writing_in_three_steps(repo: Repository) -> None:
    session = repo.writable_session("main")
    writer = XarrayDatasetWriter(small(), store=session.store)
    for step in (writer.write_eager, writer.write_lazy):
        with pytest.raises(ValueError, match="call `write_metadata` first"):
            step()
    writer._open_group(group=None, mode=None, append_dim=None, region=None)
    writer.write_metadata()
    assert set(session.status().new_arrays) == {"/a", "/s", "/x", "/y"}
    assert not session.status().updated_chunks
    writer.write_eager()
    assert set(session.status().updated_chunks) == {"/s", "/x", "/y"}
    assert writer.write_lazy(split_every=2) is not None
    assert writer.write_lazy() is None
    xr.testing.assert_equal(stored(session), small().compute())
    assert _XarrayDatasetWriter is XarrayDatasetWriter
    with pytest.raises(TypeError, match="must be an IcechunkStore"):
        XarrayDatasetWriter(small(), store={})  # type: ignore[arg-type]


def test_the_array_writer_keeps_lazy_and_eager_apart() -> None:
    writer = LazyArrayWriter()
    target = np.zeros(4)
    writer.add(np.ones(4), target)
    writer.add(np.full(2, 5.0), target, (slice(0, 2),))
    lazy = da.ones(4)
    writer.add(lazy, target, (slice(None),))
    assert target.tolist() == [0, 0, 0, 0]
    writer.write_eager()
    assert target.tolist() == [5, 5, 1, 1]
    assert writer.eager_sources == []
    assert writer.sources == [lazy]
    assert writer.regions == [(slice(None),)]


def test_dask_is_recognised() -> None:
    assert is_dask_collection(da.ones(2))
    assert not is_dask_collection(np.ones(2))
    assert is_chunked_array is is_dask_collection
