"""Defects of other implementations of history, refs and amending, kept from coming back."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, grid_array, put, read, with_grid

BOTH = pytest.mark.parametrize("spec_version", [1, 2])


def fresh(spec_version: int = 2) -> icechunk.Repository:
    """A repository with one commit: a root group and the array /a."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=spec_version)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    grid_array(session.store)
    session.commit("a grid")
    return repo


@BOTH
def test_r34_a_diff_leaves_out_what_the_earlier_commit_changed(spec_version):
    repo = fresh(spec_version)
    commits = [repo.lookup_branch("main")]
    for name in ("b", "c"):
        session = repo.writable_session("main")
        grid_array(session.store, name)
        commits.append(session.commit(name))
    a, b, c = commits
    assert repo.diff(from_snapshot_id=a, to_snapshot_id=b).new_arrays == {"/b"}
    assert repo.diff(from_snapshot_id=b, to_snapshot_id=c).new_arrays == {"/c"}
    assert repo.diff(from_snapshot_id=a, to_snapshot_id=c).new_arrays == {"/b", "/c"}
    assert repo.diff(from_snapshot_id=a, to_snapshot_id=a, any_states=True).is_empty()
    with pytest.raises(icechunk.InvalidInputError) as caught:
        repo.diff(from_snapshot_id=a, to_snapshot_id=a)
    assert caught.value.kind == "bad-snapshot-chain-for-diff"


@BOTH
def test_r35_ancestry_is_that_of_one_instant(spec_version):
    repo = fresh(spec_version)
    for number in range(3):
        repo.writable_session("main").commit(f"c{number}", allow_empty=True)
    history = repo.ancestry(branch="main")
    seen = [next(history).message]
    repo.reset_branch("main", repo.lookup_branch("main"))
    repo.writable_session("main").commit("later", allow_empty=True)
    seen += [info.message for info in history]
    assert seen == ["c2", "c1", "c0", "a grid", "Repository initialized"]
    drawn = str(repo.ancestry_graph(plain=True))
    assert [m for m in ("later", "c2", "c1") if m in drawn] == ["later", "c2", "c1"]


def test_r35_a_history_read_while_others_commit_is_always_a_whole_chain():
    repo = fresh()
    stop = threading.Event()

    def commit() -> None:
        while not stop.is_set():
            repo.writable_session("main").commit("more", allow_empty=True)

    writer = threading.Thread(target=commit)
    writer.start()
    try:
        for _ in range(30):
            infos = list(repo.ancestry(branch="main"))
            assert [info.parent_id for info in infos] == [*(i.id for i in infos[1:]), None]
    finally:
        stop.set()
        writer.join()


@BOTH
def test_r36_a_handle_sees_its_own_changes_at_once(spec_version):
    repo = fresh(spec_version)
    tip = repo.lookup_branch("main")
    other = icechunk.Repository.open(repo.storage)
    for handle in (repo, other):
        assert handle.list_branches() == {"main"}
    repo.create_branch("b", tip)
    repo.create_tag("t", tip)
    for handle in (repo, other):
        assert handle.list_branches() == {"main", "b"}
        assert handle.list_tags() == {"t"}
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="new")
    assert "new" in zarr.open_group(session.store, mode="r")
    session.commit("new")
    for handle in (repo, other):
        assert "new" in zarr.open_group(handle.readonly_session("main").store, mode="r")
        assert "new" not in zarr.open_group(handle.readonly_session("b").store, mode="r")


def test_r37_what_an_upgrade_must_carry_over():
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7)
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, spec_version=1)
    tip = repo.writable_session("main").commit("one", allow_empty=True)
    for name in ("kept", "gone"):
        repo.create_tag(name, tip)
    repo.delete_tag("gone")
    temporary = repo.reopen(config=icechunk.RepositoryConfig(inline_chunk_threshold_bytes=99))
    new = icechunk.upgrade_icechunk_repository(temporary, dry_run=False)
    assert new.spec_version == 2
    assert new.list_tags() == {"kept"}
    with pytest.raises(icechunk.AlreadyExistsError):
        new.create_tag("gone", tip)
    stored = icechunk.Repository.fetch_config(new.storage)
    assert stored is not None
    assert stored.inline_chunk_threshold_bytes == 7
    updates = list(new.ops_log())
    assert updates[0].kind == icechunk.UpdateType.RepoMigrated(1, 2)
    assert updates[-1].kind == icechunk.UpdateType.RepoInitialized()
    times = [update.updated_at for update in updates]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)
    new.create_branch("works", tip)
    assert next(iter(new.ops_log())).kind == icechunk.UpdateType.BranchCreated("works")


@pytest.mark.parametrize("method", ["new_commit", "amend"])
def test_r38_manifests_are_rewritten_after_a_move(method):
    repo = fresh()
    session = repo.rearrange_session("main")
    session.move("/a", "/b")
    moved = session.commit("moved")
    tip = repo.rewrite_manifests("rewritten", branch="main", commit_method=method)
    assert tip != moved
    assert read(repo.readonly_session("main"), "b")[5, 7] == 47


