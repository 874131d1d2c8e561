"""`Session.chunk_references`: the references of an array as columns."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.core.ids import ObjectId, id_text

PREFIX = "s3://bucket/data/"


@pytest.fixture
def session() -> icechunk.Session:
    """A writable session with native, inline and virtual chunks in ``/a``, some uncommitted."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=64)
    store = icechunk.s3_store(region="us-east-1")
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(PREFIX, store, name="tapes"))
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config)
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    array = group.create_array(
        "a", shape=(4, 30), chunks=(1, 10), dtype="f8", compressors=None, fill_value=0
    )
    array[0] = 1.0
    session.commit("native")
    session = repo.writable_session("main")
    store = session.store
    store.set_virtual_ref("a/c/1/0", PREFIX + "one.nc", offset=100, length=80)
    store.set_virtual_ref("a/c/1/1", "vcc://tapes/two.nc", offset=5, length=80)
    store.set_virtual_ref("a/c/1/2", PREFIX + "one.nc", offset=180, length=80)
    group = zarr.open_group(store)
    small = group.create_array("small", shape=(6,), chunks=(2,), dtype="i1", compressors=None)
    small[...] = np.arange(6)
    return session


def test_columns(session: icechunk.Session) -> None:
    found = session.chunk_references("/a")
    assert len(found) == 6
    assert found.coords.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    native, virtual = icechunk.ChunkType.native, icechunk.ChunkType.virtual
    assert found.kind.tolist() == [native] * 3 + [virtual] * 3
    assert found.length.tolist() == [80] * 6
    assert found.offset[3:].tolist() == [100, 5, 180]
    assert found.object_id.shape == (6, 12)
    assert found.object_id[:3].any(axis=1).all()
    assert not found.object_id[3:].any()
    assert found.location(0) == id_text(ObjectId(found.object_id[0].tobytes()))
    assert found.location(4) == PREFIX + "two.nc"
    code, urls = found.locations()
    assert code.tolist() == [-1, -1, -1, 0, 1, 0]
    assert urls == [PREFIX + "one.nc", PREFIX + "two.nc"]
    assert "6 chunks" in repr(found)
    for column in (found.coords, found.kind, found.length, found.offset, found.object_id):
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 1
    for row in (-1, 6):
        with pytest.raises(IndexError):
            found.location(row)


def test_inline_chunks_and_empty_arrays(session: icechunk.Session) -> None:
    found = session.chunk_references("/small")
    assert found.kind.tolist() == [icechunk.ChunkType.inline] * 3
    assert found.length.tolist() == [2, 2, 2]
    assert found.location(1) is None
    assert found.locations()[1] == []
    assert not found.offset.any()
    assert not found.object_id.any()
    zarr.open_group(session.store).create_array("none", shape=(4,), chunks=(2,), dtype="i4")
    nothing = session.chunk_references("/none")
    assert len(nothing) == 0
    assert nothing.coords.shape == (0, 1)
    assert nothing.locations()[1] == []


def test_rows_of_chunks(session: icechunk.Session) -> None:
    found = session.chunk_references("/a")
    wanted = np.array([[1, 1], [3, 2], [0, 0], [-1, 0], [2**40, 0]])
    assert found.find(wanted).tolist() == [4, -1, 0, -1, -1]
    assert found.find(np.zeros((2, 3), np.int64)).tolist() == [-1, -1]
    for wrong in (np.zeros(2, np.int64), np.zeros((2, 2))):
        with pytest.raises(icechunk.InvalidInputError, match="whole numbers"):
            found.find(wrong)


def test_what_differs_between_two_moments(session: icechunk.Session) -> None:
    before = session.chunk_references("/a")
    store = session.store
    store.set_virtual_ref("a/c/1/0", PREFIX + "one.nc", offset=101, length=80)
    store.set_virtual_ref("a/c/3/2", PREFIX + "one.nc", offset=101, length=80)
    after = session.chunk_references("/a")
    assert len(before) == 6, "it shows the moment it was made at"
    assert before.differing(after).tolist() == [[1, 0], [3, 2]]
    assert after.differing(before).tolist() == [[1, 0], [3, 2]]
    assert not len(before.differing(before))


def test_only_arrays_have_them(session: icechunk.Session) -> None:
    with pytest.raises(icechunk.NodeNotFoundError):
        session.chunk_references("/nowhere")
    with pytest.raises(icechunk.InvalidInputError, match="not an array"):
        session.chunk_references("/")


def test_the_asynchronous_twin(session: icechunk.Session) -> None:
    assert len(asyncio.run(session.chunk_references_async("/a"))) == 6
