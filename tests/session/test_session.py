"""Properties of sessions, pickling, and `Session.merge`."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, read, remove, with_grid


@pytest.fixture
def repo() -> icechunk.Repository:
    return with_grid(icechunk.in_memory_storage())[0]


async def test_chunk_coordinates_come_once_and_in_order(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 9)
    remove(session, "a/c/1/1")
    expected = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    for batch_size in (1, 2, 1000):
        found = [c async for c in session.chunk_coordinates("/a", batch_size=batch_size)]
        assert found == expected
    with pytest.raises(ValueError, match="batch_size"):
        [c async for c in session.chunk_coordinates("/a", batch_size=0)]
    with pytest.raises(icechunk.NodeNotFoundError):
        [c async for c in session.chunk_coordinates("/nope")]
    with pytest.raises(ValueError, match="must start with"):
        [c async for c in session.chunk_coordinates("a")]


async def test_chunk_types(repo):
    session = repo.writable_session("main")
    inline = icechunk.ChunkType.inline
    assert session.chunk_type("/a", (0, 0)) == inline
    assert await session.chunk_type_async("/a", [0, 0]) == inline
    assert session.chunk_type("/a", (99, 0)) == icechunk.ChunkType.uninitialized
    assert session.chunk_type("/a", (0,)) == icechunk.ChunkType.UNINITIALIZED
    big = zarr.create_array(session.store, name="b", shape=(512,), chunks=(512,), dtype="f8",
                            compressors=None)  # fmt: skip
    big[:] = 1
    assert session.chunk_type("/b", (0,)) == icechunk.ChunkType.native == 1
    session.store.set_virtual_ref(
        "b/c/0", "file:///data/x", offset=0, length=4096, validate_container=False
    )
    assert session.chunk_type("/b", (0,)) is icechunk.ChunkType.VIRTUAL
    assert session.all_virtual_chunk_locations() == ["file:///data/x"]
    assert await session.all_virtual_chunk_locations_async() == ["file:///data/x"]
    with pytest.raises(icechunk.NodeNotFoundError):
        session.chunk_type("/nope", (0,))
    with pytest.raises(icechunk.InvalidInputError) as caught:
        session.chunk_type("/", (0,))
    assert caught.value.kind == "not-an-array"
    with pytest.raises(OverflowError):
        session.chunk_type("/a", (-1, 0))


def test_locations_of_named_containers_are_resolved():
    store = icechunk.local_filesystem_store("/data")
    container = icechunk.VirtualChunkContainer("file:///data/", store, name="here")
    config = icechunk.RepositoryConfig(virtual_chunk_containers={"file:///data/": container})
    repo, _ = with_grid(icechunk.in_memory_storage(), config)
    session = repo.writable_session("main")
    for key in ("a/c/0/0", "a/c/1/1"):
        session.store.set_virtual_ref(key, "vcc://here/sub/x", offset=0, length=4)
    assert session.all_virtual_chunk_locations() == ["file:///data/sub/x"] * 2


def test_node_ids(repo):
    session = repo.readonly_session("main")
    assert len(session.get_node_id("/a")) == 13
    assert session.get_node_id("/a") != session.get_node_id("/")
    with pytest.raises(icechunk.NodeNotFoundError, match=r"^session error: node not found at `/x`"):
        session.get_node_id("/x")
    with pytest.raises(icechunk.InvalidInputError, match=r"^could not create path"):
        session.get_node_id("a")


def test_errors_of_sessions_say_so_once(repo):
    session = repo.readonly_session("main")
    with pytest.raises(icechunk.IcechunkError) as caught:
        session.commit("no")
    assert str(caught.value).startswith("session error: commits are not allowed")
    assert str(caught.value).count("session error") == 1
    assert caught.value.args == (caught.value.message, caught.value.kind)
    stale, other = repo.writable_session("main"), repo.writable_session("main")
    for one in (stale, other):
        edit(one, np.s_[0, 0], 9)
    other.commit("theirs")
    with pytest.raises(icechunk.ConflictError, match=r"^Failed to commit"):
        stale.commit("mine")


def test_read_only_sessions_pickle_and_writable_ones_only_on_request(tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path, durable=False)
    repo, _ = with_grid(storage)
    again = pickle.loads(pickle.dumps(repo.readonly_session("main")))
    np.testing.assert_array_equal(read(again), read(repo.readonly_session("main")))
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 7)
    for attempt in (pickle.dumps, copy.copy):
        with pytest.raises(ValueError, match="You must opt-in"):
            attempt(session)
    with pytest.warns(DeprecationWarning, match="fork"), session.allow_pickling():
        remote = pickle.loads(pickle.dumps(session))
    with pytest.raises(ValueError, match="You must opt-in"):
        pickle.dumps(session)
    assert remote.branch == "main"
    edit(remote, np.s_[4, 4], 8)
    session.merge(remote)
    session.commit("both")
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[4, 4]) == (7, 8)


def test_merges_where_the_last_one_wins_on_request(repo):
    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    edit(one, np.s_[0, 0], 1)
    edit(two, np.s_[0, 0], 2)
    with pytest.raises(icechunk.ConflictError) as caught:
        session.merge(one, two)
    assert caught.value.kind == "merge-failed"
    assert not session.has_uncommitted_changes
    session.merge(one, two, last_wins=True)
    assert read(session)[0, 0] == 2


def test_forks_of_another_base_only_on_request(repo):
    fork = repo.writable_session("main").fork()
    edit(fork, np.s_[0, 0], 1)
    other = repo.writable_session("main")
    edit(other, np.s_[4, 4], 5)
    other.commit("in between")
    session = repo.writable_session("main")
    with pytest.raises(icechunk.ConflictError, match="based on snapshot"):
        session.merge(fork)
    session.merge(fork, last_wins=True)
    assert (read(session)[0, 0], read(session)[4, 4]) == (1, 5)


def test_a_fork_that_wrote_to_what_the_other_never_had_is_refused(repo):
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="b", shape=(2,), chunks=(1,), dtype="i4")
    fork = session.fork()
    edit(fork, 0, 1, "b")
    with pytest.raises(icechunk.ConflictError, match="do not exist"):
        repo.writable_session("main").merge(fork, last_wins=True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"rebase_with": "x"}, TypeError),
        ({"rebase_with": icechunk.ConflictDetector}, TypeError),
        ({"rebase_tries": -1}, OverflowError),
        ({"rebase_tries": 2**16}, OverflowError),
        ({"rebase_tries": "many"}, TypeError),
    ],
)
def test_arguments_of_a_commit_are_looked_at_before_anything_is_written(arguments, error):
    repo, tip = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="new")
    with pytest.raises(error):
        session.commit("no", **arguments)
    assert repo.lookup_branch("main") == tip
    session.commit("yes")


def test_forks_of_memory_say_why_they_cannot_travel(repo):
    travels = pickle.dumps(repo.writable_session("main").fork())
    arrived = pickle.loads(travels)
    text = "memory is not copied to other processes"
    with pytest.raises(icechunk.StorageError, match=text) as caught:
        read(arrived)
    assert caught.value.kind == icechunk.ErrorKind.OBJECT_NOT_FOUND
