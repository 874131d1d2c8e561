"""`Session.diff` with the base, another branch and the changes of another session."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, read, with_grid


@pytest.fixture
def repo() -> icechunk.Repository:
    return with_grid(icechunk.in_memory_storage())[0]


def chunks(diff: icechunk.Diff) -> dict[str, list[list[int]]]:
    return {path: [list(at) for at in found] for path, found in diff.updated_chunks.items()}


def test_with_its_base_it_is_the_status(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 5)
    zarr.create_group(session.store, path="g")
    zarr.open_array(session.store, path="a", mode="r+").attrs["x"] = 1
    diff = session.diff(repo.readonly_session("main"))
    assert diff == session.status()
    assert not diff.is_empty()


def test_backwards(repo):
    session, base = repo.writable_session("main"), repo.readonly_session("main")
    zarr.create_array(session.store, name="b", shape=(2,), dtype="i4")
    session.store.delete_sync("a/zarr.json")
    diff = base.diff(session)
    assert (diff.new_arrays, diff.deleted_arrays) == ({"/a"}, {"/b"})
    assert len(chunks(diff)["/a"]) == 6


def test_two_sessions_with_changes(repo):
    one, two = repo.writable_session("main"), repo.writable_session("main")
    for session in (one, two):
        edit(session, np.s_[0, 0], 5)  # the same bytes, kept inline
    edit(one, np.s_[2, 0], 6)
    edit(two, np.s_[5, 7], 7)
    assert chunks(two.diff(one)) == {"/a": [[1, 0], [2, 1]]}
    one.discard_changes()
    two.discard_changes()
    assert two.diff(one).is_empty()


def test_across_branches(repo):
    repo.create_branch("side", repo.lookup_branch("main"))
    for branch, value in (("main", 1), ("side", 2)):
        session = repo.writable_session(branch)
        edit(session, np.s_[0, 0], value)
        session.commit(branch)
    side = repo.writable_session("side")
    edit(side, np.s_[5, 7], 3)
    assert chunks(side.diff(repo.readonly_session("main"))) == {"/a": [[0, 0], [2, 1]]}


def test_chunks_that_a_resize_lost_are_told(repo):
    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="a", mode="r+")
    array.resize((2, 8))
    array.resize((6, 8))
    diff = session.diff(repo.readonly_session("main"))
    assert chunks(diff) == {"/a": [[1, 0], [1, 1], [2, 0], [2, 1]]}
    assert (read(session)[2:] == -1).all()


def test_moves(repo):
    session = repo.rearrange_session("main")
    session.move("/a", "/b")
    diff = session.diff(repo.readonly_session("main"))
    assert diff.moved_nodes == [("/a", "/b")]
    assert chunks(diff) == {}


def test_forks(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 5)
    fork = session.fork()
    edit(fork, np.s_[0, 4], 5)
    assert chunks(fork.diff(session)) == {"/a": [[0, 1]]}


def test_what_cannot_be_compared(repo):
    session = repo.writable_session("main")
    stranger = with_grid(icechunk.in_memory_storage())[0].readonly_session("main")
    with pytest.raises(icechunk.InvalidInputError, match="different repositories"):
        session.diff(stranger)
    with pytest.raises(TypeError):
        session.diff("main")
