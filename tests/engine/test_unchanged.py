"""Sessions that record no write that only repeats what the base holds."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import cpu

import icechunk
from icechunk.spec.manifest.chunk_type import ChunkType
from tests.oracle import run_reference
from tests.repositories import edit, grid_array, read, storage_of, with_grid


def skipping(inline: int = 0) -> icechunk.RepositoryConfig:
    return icechunk.RepositoryConfig(
        inline_chunk_threshold_bytes=inline, skip_unchanged_chunks=True
    )


@pytest.fixture(params=["memory", "local"])
def kind(request) -> str:
    return request.param


@pytest.fixture(params=[0, 512], ids=["native", "inline"])
def repo(request, kind, tmp_path):
    return with_grid(storage_of(kind, tmp_path), skipping(request.param))[0]


def stored(repo: icechunk.Repository) -> dict[str, int]:
    """Names and sizes of all chunk objects."""
    return {info.key: info.size for info in repo.storage.list("chunks/")}


def changed(session: icechunk.Session, path: str = "/a") -> list[list[int]]:
    return [list(at) for at in session.status().updated_chunks.get(path, [])]


def test_writing_what_is_there_is_no_change(repo):
    before = stored(repo)
    session = repo.writable_session("main")
    edit(session, np.s_[...], read(session))
    assert not session.has_uncommitted_changes
    assert session.status().is_empty()
    assert stored(repo) == before
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.commit("nothing")
    assert caught.value.kind == icechunk.ErrorKind.NO_CHANGES_TO_COMMIT


def test_only_what_differs_is_recorded(repo):
    session = repo.writable_session("main")
    values = read(session)
    values[0, 0] += 1
    edit(session, np.s_[...], values)
    assert changed(session) == [[0, 0]]
    tip = repo.lookup_branch("main")
    new = session.commit("one")
    assert repo.diff(from_snapshot_id=tip, to_snapshot_id=new).updated_chunks == {"/a": [[0, 0]]}
    np.testing.assert_array_equal(read(repo.readonly_session("main")), values)


def test_a_change_that_is_taken_back_is_none(repo):
    session = repo.writable_session("main")
    values = read(session)
    edit(session, np.s_[...], 3)
    assert len(changed(session)) == 6
    edit(session, np.s_[0:2], values[0:2])
    assert changed(session) == [[1, 0], [1, 1], [2, 0], [2, 1]]
    edit(session, np.s_[...], values)
    assert not session.has_uncommitted_changes
    np.testing.assert_array_equal(read(session), values)
    edit(session, np.s_[0, 0], 9)
    session.commit("after all")
    values[0, 0] = 9
    np.testing.assert_array_equal(read(repo.readonly_session("main")), values)


def test_changes_that_came_from_forks_are_taken_back_too(repo):
    session = repo.writable_session("main")
    values = read(session)
    fork = session.fork()
    edit(fork, np.s_[...], 3)
    session.merge(fork)
    edit(session, np.s_[0:2], values[0:2])
    edit(session, np.s_[2, 0], 4)
    assert changed(session) == [[1, 0], [1, 1], [2, 0], [2, 1]]
    edit(session, np.s_[2:], values[2:])
    assert not session.has_uncommitted_changes
    np.testing.assert_array_equal(read(session), values)


def test_deleting_what_is_not_there_is_no_change(repo):
    session = repo.writable_session("main")
    made = zarr.create_array(session.store, name="e", shape=4, chunks=2, dtype="i4", fill_value=-1)
    made[0:2] = 5
    session.commit("half empty")
    session = repo.writable_session("main")
    edit(session, np.s_[2:4], -1, "e")  # the fill value: Zarr deletes the chunk
    assert not session.has_uncommitted_changes
    edit(session, np.s_[2:4], 7, "e")
    assert changed(session, "/e") == [[1]]
    edit(session, np.s_[2:4], -1, "e")
    assert not session.has_uncommitted_changes
    edit(session, np.s_[0:2], -1, "e")
    assert changed(session, "/e") == [[0]]
    edit(session, np.s_[0:2], 5, "e")
    assert not session.has_uncommitted_changes


def test_chunks_lost_by_a_resize_are_written_again(repo):
    session = repo.writable_session("main")
    values = read(session)
    array = zarr.open_array(session.store, path="a", mode="r+")
    array.resize((2, 8))
    array.resize((6, 8))
    array[...] = values
    assert [2, 1] in changed(session)
    session.commit("resized twice")
    np.testing.assert_array_equal(read(repo.readonly_session("main")), values)


def test_a_node_made_again_is_written_whole(repo):
    session = repo.writable_session("main")
    values = read(session)
    session.store.delete_sync("a/zarr.json")
    grid_array(session.store)
    edit(session, np.s_[...], values)
    assert len(changed(session)) == 6
    session.commit("again")
    np.testing.assert_array_equal(read(repo.readonly_session("main")), values)


async def test_the_store_interface(repo):
    session = repo.writable_session("main")
    store = session.store
    value = store.get_sync("a/c/0/0")
    other = cpu.Buffer.from_bytes(bytes(value.to_bytes()[::-1]))
    await store.set("a/c/0/0", value)
    store.set_sync("a/c/0/0", value)
    await store.set_if_not_exists("a/c/0/0", other)
    assert not session.has_uncommitted_changes
    await store.delete("a/c/0/0")
    assert changed(session) == [[0, 0]]
    await store.set_if_not_exists("a/c/0/0", value)
    assert not session.has_uncommitted_changes
    await store.set("a/c/0/0", other)
    await store.set_if_not_exists("a/c/0/0", value)
    assert changed(session) == [[0, 0]]
    shorter = cpu.Buffer.from_bytes(value.to_bytes()[:-1])
    await store.set("a/c/0/1", shorter)
    assert changed(session) == [[0, 0], [0, 1]]
    await store.delete("a/c/9/9")
    assert (await store.get("a/c/0/1", cpu.buffer_prototype)).to_bytes() == shorter.to_bytes()


@pytest.mark.parametrize("threshold", [0, 60_000], ids=["native", "inline"])
def test_shards_written_in_part(kind, threshold, tmp_path):
    repo = icechunk.Repository.create(storage_of(kind, tmp_path), skipping(threshold))
    session = repo.writable_session("main")
    array = zarr.create_array(
        session.store, name="s", shape=(16, 16), shards=(8, 8), chunks=(2, 2), dtype="i4"
    )
    values = np.arange(1, 257, dtype="i4").reshape(16, 16)
    array[...] = values
    session.commit("shards")
    before = stored(repo)
    session = repo.writable_session("main")
    edit(session, np.s_[2:5, 3:9], values[2:5, 3:9], "s")
    assert not session.has_uncommitted_changes
    assert stored(repo) == before
    edit(session, np.s_[3, 9], 0, "s")
    assert changed(session, "/s") == [[0, 1]]
    edit(session, np.s_[3, 9], values[3, 9], "s")
    assert not session.has_uncommitted_changes


def test_large_chunks_that_differ_only_at_their_end(kind, tmp_path):
    repo = icechunk.Repository.create(storage_of(kind, tmp_path), skipping())
    session = repo.writable_session("main")
    values = np.arange(300_001, dtype="i4")
    array = zarr.create_array(session.store, name="l", shape=300_001, chunks=300_001,
                              dtype="i4", compressors=None)  # fmt: skip
    array[...] = values
    session.commit("large")
    session = repo.writable_session("main")
    edit(session, np.s_[...], values, "l")
    assert not session.has_uncommitted_changes
    values[-1] = 0
    edit(session, np.s_[...], values, "l")
    assert changed(session, "/l") == [[0]]


def _work(arguments: tuple[icechunk.ForkSession, Any]) -> icechunk.ForkSession:
    fork, values = arguments
    edit(fork, np.s_[...], values)
    return fork


def test_forks_in_other_processes_skip_too(tmp_path):
    repo = with_grid(storage_of("local", tmp_path), skipping())[0]
    session = repo.writable_session("main")
    values = read(session)
    before = stored(repo)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (fork,) = pool.map(_work, [(session.fork(), values)])
    assert not fork.has_uncommitted_changes
    session.merge(fork)
    assert not session.has_uncommitted_changes
    assert stored(repo) == before


def test_dask_writes_skip_too(repo):
    da = pytest.importorskip("dask.array")
    from icechunk.dask import store_dask

    session = repo.writable_session("main")
    values = read(session)
    values[5, 7] = 0
    target = zarr.open_array(session.store, path="a", mode="r+")
    store_dask(
        session, sources=[da.from_array(values, chunks=(2, 4))], targets=[target],
        scheduler="threads",
    )  # fmt: skip
    assert changed(session) == [[2, 1]]


def test_the_fast_pipeline_skips_too(repo):
    session = repo.writable_session("main")
    with icechunk.fast_pipeline():
        values = read(session)
        edit(session, np.s_[...], values)
        assert not session.has_uncommitted_changes


def test_a_chunk_whose_object_is_gone_is_written(kind, tmp_path):
    storage = storage_of(kind, tmp_path)
    repo = with_grid(storage, skipping())[0]
    session = repo.writable_session("main")
    values = read(session)
    storage.delete([info.key for info in storage.list("chunks/")])
    edit(session, np.s_[...], values)
    assert len(changed(session)) == 6
    session.commit("restored")
    np.testing.assert_array_equal(read(repo.readonly_session("main")), values)


def test_virtual_chunks_are_replaced_by_bytes(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "data").write_bytes(b"abcdefgh")
    url = f"file://{source}/"
    config = skipping()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(url, icechunk.local_filesystem_store(str(source)))
    )
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="v", shape=8, chunks=8, dtype="u1", compressors=None)
    session.store.set_virtual_ref("v/c/0", f"{url}data", offset=0, length=8)
    session.commit("virtual")
    session = repo.writable_session("main")
    session.store.set_sync("v/c/0", cpu.Buffer.from_bytes(b"abcdefgh"))
    assert changed(session, "/v") == [[0]]
    assert session.chunk_type("/v", [0]) == ChunkType.native


def test_it_is_off_unless_asked_for(kind, tmp_path):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo = with_grid(storage_of(kind, tmp_path), config)[0]
    session = repo.writable_session("main")
    before = stored(repo)
    edit(session, np.s_[...], read(session))
    assert len(changed(session)) == 6
    assert sum(stored(repo).values()) == 2 * sum(before.values())


def test_after_a_rebase_the_new_base_counts(repo):
    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(mine, np.s_[0, 0], 1)
    edit(theirs, np.s_[5, 7], 2)
    values = read(theirs)
    theirs.commit("theirs")
    mine.rebase(icechunk.ConflictDetector())
    edit(mine, np.s_[4:, 4:], values[4:, 4:])
    assert changed(mine) == [[0, 0]]
    edit(mine, np.s_[5, 7], 47)
    assert changed(mine) == [[0, 0], [2, 1]]


def test_the_setting_is_stored_and_shown_where_it_is_set():
    storage = icechunk.in_memory_storage()
    icechunk.Repository.create(storage, skipping())
    assert icechunk.Repository.open(storage).config.skip_unchanged_chunks is True
    off = icechunk.RepositoryConfig(skip_unchanged_chunks=False)
    assert icechunk.Repository.open(storage, off).config.skip_unchanged_chunks is False
    assert "skip_unchanged_chunks: True" in str(skipping())
    assert "skip_unchanged_chunks=True" in repr(skipping())
    assert "skip_unchanged_chunks" not in str(icechunk.RepositoryConfig())
    assert eval(repr(skipping()), {"icechunk": icechunk}) == skipping()
    with pytest.raises(TypeError):
        icechunk.RepositoryConfig(skip_unchanged_chunks=1)


@pytest.mark.oracle
@pytest.mark.parametrize("version", [1, 2])
def test_the_reference_opens_repositories_that_store_the_setting(version, tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo = icechunk.Repository.create(storage, skipping(77), spec_version=version)
    seen = run_reference(
        """
        import icechunk
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(args[0]))
        result = repo.config.inline_chunk_threshold_bytes
        repo.create_branch("theirs", repo.lookup_branch("main"))
        """,
        tmp_path / "r",
    )
    assert seen == 77
    assert repo.lookup_branch("theirs") == repo.lookup_branch("main")
    assert icechunk.Repository.open(storage).config.skip_unchanged_chunks is True
