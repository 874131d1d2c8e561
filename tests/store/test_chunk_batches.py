"""`array_chunk_iterator`: the chunk references of an array in batches."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import icechunk
from tests.oracle import run_reference

CONTAINER = "file:///d/"


def mixed(storage: icechunk.Storage) -> tuple[icechunk.Repository, icechunk.Session]:
    """A session with a native, two virtual and two inline chunks."""
    config = icechunk.RepositoryConfig(
        inline_chunk_threshold_bytes=16,
        virtual_chunk_containers={
            CONTAINER: icechunk.VirtualChunkContainer(
                CONTAINER, icechunk.local_filesystem_store("/d"), "nm"
            )
        },
    )
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    a = zarr.create_array(session.store, name="a", shape=(40,), chunks=(8,), dtype="i4",
                          compressors=None, fill_value=0)  # fmt: skip
    a[:8] = 1
    b = zarr.create_array(session.store, name="b", shape=(4,), chunks=(1,), dtype="i4",
                          compressors=None, fill_value=0)  # fmt: skip
    b[:2] = 5
    session.store.set_virtual_ref("a/c/2", "vcc://nm/x", offset=3, length=32)
    session.store.set_virtual_ref("a/c/3", "file:///d/y", offset=0, length=32, checksum="et")
    return repo, session


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("path", ["a", "/a"])
async def test_batches_are_columns(committed, path):
    repo, session = mixed(icechunk.in_memory_storage())
    if committed:
        session.commit("mixed")
        session = repo.readonly_session("main")
    (batch,) = session.store.array_chunk_iterator(path)
    coords, kinds, places, offsets, lengths, inline = batch
    assert coords.tolist() == [[0], [2], [3]]
    assert kinds.tolist() == [1, 2, 2]
    assert places[1:] == ["file:///d/x", "file:///d/y"]
    assert len(places[0]) == 20
    assert offsets.tolist() == [0, 3, 0]
    assert lengths.tolist() == [32, 32, 32]
    assert inline == {}
    assert [column.dtype for column in (coords, kinds, offsets, lengths)] == [
        np.uint32,
        np.uint8,
        np.uint64,
        np.uint64,
    ]
    halves = [batch async for batch in session.store.array_chunk_iterator(path, batch_size=2)]
    assert [half[2] for half in halves] == [places[:2], places[2:]]


def test_inline_chunks_come_with_their_bytes():
    _, session = mixed(icechunk.in_memory_storage())
    (batch,) = session.store.array_chunk_iterator("b")
    assert batch[2] == ["", ""]
    assert batch[3].tolist() == [0, 0]
    assert batch[5] == {0: b"\5\0\0\0", 1: b"\5\0\0\0"}


@pytest.mark.parametrize("path", ["nope", "", "/", "a//b"])
def test_no_array_no_batches(path):
    _, session = mixed(icechunk.in_memory_storage())
    assert list(session.store.array_chunk_iterator(path)) == []
    with pytest.raises(ValueError, match="batch_size"):
        session.store.array_chunk_iterator("a", batch_size=0)


@pytest.mark.oracle
def test_the_reference_gives_the_same_columns(tmp_path):
    repo, session = mixed(icechunk.local_filesystem_storage(tmp_path / "r", durable=False))
    session.commit("mixed")
    plain = (
        "[[c.tolist(), k.tolist(), p, o.tolist(), n.tolist(), {i: list(b) for i, b in d.items()}]"
    )
    told = run_reference(
        f"""
        import icechunk as ic
        repo = ic.Repository.open(ic.local_filesystem_storage(args[0]))
        store = repo.readonly_session("main").store
        result = [{plain} for c, k, p, o, n, d in store.array_chunk_iterator(name)]
                  for name in ("a", "b", "nope")]
        """,
        tmp_path / "r",
    )
    store = repo.readonly_session("main").store
    ours = [
        [
            [c.tolist(), k.tolist(), p, o.tolist(), n.tolist(), {i: list(b) for i, b in d.items()}]
            for c, k, p, o, n, d in store.array_chunk_iterator(name)
        ]
        for name in ("a", "b", "nope")
    ]
    assert told == json.loads(json.dumps(ours))
