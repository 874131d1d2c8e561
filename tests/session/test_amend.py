"""Amending the tip of a branch, and snapshots without a branch."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, grid_array, read, with_grid

ROOT = "1CECHNKREP0F1RSTCMT0"


def messages(repo: icechunk.Repository) -> list[str]:
    return [info.message for info in repo.ancestry(branch="main")]


def test_an_amended_commit_takes_the_place_of_the_tip():
    repo, first = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 9)
    second = session.commit("second", {"kept": False})
    session = repo.writable_session("main")
    grid_array(session.store, "b")
    third = session.amend("better", metadata={"who": "me"})
    infos = list(repo.ancestry(branch="main"))
    assert [info.id for info in infos] == [third, first, ROOT]
    assert infos[0].metadata == {"who": "me"}
    assert session.read_only
    assert session.snapshot_id == third
    diff = repo.diff(from_snapshot_id=first, to_branch="main")
    assert diff.new_arrays == {"/b"}
    assert diff.updated_chunks["/a"] == [[0, 0]]
    assert read(repo.readonly_session(snapshot_id=second))[0, 0] == 9
    (newest, *_) = repo.ops_log()
    assert newest.kind == icechunk.UpdateType.CommitAmended("main", second, third)


def test_chunks_of_both_commits_are_united():
    repo, first = with_grid(icechunk.in_memory_storage())
    for at, how in ((0, "commit"), (2, "amend")):
        session = repo.writable_session("main")
        edit(session, np.s_[at, 0], 9)
        getattr(session, how)(how)
    assert repo.diff(from_snapshot_id=first, to_branch="main").updated_chunks == {
        "/a": [[0, 0], [1, 0]]
    }


def test_what_cannot_be_amended():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.amend("nothing")
    assert caught.value.kind == "no-changes-to-commit"
    zarr.create_group(session.store)
    with pytest.raises(icechunk.SessionStateError, match="first commit") as caught:
        session.amend("the root")
    assert caught.value.kind == "no-amend-for-initial-commit"
    assert session.has_uncommitted_changes
    session.commit("made")
    for session in (repo.readonly_session("main"), repo.writable_session("main").fork()):
        with pytest.raises(icechunk.SessionStateError) as caught:
            session.amend("no")
        assert caught.value.kind == "commit-not-allowed"
    assert repo.writable_session("main").amend("empty", allow_empty=True)
    assert messages(repo) == ["empty", "Repository initialized"]


def test_a_stale_session_cannot_amend():
    repo, _ = with_grid(icechunk.in_memory_storage())
    stale = repo.writable_session("main")
    edit(stale, np.s_[0, 0], 1)
    other = repo.writable_session("main")
    edit(other, np.s_[4, 4], 2)
    other.commit("theirs")
    with pytest.raises(icechunk.ConflictError) as caught:
        stale.amend("mine")
    assert caught.value.kind == "commit-conflict"
    assert stale.has_uncommitted_changes


def test_spec_1_has_no_amend():
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=1)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    session.commit("made")
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="g")
    with pytest.raises(icechunk.FormatError) as caught:
        session.amend("no")
    assert caught.value.kind == "unsupported-spec-version"
    assert messages(repo) == ["made", "Repository initialized"]


@pytest.mark.parametrize("spec_version", [1, 2])
def test_a_flushed_snapshot_has_no_branch(spec_version):
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=spec_version)
    session = repo.writable_session("main")
    grid_array(session.store)
    loose = session.flush("loose", {"a": 1})
    assert session.read_only
    assert session.snapshot_id == loose
    assert messages(repo) == ["Repository initialized"]
    assert repo.lookup_snapshot(loose).metadata == {"a": 1}
    repo.create_tag("kept", loose)
    assert read(repo.readonly_session(tag="kept")).shape == (6, 8)
    if spec_version == 2:
        (_, flushed, *_) = repo.ops_log()
        assert flushed.kind == icechunk.UpdateType.NewDetachedSnapshot(loose)


def test_what_can_be_flushed():
    repo, _ = with_grid(icechunk.in_memory_storage())
    assert repo.writable_session("main").flush("nothing changed")
    assert repo.readonly_session("main").flush("read-only")
    mover = repo.rearrange_session("main")
    mover.move("/a", "/b")
    moved = mover.flush("moved")
    assert read(repo.readonly_session(snapshot_id=moved), "b").shape == (6, 8)
    fork = repo.writable_session("main").fork()
    with pytest.raises(icechunk.IcechunkError, match="cannot flush a forked session") as caught:
        fork.flush("no")
    assert caught.value.kind == "unknown"


def test_forks_refuse_to_commit_in_both_ways_that_icechunk_had():
    fork = with_grid(icechunk.in_memory_storage())[0].writable_session("main").fork()
    for error in (icechunk.SessionStateError, TypeError):
        with pytest.raises(error, match="commits are not allowed"):
            fork.commit("no")


def test_metadata_of_the_handle_is_merged_under_that_of_the_commit():
    repo, _ = with_grid(icechunk.in_memory_storage())
    repo.set_default_commit_metadata({"d": 1, "e": {"x": 1}})
    commit = repo.writable_session("main").commit("c", {"e": {"y": 2}}, allow_empty=True)
    flushed = repo.writable_session("main").flush("f")
    amended = repo.writable_session("main").amend("a", allow_empty=True)
    assert repo.lookup_snapshot(commit).metadata == {"d": 1, "e": {"y": 2}}
    assert repo.lookup_snapshot(flushed).metadata == {"d": 1, "e": {"x": 1}}
    assert repo.lookup_snapshot(amended).metadata == {"d": 1, "e": {"x": 1}}
    assert repo.reopen().default_commit_metadata() == {}
