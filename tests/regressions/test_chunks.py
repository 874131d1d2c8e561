"""Defects of other implementations that lost or mixed up chunks, kept from coming back."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import cpu

import icechunk
from tests.repositories import edit, read, storage_of, with_grid

SCHEDULERS = ["threads", "processes"]
RANGES = [
    (RangeByteRequest(0, 4), slice(0, 4)),
    (RangeByteRequest(3, 9), slice(3, 9)),
    (RangeByteRequest(5, 5), slice(5, 5)),
    (OffsetByteRequest(0), slice(0, None)),
    (OffsetByteRequest(7), slice(7, None)),
    (OffsetByteRequest(32), slice(32, None)),
    (SuffixByteRequest(6), slice(-6, None)),
    (SuffixByteRequest(32), slice(0, None)),
]
BEYOND = [
    RangeByteRequest(0, 33),
    RangeByteRequest(33, 34),
    RangeByteRequest(5, 4),
    OffsetByteRequest(33),
    SuffixByteRequest(33),
]


def threshold(value: int) -> icechunk.RepositoryConfig:
    return icechunk.RepositoryConfig(inline_chunk_threshold_bytes=value)


@pytest.fixture(params=[0, 512], ids=["native", "inline"])
def repo(request, tmp_path):
    return with_grid(storage_of("local", tmp_path), threshold(request.param))[0]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_r7_appending_along_two_dimensions_in_one_session(scheduler, tmp_path):
    xr = pytest.importorskip("xarray")
    from icechunk.xarray import to_icechunk

    repo = icechunk.Repository.create(storage_of("local", tmp_path))
    whole = xr.Dataset({"a": (("x", "y"), np.arange(64.0).reshape(8, 8))})
    lazy = whole.chunk({"x": 2, "y": 2})
    session = repo.writable_session("main")
    with contextlib.ExitStack() as stack:
        dask: dict[str, Any] = {"scheduler": scheduler}
        if scheduler == "processes":  # one pool for all writes: a worker imports for seconds
            pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
            dask["pool"] = stack.enter_context(pool)
        options: dict[str, Any] = {"chunkmanager_store_kwargs": dask}
        to_icechunk(lazy.isel(x=slice(0, 4), y=slice(0, 4)), session, **options)
        to_icechunk(lazy.isel(x=slice(4, 8), y=slice(0, 4)), session, append_dim="x", **options)
        to_icechunk(lazy.isel(y=slice(4, 8)), session, append_dim="y", **options)
    session.commit("appended")
    store = repo.readonly_session("main").store
    xr.testing.assert_equal(xr.open_zarr(store, consolidated=False).load(), whole)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_r8_a_plain_to_zarr_on_workers_keeps_the_data_or_raises(scheduler, tmp_path):
    xr = pytest.importorskip("xarray")
    dask = pytest.importorskip("dask")
    repo = icechunk.Repository.create(storage_of("local", tmp_path))
    session = repo.writable_session("main")
    whole = xr.Dataset({"a": (("x",), np.arange(1.0, 9.0))})
    with dask.config.set(scheduler=scheduler):
        try:
            whole.chunk({"x": 2}).to_zarr(session.store, consolidated=False)
        except ValueError as error:
            assert "You must opt-in to pickle writable sessions" in str(error)  # noqa: PT017
            assert scheduler == "processes"
            return
    session.commit("written")
    store = repo.readonly_session("main").store
    xr.testing.assert_equal(xr.open_zarr(store, consolidated=False).load(), whole)


def test_r8_a_pickled_store_never_swallows_writes(repo):
    session = repo.writable_session("main")
    with pytest.raises(ValueError, match="opt-in to pickle"):
        pickle.dumps(session.store)
    fork = pickle.loads(pickle.dumps(session.fork()))
    edit(fork, np.s_[0, 0], 5)
    session.merge(fork)
    assert read(session)[0, 0] == 5


def test_r9_references_of_different_arrays_are_not_mixed_up(repo):
    session = repo.writable_session("main")
    for number, name in enumerate("bcd"):
        zarr.create_array(
            session.store, name=name, shape=(6,), chunks=(2,), dtype="i4", fill_value=-1
        )[:] = np.arange(6) + 10 * number
    session.commit("three more")
    session = repo.writable_session("main")
    grown = zarr.open_array(session.store, path="b", mode="r+")
    grown.resize((10,))
    grown[6:] = [90, 91, 92, 93]
    edit(session, np.s_[0:2], [70, 71], "d")
    session.commit("b grew")
    after = repo.readonly_session("main")
    assert read(after, "b").tolist() == [0, 1, 2, 3, 4, 5, 90, 91, 92, 93]
    assert read(after, "c").tolist() == [10, 11, 12, 13, 14, 15]
    assert read(after, "d").tolist() == [70, 71, 22, 23, 24, 25]
    np.testing.assert_array_equal(read(after), np.arange(48).reshape(6, 8))


def test_r10_committing_one_array_keeps_the_chunks_of_another(repo):
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="b", shape=(4,), chunks=(2,), dtype="i4")[:] = 3
    session.commit("another")
    np.testing.assert_array_equal(read(repo.readonly_session("main")), np.arange(48).reshape(6, 8))


def test_r11_splitting_manifests_does_not_touch_other_arrays(tmp_path):
    storage = storage_of("local", tmp_path)
    with_grid(storage, threshold(0))
    split = icechunk.ManifestSplittingConfig.from_dict(
        {icechunk.ManifestSplitCondition.AnyArray(): {icechunk.ManifestSplitDimCondition.Any(): 1}}
    )
    config = threshold(0)
    config.manifest = icechunk.ManifestConfig(splitting=split)
    repo = icechunk.Repository.open(storage, config)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="b", shape=(4,), chunks=(1,), dtype="i4")[:] = 3
    session.commit("with splitting")
    after = icechunk.Repository.open(storage).readonly_session("main")
    np.testing.assert_array_equal(read(after), np.arange(48).reshape(6, 8))
    assert read(after, "b").tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("committed", [False, True], ids=["uncommitted", "committed"])
@pytest.mark.parametrize(("request_", "part"), RANGES, ids=[str(one) for one, _ in RANGES])
async def test_r12_parts_of_a_chunk(repo, request_, part, committed):
    session = repo.writable_session("main")
    data = bytes(range(32))
    await session.store.set("a/c/1/1", cpu.Buffer.from_bytes(data))
    if committed:
        session.commit("bytes")
        session = repo.readonly_session("main")
    store = session.store
    seen = await store.get("a/c/1/1", cpu.buffer_prototype, request_)
    assert seen.to_bytes() == data[part]
    assert store.get_sync("a/c/1/1", byte_range=request_).to_bytes() == data[part]


@pytest.mark.parametrize("size", [64, 4096])
def test_r12_small_shards_read_in_part(size):
    """Inline shards: ranges count from the shard's own first byte."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), threshold(60_000))
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="s", shape=(size,), shards=(size // 2,), chunks=(4,), dtype="u1"
    )[:] = values = np.arange(size, dtype="u1")
    session.commit("shards")
    session = repo.readonly_session("main")
    assert session.chunk_type("/s", [0]) == icechunk.ChunkType.inline
    array = zarr.open_array(session.store, path="s", mode="r")
    for start, stop in [(0, 1), (5, 9), (size // 2 - 3, size // 2 + 3), (size - 5, size)]:
        np.testing.assert_array_equal(array[start:stop], values[start:stop])


@pytest.mark.parametrize("request_", BEYOND, ids=str)
async def test_r13_ranges_beyond_a_chunk_are_refused(repo, request_):
    session = repo.writable_session("main")
    await session.store.set("a/c/1/1", cpu.Buffer.from_bytes(bytes(32)))
    for store in (session.store, repo.readonly_session("main").store):
        with pytest.raises(icechunk.InvalidInputError) as caught:
            await store.get("a/c/1/1", cpu.buffer_prototype, request_)
        assert caught.value.kind == icechunk.ErrorKind.INVALID_BYTE_RANGE
        with pytest.raises(icechunk.InvalidInputError):
            store.get_sync("a/c/1/1", byte_range=request_)


async def test_r18_chunks_without_bytes_are_refused(repo):
    session = repo.writable_session("main")
    before = read(session)
    empty = cpu.Buffer.from_bytes(b"")
    for write in (session.store.set, session.store.set_if_not_exists):
        zarr_key = "a/c/0/0" if write == session.store.set else "a/c/2/1"
        await session.store.delete("a/c/2/1")
        with pytest.raises(icechunk.InvalidInputError) as caught:
            await write(zarr_key, empty)
        assert caught.value.kind == icechunk.ErrorKind.ZERO_LENGTH_CHUNK
    with pytest.raises(icechunk.InvalidInputError):
        session.store.set_sync("a/c/0/0", empty)
    np.testing.assert_array_equal(read(session)[:4], before[:4])


def test_r18_virtual_references_without_bytes_are_refused(repo):
    session = repo.writable_session("main")
    with pytest.raises(icechunk.IcechunkError) as caught:
        session.store.set_virtual_ref(
            "a/c/0/0", "s3://bucket/key", offset=0, length=0, validate_container=False
        )
    assert caught.value.kind == icechunk.ErrorKind.ZERO_LENGTH_CHUNK
    assert not session.has_uncommitted_changes


@pytest.mark.parametrize("folder", ["manifests", "snapshots", "transactions", ""])
def test_r22_a_changed_byte_in_a_metadata_file_is_told(tmp_path, folder):
    repo, tip = with_grid(storage_of("local", tmp_path), threshold(0))
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 5)
    last = session.commit("more")
    good = read(repo.readonly_session("main"))
    place = tmp_path / "repo" / folder
    files = [one for one in place.iterdir() if one.is_file() and not one.name.startswith(".")]
    for file in files:
        data = file.read_bytes()
        for position in range(40, len(data), max(len(data) // 12, 1)):
            file.write_bytes(
                data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :]
            )
            try:
                other = icechunk.Repository.open(icechunk.local_filesystem_storage(_place_of(file)))
                np.testing.assert_array_equal(read(other.readonly_session("main")), good)
                assert other.diff(from_snapshot_id=tip, to_snapshot_id=last).updated_chunks == {
                    "/a": [[0, 0]]
                }
            except icechunk.IcechunkError:
                pass
        file.write_bytes(data)


def _place_of(file):
    parent = file.parent
    return parent if parent.name == "repo" else parent.parent


def test_r21_virtual_references_that_are_refused_are_told():
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer("s3://inside/", icechunk.s3_store(region="x"))
    )
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="v", shape=(4,), chunks=(1,), dtype="u1")
    specs = [
        icechunk.VirtualChunkSpec([at], f"s3://{place}/key", 0, 1)
        for at, place in enumerate(["inside", "outside", "inside", "nowhere"])
    ]
    refused = session.store.set_virtual_refs("/v", specs, validate_containers=True)
    assert [tuple(index) for index in refused] == [(1,), (3,)]
    kinds = [session.chunk_type("/v", [at]) for at in range(4)]
    virtual, nothing = icechunk.ChunkType.virtual, icechunk.ChunkType.uninitialized
    assert kinds == [virtual, nothing, virtual, nothing]
