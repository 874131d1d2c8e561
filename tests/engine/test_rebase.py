"""Rebase over one or more commits, with every answer to a conflicted chunk."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import icechunk
from tests.repositories import edit, read, with_grid

GRID = np.arange(48, dtype="f4").reshape(6, 8)
CHUNKS = [(i, j) for i in range(3) for j in range(2)]


def cells(chunk):
    i, j = chunk
    return np.s_[2 * i : 2 * i + 2, 4 * j : 4 * j + 4]


@pytest.fixture
def repo():
    return with_grid(icechunk.in_memory_storage())[0]


def test_the_plan_changes_nothing_and_unites_commits(repo):
    mine = repo.writable_session("main")
    edit(mine, np.s_[:], 100)
    base = mine.snapshot_id
    for chunk in ((0, 0), (0, 1)):
        theirs = repo.writable_session("main")
        edit(theirs, cells(chunk), 200)
        tip = theirs.commit("theirs")
    report = mine.conflicts()
    assert (report.branch, report.base, report.tip) == ("main", base, tip)
    assert [c.conflict_type for c in report.conflicts] == [icechunk.ConflictType.ChunkDoubleUpdate]
    assert report.conflicts[0].conflicted_chunks == [[0, 0], [0, 1]]
    assert mine.snapshot_id == base
    assert mine.has_uncommitted_changes


def test_a_session_at_the_tip_has_no_conflicts(repo):
    mine = repo.writable_session("main")
    edit(mine, np.s_[0, 0], 1)
    assert mine.conflicts().conflicts == []
    assert mine.conflicts().snapshot is None


def test_a_detector_stops_and_the_session_keeps_its_changes(repo):
    mine = repo.writable_session("main")
    edit(mine, cells((1, 1)), 100)
    passed = repo.writable_session("main")
    edit(passed, cells((0, 0)), 200)
    first = passed.commit("elsewhere")
    stopped = repo.writable_session("main")
    edit(stopped, cells((1, 1)), 300)
    second = stopped.commit("same chunk")
    with pytest.raises(icechunk.RebaseFailedError) as caught:
        mine.rebase(icechunk.ConflictDetector())
    assert caught.value.snapshot == second
    assert caught.value.conflicts[0].conflicted_chunks == [[1, 1]]
    assert mine.snapshot_id == first  # the last commit passed
    assert read(mine)[2, 4] == 100
    mine.rebase(icechunk.BasicConflictSolver())
    mine.commit("mine wins")
    after = read(repo.readonly_session("main"))
    assert after[2, 4] == 100
    assert after[0, 0] == 200


def test_a_solver_that_raises_leaves_the_session_unchanged(repo):
    class Broken(icechunk.ConflictSolver):
        def solve(self, previous_change, previous_repo, current_changes, current_repo):
            raise RuntimeError("no idea")

    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(mine, np.s_[0, 0], 1)
    edit(theirs, np.s_[0, 0], 2)
    theirs.commit("theirs")
    with pytest.raises(RuntimeError, match="no idea"):
        mine.rebase(Broken())
    assert read(mine)[0, 0] == 1


def test_a_solver_of_the_users_own(repo):
    class Theirs(icechunk.ConflictSolver):
        def solve(self, previous_change, previous_repo, current_changes, current_repo):
            from icechunk.conflicts.model import Patched

            changes = current_changes.copy()
            for node_id, coords in previous_change.updated_chunks.items():
                changes.chunks[node_id].drop(coords)
            return Patched(changes)

    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(mine, np.s_[:], 1)
    edit(theirs, cells((0, 0)), 2)
    theirs.commit("theirs")
    mine.commit("mine", rebase_with=Theirs())
    after = read(repo.readonly_session("main"))
    assert (after[cells((0, 0))] == 2).all()
    assert (after[cells((2, 1))] == 1).all()


@settings(max_examples=40)
@given(
    st.sets(st.sampled_from(CHUNKS), min_size=1),
    st.lists(st.sets(st.sampled_from(CHUNKS), min_size=1), min_size=1, max_size=3),
    st.lists(st.sampled_from(["ours", "theirs", "base"]), min_size=6, max_size=6),
    st.sampled_from([0, 512]),
)
def test_what_is_decided_is_what_is_read(ours, theirs, answers, threshold):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=threshold)
    repo, _ = with_grid(icechunk.in_memory_storage(), config)
    mine = repo.writable_session("main")
    for chunk in ours:
        edit(mine, cells(chunk), 1000)
    tip = GRID.copy()
    for number, chunks in enumerate(theirs):
        session = repo.writable_session("main")
        for chunk in chunks:
            edit(session, cells(chunk), 2000 + number)
            tip[cells(chunk)] = 2000 + number
        session.commit(f"theirs {number}")
    answer = dict(zip(CHUNKS, answers, strict=True))
    decisions = [
        {"path": "/a", "type": "ChunkDoubleUpdate", "choice": choice, "chunks": [list(chunk)]}
        for chunk, choice in answer.items()
    ]
    mine.rebase(icechunk.DecisionSolver(decisions))
    mine.commit("decided", allow_empty=True)
    touched = set().union(*theirs)
    expected = tip.copy()
    for chunk in ours:
        choice = answer[chunk] if chunk in touched else "ours"
        if choice == "ours":
            expected[cells(chunk)] = 1000
        elif choice == "base":
            expected[cells(chunk)] = GRID[cells(chunk)]
    np.testing.assert_array_equal(read(repo.readonly_session("main")), expected)


def test_base_of_a_chunk_that_was_not_there_is_the_fill_value():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=(6, 8), chunks=(2, 4), dtype="f4", fill_value=-1
    )
    session.commit("empty")
    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(mine, np.s_[0, 0], 1)
    edit(theirs, np.s_[0, 0], 2)
    theirs.commit("theirs")
    decision = {"path": "/a", "type": "ChunkDoubleUpdate", "choice": "base"}
    mine.rebase(icechunk.DecisionSolver([decision]))
    mine.commit("neither")
    assert (read(repo.readonly_session("main")) == -1).all()


def test_the_branch_reset_to_another_history(repo):
    root = list(repo.ancestry(branch="main"))[-1].id
    mine = repo.writable_session("main")
    edit(mine, np.s_[0, 0], 1)
    repo.create_branch("other", root)
    other = repo.writable_session("other")
    zarr.create_group(other.store)
    tip = other.commit("another root")
    repo.reset_branch("main", tip)
    with pytest.raises(icechunk.ConflictError):
        mine.commit("mine")
    assert mine.has_uncommitted_changes


def test_read_only_sessions_cannot_be_rebased(repo):
    session = repo.readonly_session("main")
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.rebase(icechunk.ConflictDetector())
    assert caught.value.kind == icechunk.ErrorKind.COMMIT_NOT_ALLOWED
    with pytest.raises(TypeError, match="ConflictSolver"):
        repo.writable_session("main").rebase(None)


def test_base_chunks_are_looked_up_together_and_only_in_their_manifests():
    """`base` for many chunks: from inside and outside of what the base held, split or not."""
    splitting = icechunk.ManifestSplittingConfig.from_dict(
        {icechunk.ManifestSplitCondition.AnyArray(): {icechunk.ManifestSplitDimCondition.Any(): 2}}
    )
    config = icechunk.RepositoryConfig(
        manifest=icechunk.ManifestConfig(splitting=splitting), inline_chunk_threshold_bytes=0
    )
    storage = icechunk.in_memory_storage()
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    array = zarr.create_array(
        session.store, name="a", shape=8, chunks=1, dtype="i4", fill_value=0, compressors=None
    )
    array[:6] = np.arange(1, 7)
    session.commit("base, without its last two chunks")
    for value in (10, 20):
        other = repo.writable_session("main")
        zarr.open_array(other.store, path="a")[:] = value
        if value == 10:
            mine = other
        else:
            other.commit("theirs")
    decisions = [
        {"path": "/a", "type": "ChunkDoubleUpdate", "choice": "ours"},
        {"path": "/a", "type": "ChunkDoubleUpdate", "choice": "base", "runs": [4, 3]},
    ]
    mine.rebase(icechunk.DecisionSolver(decisions))
    mine.commit("decided")
    found = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")[:]
    assert found.tolist() == [10, 10, 10, 10, 5, 6, 0, 10]


def test_references_of_the_common_base(repo):
    """What a solver may look up: the state both sides started from, in bulk or one by one."""
    met = []

    class Looking(icechunk.ConflictSolver):
        def solve(self, previous_change, previous_repo, current_changes, current_repo):
            node = current_repo.get("/a")
            coords = np.array(sorted(CHUNKS), np.uint32)
            table = current_repo.references(node.id, coords)
            met.append((coords, table, [current_repo.chunk(node.id, row) for row in CHUNKS]))
            absent = current_repo.references(type(node.id)(bytes(8)), coords)
            assert len(absent) == 0
            assert current_repo.chunk(node.id, (9, 9)) is None
            assert current_repo.chunk(node.id, (0,)) is None
            return icechunk.conflicts.Patched(current_changes)

    mine = repo.writable_session("main")
    edit(mine, cells((0, 0)), 100)
    theirs = repo.writable_session("main")
    edit(theirs, cells((0, 0)), 200)
    theirs.commit("theirs")
    mine.rebase(Looking())
    ((coords, table, places),) = met
    assert table.coords().tolist() == coords.tolist()
    assert [table.location(row) for row in range(len(table))] == places
