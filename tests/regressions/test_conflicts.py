"""Defects of other implementations of rebasing and recording changes, kept from coming back."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, grid_array, read, remove, with_grid


def two_writers() -> tuple[icechunk.Repository, icechunk.Session, icechunk.Session]:
    """A repository with the array /a, and two sessions on its tip: ours and theirs."""
    repo, _ = with_grid(icechunk.in_memory_storage())
    return repo, repo.writable_session("main"), repo.writable_session("main")


def test_r44_delete_and_recreate_rebases():
    repo, ours, theirs = two_writers()
    remove(ours, "a")
    grid_array(ours.store, "a", shape=(4,), chunks=(2,))
    zarr.create_group(theirs.store, path="elsewhere")
    theirs.commit("theirs")
    ours.commit("ours", rebase_with=icechunk.ConflictDetector())
    assert read(repo.readonly_session("main")).shape == (4,)
    assert "elsewhere" in zarr.open_group(repo.readonly_session("main").store, mode="r")


@pytest.mark.parametrize("how", ["chunk", "metadata"])
def test_r44_what_they_changed_of_a_recreated_node_is_a_conflict(how):
    _, ours, theirs = two_writers()
    remove(ours, "a")
    grid_array(ours.store, "a", shape=(4,), chunks=(2,))
    if how == "chunk":
        edit(theirs, np.s_[0, 0], 9)
    else:
        zarr.open_array(theirs.store, path="a", mode="r+").attrs["units"] = "K"
    theirs.commit("theirs")
    with pytest.raises(icechunk.RebaseFailedError) as caught:
        ours.rebase(icechunk.ConflictDetector())
    kinds = {(c.conflict_type.name, c.path) for c in caught.value.conflicts}
    assert kinds == {("DeleteOfUpdatedArray", "/a")}


def test_r44_a_node_that_both_recreated_is_a_conflict():
    _, ours, theirs = two_writers()
    for session in (ours, theirs):
        remove(session, "a")
        grid_array(session.store, "a", shape=(4,), chunks=(2,))
    theirs.commit("theirs")
    with pytest.raises(icechunk.RebaseFailedError) as caught:
        ours.rebase(icechunk.BasicConflictSolver())
    kinds = {conflict.conflict_type for conflict in caught.value.conflicts}
    assert icechunk.ConflictType.NewNodeConflictsWithExistingNode in kinds


async def test_r45_deleting_twice_leaves_nothing_to_commit():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="g")
    await session.store.delete("g/zarr.json")
    await session.store.delete("g/zarr.json")
    await session.store.delete_dir("g")
    for _ in range(2):
        await session.store.delete("zarr.json")  # Zarr made the root group as well
    assert not session.has_uncommitted_changes
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.commit("nothing")
    assert caught.value.kind == "no-changes-to-commit"
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    for _ in range(2):
        await session.store.delete("a/zarr.json")
    assert session.status().deleted_arrays == {"/a"}
    session.commit("gone")
    session = repo.writable_session("main")
    await session.store.delete("a/zarr.json")
    assert not session.has_uncommitted_changes


def test_r47_a_conflict_report_names_path_kind_and_chunks():
    repo, ours, theirs = two_writers()
    for session, rows in ((ours, np.s_[0:4]), (theirs, np.s_[2:6])):
        edit(session, (rows, np.s_[0:8]), 5)
    tip = theirs.commit("theirs")
    with pytest.raises(icechunk.ConflictError) as early:
        ours.commit("ours")
    assert (early.value.expected_parent, early.value.actual_parent) == (ours.snapshot_id, tip)
    with pytest.raises(icechunk.RebaseFailedError) as caught:
        ours.rebase(icechunk.ConflictDetector())
    assert caught.value.snapshot == tip
    (conflict,) = caught.value.conflicts
    assert conflict.path == "/a"
    assert conflict.conflict_type is icechunk.ConflictType.ChunkDoubleUpdate
    assert conflict.conflicted_chunks == [[1, 0], [1, 1]]
    assert "[1, 0], [1, 1]" in repr(conflict)
    assert "1 conflicts found" in str(caught.value)
    assert ours.has_uncommitted_changes
    assert repo.lookup_branch("main") == tip