def test_r39_an_amended_move_keeps_its_moves():
    repo = fresh()
    start = repo.lookup_branch("main")
    first = repo.rearrange_session("main")
    first.move("/a", "/b")
    first.commit("moved")
    second = repo.rearrange_session("main")
    second.move("/b", "/c")
    second.amend("moved on")
    assert repo.diff(from_snapshot_id=start, to_branch="main").moved_nodes == [("/a", "/c")]
    third = repo.rearrange_session("main")
    third.move("/c", "/a")
    third.amend("moved back")
    assert repo.diff(from_snapshot_id=start, to_branch="main").is_empty()
    assert read(repo.readonly_session("main"), "a").shape == (6, 8)


def test_r39_writes_are_not_amended_to_a_move_but_moves_to_writes():
    repo = fresh()
    mover = repo.rearrange_session("main")
    mover.move("/a", "/b")
    mover.commit("moved")
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 5, "b")
    with pytest.raises(icechunk.SessionStateError, match="make a new commit") as caught:
        session.amend("both")
    assert caught.value.kind == "rearrange-session-only"
    assert session.has_uncommitted_changes
    before = repo.lookup_branch("main")
    session.commit("written")
    mover = repo.rearrange_session("main")
    mover.move("/b", "/c")
    mover.amend("written and moved")
    diff = repo.diff(from_snapshot_id=before, to_branch="main")
    assert diff.moved_nodes == [("/b", "/c")]
    assert diff.updated_chunks == {"/c": [[0, 0]]}


def test_r40_a_session_on_an_amended_commit_can_be_rebased():
    repo = fresh()
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    session.commit("to be amended")
    old = repo.writable_session("main")
    edit(old, np.s_[4, 4], 2)
    amender = repo.writable_session("main")
    zarr.create_group(amender.store, path="g")
    amender.amend("amended")
    old.commit("rebased", rebase_with=icechunk.BasicConflictSolver())
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[4, 4]) == (1, 2)
    assert [info.message for info in repo.ancestry(branch="main")] == [
        "rebased",
        "amended",
        "a grid",
        "Repository initialized",
    ]


def test_r40_a_session_on_the_very_first_snapshot_can_be_rebased():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    document = b'{"zarr_format": 3, "node_type": "group"}'
    old = repo.writable_session("main")
    put(old, "mine/zarr.json", document)
    session = repo.writable_session("main")
    put(session, "theirs/zarr.json", document)
    session.commit("theirs")
    amender = repo.writable_session("main")
    put(amender, "also/zarr.json", document)
    amender.amend("theirs, amended")
    old.commit("mine", rebase_with=icechunk.ConflictDetector())
    nodes = repo.readonly_session("main")._transaction.tree
    assert {node.path for node in nodes} == {"/mine", "/theirs", "/also"}


@BOTH
def test_r46_snapshots_that_do_not_exist_are_refused_everywhere(spec_version):
    repo = fresh(spec_version)
    unknown = "ZZZZZZZZZZZZZZZZZZZ0"
    for attempt in (
        lambda: repo.readonly_session(snapshot_id=unknown),
        lambda: repo.create_branch("b", unknown),
        lambda: repo.create_tag("t", unknown),
        lambda: repo.reset_branch("main", unknown),
        lambda: repo.ancestry(snapshot_id=unknown),
        lambda: repo.lookup_snapshot(unknown),
        lambda: repo.diff(from_snapshot_id=unknown, to_branch="main"),
        lambda: repo.ancestry_graph(snapshot_id=unknown),
    ):
        with pytest.raises(icechunk.SnapshotNotFoundError) as caught:
            attempt()
        assert caught.value.kind == "snapshot-not-found"
    for malformed in ("", "abc", "U" * 20, repo.lookup_branch("main")[:8]):
        with pytest.raises(icechunk.InvalidInputError) as bad:
            repo.readonly_session(snapshot_id=malformed)
        assert bad.value.kind == "invalid-snapshot-id"
    assert repo.list_branches() == {"main"}
    assert repo.list_tags() == set()


def test_r46_expired_snapshots_are_unknown():
    repo, first = with_grid(icechunk.in_memory_storage())
    for number in range(2):
        repo.writable_session("main").commit(f"c{number}", allow_empty=True)
    cut = repo.lookup_snapshot(repo.lookup_branch("main")).written_at
    assert first in repo.expire_snapshots(cut)
    for attempt in (
        lambda: repo.readonly_session(snapshot_id=first),
        lambda: repo.create_tag("t", first),
        lambda: repo.create_branch("b", first),
    ):
        with pytest.raises(icechunk.SnapshotNotFoundError):
            attempt()
