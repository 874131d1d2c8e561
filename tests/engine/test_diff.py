"""Status and differences."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, grid_array, with_grid


@pytest.fixture
def line():
    """A repository with three commits in line: grid, edit of one chunk, a new array."""
    repo, first = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    edit(session, np.s_[0:2, 0:4], 7)
    second = session.commit("edit")
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="g")
    grid_array(session.store, "g/b")
    third = session.commit("more")
    return repo, first, second, third


def test_status_names_what_changed():
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    assert session.status().is_empty()
    assert str(session.status()) == ""
    edit(session, np.s_[0:3, 0], 7)
    zarr.open_array(session.store, path="a", mode="r+").attrs["units"] = "K"
    grid_array(session.store, "b")
    status = session.status()
    assert status.updated_arrays == {"/a"}
    assert status.new_arrays == {"/b"}
    assert status.updated_chunks["/a"] == [[0, 0], [1, 0]]
    assert len(status.updated_chunks["/b"]) == 6
    assert "Chunks updated:\n    /a:\n        [0, 0]\n        [1, 0]\n    /b:" in str(status)
    session.discard_changes()
    assert session.status().is_empty()


def test_commits_in_line(line):
    repo, first, second, third = line
    assert repo.diff(from_snapshot_id=first, to_snapshot_id=second).updated_chunks == {
        "/a": [[0, 0]]
    }
    both = repo.diff(from_snapshot_id=first, to_branch="main")
    assert both.new_groups == {"/g"}
    assert both.new_arrays == {"/g/b"}
    assert set(both.updated_chunks) == {"/a", "/g/b"}
    assert third == repo.lookup_branch("main")


@pytest.mark.parametrize("pair", [(0, 0), (1, 0), (2, 0)])
def test_only_older_to_newer_without_the_keyword(line, pair):
    repo, *ids = line
    selectors = {"from_snapshot_id": ids[pair[0]], "to_snapshot_id": ids[pair[1]]}
    with pytest.raises(icechunk.InvalidInputError) as caught:
        repo.diff(**selectors)
    assert caught.value.kind == icechunk.ErrorKind.BAD_SNAPSHOT_CHAIN_FOR_DIFF
    assert isinstance(repo.diff(**selectors, any_states=True), icechunk.Diff)


def test_any_two_states(line):
    repo, first, second, third = line
    assert repo.diff(from_snapshot_id=third, to_snapshot_id=third, any_states=True).is_empty()
    back = repo.diff(from_snapshot_id=third, to_snapshot_id=first, any_states=True)
    assert back.deleted_arrays == {"/g/b"}
    assert back.deleted_groups == {"/g"}
    assert back.updated_chunks == {"/a": [[0, 0]]}
    repo.create_branch("side", first)
    session = repo.writable_session("side")
    edit(session, np.s_[4:6, 4:8], 9)
    session.commit("side edit")
    siblings = repo.diff(from_branch="side", to_snapshot_id=second, any_states=True)
    assert siblings.updated_chunks == {"/a": [[0, 0], [2, 1]]}


def test_a_deleted_and_remade_node_is_both(line):
    repo, *_ = line
    session = repo.writable_session("main")
    zarr.open_group(session.store)["a"]
    zarr.create_array(session.store, name="a", shape=(2,), chunks=(1,), dtype="i4", overwrite=True)
    status = session.status()
    assert status.new_arrays == status.deleted_arrays == {"/a"}


def test_exactly_one_selector(line):
    repo, first, *_ = line
    with pytest.raises(ValueError, match="Must provide one of branch, tag, or snapshot_id"):
        repo.diff(to_branch="main")
    with pytest.raises(ValueError, match="Must provide one of branch, tag, or snapshot_id"):
        repo.ancestry(branch="main", snapshot_id=first)
