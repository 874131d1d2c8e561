"""Forks travel, come back, and never overwrite one another silently."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, read, storage_of, with_grid


@pytest.fixture(params=["memory", "local"])
def repo(request, tmp_path):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    return with_grid(storage_of(request.param, tmp_path), config)[0]


def test_a_fork_is_merged_back(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0:2, 0:4], 1)
    fork = session.fork()
    assert read(fork)[0, 0] == 1
    assert not fork.has_uncommitted_changes
    edit(fork, np.s_[2:4, 0:4], 2)
    zarr.create_array(fork.store, name="b", shape=3, chunks=2, dtype="i4")[:] = 5
    assert read(session)[2, 0] != 2
    session.merge(fork)
    session.merge(fork)  # again: nothing new
    session.commit("both")
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[2, 0]) == (1, 2)
    assert (read(repo.readonly_session("main"), "b") == 5).all()


def test_forks_cannot_commit_or_be_made_of_read_only_sessions(repo):
    fork = repo.writable_session("main").fork()
    for call in (lambda: fork.commit("no"), lambda: fork.rebase(icechunk.ConflictDetector())):
        with pytest.raises(icechunk.SessionStateError) as caught:
            call()
        assert caught.value.kind == icechunk.ErrorKind.COMMIT_NOT_ALLOWED
    with pytest.raises(icechunk.SessionStateError) as caught:
        repo.readonly_session("main").fork()
    assert caught.value.kind == icechunk.ErrorKind.CANNOT_FORK_READ_ONLY_SESSION
    with pytest.raises(icechunk.SessionStateError) as caught:
        fork.merge(repo.writable_session("main"))
    assert caught.value.kind == icechunk.ErrorKind.MERGE_NOT_ALLOWED


def test_two_forks_that_wrote_one_chunk_are_refused(repo):
    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    edit(one, np.s_[0, 0], 1)
    edit(two, np.s_[0, 1], 2)
    session.merge(one)
    with pytest.raises(icechunk.ConflictError, match=r"/a: \[0, 0\]") as caught:
        session.merge(two)
    assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
    assert read(session)[0, 0] == 1


def test_a_fork_may_write_over_what_it_saw(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    fork = session.fork()
    edit(fork, np.s_[0, 0], 2)
    session.merge(fork)
    assert read(session)[0, 0] == 2
    later = session.fork()
    edit(later, np.s_[0, 0], 3)
    edit(session, np.s_[0, 1], 4)  # the parent went on after giving the fork out
    with pytest.raises(icechunk.ConflictError):
        session.merge(later)


def test_a_fork_of_an_older_base_is_refused(repo):
    old = repo.writable_session("main").fork()
    edit(old, np.s_[0, 0], 1)
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 2)
    session.commit("newer")
    with pytest.raises(icechunk.ConflictError, match="undone silently"):
        repo.writable_session("main").merge(old)


def test_nodes_made_or_changed_on_both_sides(repo):
    session = repo.writable_session("main")
    one, two, three = session.fork(), session.fork(), session.fork()
    for fork in (one, two):
        zarr.create_array(fork.store, name="new", shape=1, dtype="i4")
    zarr.open_array(three.store, path="a", mode="r+").attrs["x"] = 1
    session.merge(one)
    with pytest.raises(icechunk.ConflictError, match="both created /new"):
        session.merge(two)
    edit(session, np.s_[0, 0], 4)
    session.merge(three)
    assert zarr.open_array(session.store, path="a", mode="r").attrs["x"] == 1


def fill(arguments):
    fork, row = arguments
    zarr.open_array(fork.store, path="a", mode="r+")[2 * row : 2 * row + 2] = row + 100
    return fork


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_in_processes(tmp_path, method):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo, _ = with_grid(icechunk.local_filesystem_storage(tmp_path / "r"), config)
    session = repo.writable_session("main")
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        forks = pool.map(fill, [(session.fork(), row) for row in range(3)])
    session.merge(*forks)
    session.commit("three workers")
    cells = read(icechunk.Repository.open(repo.storage).readonly_session("main"))
    for row in range(3):
        assert (cells[2 * row : 2 * row + 2] == row + 100).all()
