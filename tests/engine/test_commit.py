"""Commits: what they make visible, what they refuse, what a failure leaves behind."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import icechunk
from tests.repositories import edit, grid_array, read, storage_of, with_grid

GRID = np.arange(48, dtype="f4").reshape(6, 8)


@pytest.fixture(params=["memory", "local"])
def storage(request, tmp_path):
    return storage_of(request.param, tmp_path)


def test_a_commit_is_seen_by_others_and_by_later_handles(storage):
    repo, first = with_grid(storage)
    session = repo.writable_session("main")
    edit(session, np.s_[0:2], 100)
    assert (read(repo.readonly_session("main")) == GRID).all()
    second = session.commit("edit", {"who": "me"})
    assert repo.lookup_branch("main") == second
    expected = GRID.copy()
    expected[0:2] = 100
    again = icechunk.Repository.open(storage)
    assert (read(again.readonly_session("main")) == expected).all()
    assert (read(again.readonly_session(snapshot_id=first)) == GRID).all()
    messages = [(info.message, info.metadata.get("who")) for info in again.ancestry(branch="main")]
    assert messages == [("edit", "me"), ("a grid", None), ("Repository initialized", None)]


def test_a_committed_session_is_read_only_on_the_new_snapshot(storage):
    repo, _ = with_grid(storage)
    session = repo.writable_session("main")
    store = session.store
    edit(session, np.s_[0, 0], 5)
    snapshot_id = session.commit("edit")
    assert (session.read_only, session.branch) == (True, None)
    assert session.mode is icechunk.SessionMode.readonly
    assert session.snapshot_id == snapshot_id
    assert read(session)[0, 0] == 5
    assert store.read_only is False
    with pytest.raises(icechunk.ReadOnlyError) as caught:
        zarr.open_array(store, path="a", mode="r+")[0, 0] = 1
    assert caught.value.kind == icechunk.ErrorKind.READ_ONLY_STORE
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.commit("again")
    assert caught.value.kind == icechunk.ErrorKind.COMMIT_NOT_ALLOWED


def test_a_write_with_the_lock_held_never_waits_for_a_commit(storage):
    """After an interrupt: a commit waits for the lock while it has the turn."""
    repo, _ = with_grid(storage)
    session = repo.writable_session("main")
    transaction = session._transaction
    transaction._unclear = True  # as between an interrupt and the next look
    with transaction.lock, pytest.raises(icechunk.SessionStateError, match="Write again"):
        transaction.check_writable()
    edit(session, np.s_[0, 0], 5)
    session.commit("edit")


def test_nothing_to_commit(storage):
    repo, first = with_grid(storage)
    session = repo.writable_session("main")
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.commit("nothing")
    assert caught.value.kind == icechunk.ErrorKind.NO_CHANGES_TO_COMMIT
    assert "allow_empty" in str(caught.value)
    assert repo.lookup_branch("main") == first
    empty = session.commit("nothing", allow_empty=True)
    assert repo.lookup_branch("main") == empty


def test_the_slower_of_two_sessions_gets_a_conflict_and_keeps_its_changes(storage):
    repo, first = with_grid(storage)
    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(theirs, np.s_[0, 0], 1)
    edit(mine, np.s_[5, 7], 2)
    tip = theirs.commit("theirs")
    with pytest.raises(icechunk.ConflictError) as caught:
        mine.commit("mine")
    error = caught.value
    assert (error.expected_parent, error.actual_parent) == (first, tip)
    assert error.kind == icechunk.ErrorKind.COMMIT_CONFLICT
    assert mine.has_uncommitted_changes
    mine.rebase(icechunk.ConflictDetector())
    mine.commit("mine")
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[5, 7]) == (1, 2)


def test_rebase_with_records_its_attempts(storage):
    repo, _ = with_grid(storage)
    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(theirs, np.s_[0, 0], 1)
    edit(mine, np.s_[5, 7], 2)
    theirs.commit("theirs")
    mine.commit("mine", rebase_with=icechunk.ConflictDetector())
    info = next(iter(repo.ancestry(branch="main")))
    assert info.metadata == {"__icechunk": {"rebase_attempts": 1}}


def test_a_failed_commit_leaves_no_files_but_chunks(tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo, _ = with_grid(storage)
    mine, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(theirs, np.s_[0, 0], 1)
    edit(mine, np.s_[0, 0], 2)
    theirs.commit("theirs")
    before = {info.key for info in storage.list("")}
    with pytest.raises(icechunk.ConflictError):
        mine.commit("mine")
    assert {info.key for info in storage.list("")} == before


def test_a_branch_removed_meanwhile(storage):
    repo, first = with_grid(storage)
    repo.create_branch("dev", first)
    session = repo.writable_session("dev")
    edit(session, np.s_[0, 0], 1)
    repo.delete_branch("dev")
    before = {info.key for info in storage.list("")}
    for solver in (None, icechunk.ConflictDetector()):
        with pytest.raises(icechunk.RefNotFoundError) as failure:
            session.commit("late", rebase_with=solver)
        assert failure.value.kind == "branch-not-found"
    assert session.has_uncommitted_changes
    assert {info.key for info in storage.list("")} == before


def test_a_branch_removed_meanwhile_is_a_conflict_in_spec_1(storage):
    repo = icechunk.Repository.create(storage, spec_version=1)
    repo.create_branch("dev", repo.lookup_branch("main"))
    session = repo.writable_session("dev")
    zarr.create_group(session.store)
    repo.delete_branch("dev")
    before = {info.key for info in storage.list("")}
    for solver in (None, icechunk.ConflictDetector()):
        with pytest.raises(icechunk.ConflictError) as failure:
            session.commit("late", rebase_with=solver)
        assert (failure.value.expected_parent, failure.value.actual_parent) == (
            session.snapshot_id,
            None,
        )
        assert failure.value.kind == "commit-conflict"
    assert session.has_uncommitted_changes
    assert {info.key for info in storage.list("")} == before
    assert repo.list_branches() == {"main"}


def test_default_metadata_lies_under_the_commits_own(storage):
    repo, _ = with_grid(storage)
    repo.set_default_commit_metadata({"author": "a", "lab": "b"})
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    session.commit("edit", {"author": "c"})
    assert next(iter(repo.ancestry(branch="main"))).metadata == {"author": "c", "lab": "b"}


def test_small_chunks_are_inline_and_large_ones_are_packed(tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    grid_array(session.store, "small", (8, 8), (4, 4))
    grid_array(session.store, "large", (200, 200), (50, 50))
    session.commit("both")
    chunks = list(storage.list("chunks"))
    assert len(chunks) == 1  # 16 chunks of 10,000 bytes in one pack
    assert chunks[0].size == 16 * 10_000
    reopened = icechunk.Repository.open(storage).readonly_session("main")
    expected = np.arange(40_000, dtype="f4").reshape(200, 200)
    assert (read(reopened, "large") == expected).all()
    assert (read(reopened, "small") == np.arange(64, dtype="f4").reshape(8, 8)).all()


def test_small_arrays_share_a_manifest_and_later_edits_leave_the_others_alone(tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    for name in "abc":
        grid_array(session.store, name)
    session.commit("three")
    assert len(list(storage.list("manifests"))) == 1
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 9, "b")
    session.commit("one of them")
    assert len(list(storage.list("manifests"))) == 2
    tip = icechunk.Repository.open(storage).readonly_session("main")
    assert read(tip, "b")[0, 0] == 9
    for name in "ac":
        assert (read(tip, name) == GRID).all()


def splitting(chunks):
    from icechunk import (
        ManifestConfig,
        ManifestSplitCondition,
        ManifestSplitDimCondition,
        ManifestSplittingConfig,
        RepositoryConfig,
    )

    rule = {ManifestSplitCondition.AnyArray(): {ManifestSplitDimCondition.Any(): chunks}}
    return RepositoryConfig(
        inline_chunk_threshold_bytes=0,
        manifest=ManifestConfig(splitting=ManifestSplittingConfig.from_dict(rule)),
    )


def test_split_manifests_and_reuse(tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo, _ = with_grid(storage, splitting(1), shape=(6, 8), chunks=(2, 4))
    before = {info.key for info in storage.list("manifests")}
    assert len(before) == 6
    session = repo.writable_session("main")
    edit(session, np.s_[0:2, 0:4], 7)
    session.commit("one chunk")
    after = {info.key for info in storage.list("manifests")}
    assert len(after - before) == 1
    expected = GRID.copy()
    expected[0:2, 0:4] = 7
    assert (read(icechunk.Repository.open(storage).readonly_session("main")) == expected).all()


@settings(max_examples=25)
@given(
    st.sampled_from([1, 2, 5]),
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 7), st.integers(0, 7)),
            # whole chunks: of a chunk that is cut, Zarr keeps the cells beyond the edge
            st.tuples(
                st.just("resize"), st.sampled_from([0, 2, 4, 8]), st.sampled_from([0, 3, 6, 9])
            ),
            st.tuples(st.just("commit"), st.just(0), st.just(0)),
            st.tuples(st.just("discard"), st.just(0), st.just(0)),
        ),
        max_size=20,
    ),
)
def test_any_sequence_of_writes_resizes_and_commits_equals_numpy(cells, steps):
    repo, _ = with_grid(icechunk.in_memory_storage(), splitting(cells), shape=(8, 9), chunks=(2, 3))
    committed = np.arange(72, dtype="f4").reshape(8, 9)
    model = committed.copy()
    session = repo.writable_session("main")
    for number, (what, row, column) in enumerate(steps):
        if what == "write" and row < model.shape[0] and column < model.shape[1]:
            edit(session, np.s_[row, column], number)
            model[row, column] = number
        elif what == "resize":
            zarr.open_array(session.store, path="a", mode="r+").resize((row, column))
            resized = np.full((row, column), -1, "f4")
            keep = tuple(
                slice(0, min(a, b)) for a, b in zip(model.shape, (row, column), strict=True)
            )
            resized[keep] = model[keep]
            model = resized
        elif what == "commit":
            session.commit("step", allow_empty=True)
            committed = model.copy()
            session = repo.writable_session("main")
        elif what == "discard":
            session.discard_changes()
            model = committed.copy()
        np.testing.assert_array_equal(read(session), model)
    session.commit("end", allow_empty=True)
    np.testing.assert_array_equal(
        read(icechunk.Repository.open(repo.storage).readonly_session("main")), model
    )


def test_shrinking_then_growing_without_zarr_shows_the_fill_value(storage):
    repo, _ = with_grid(storage)
    session = repo.writable_session("main")
    store = session.store
    document = json.loads(store.get_sync("a/zarr.json").to_bytes())
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    for shape in ([2, 8], [6, 8]):
        text = json.dumps({**document, "shape": shape}).encode()
        store.set_sync("a/zarr.json", buffer.from_bytes(text))
    assert (read(session)[2:] == -1).all()
    session.commit("shrunk and grown")
    cells = read(repo.readonly_session("main"))
    assert (cells[:2] == GRID[:2]).all()
    assert (cells[2:] == -1).all()


async def test_the_asynchronous_twin(storage):
    repo, _ = with_grid(storage)
    session = await repo.writable_session_async("main")
    zarr.create_group(session.store, path="g")
    snapshot_id = await session.commit_async("from a loop")
    assert await repo.lookup_branch_async("main") == snapshot_id


def test_a_detached_snapshot_is_reached_by_id_only(storage):
    repo, first = with_grid(storage)
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 3)
    detached = session.flush("aside")
    assert repo.lookup_branch("main") == first
    assert read(repo.readonly_session(snapshot_id=detached))[0, 0] == 3
    repo.create_tag("kept", detached)
    assert read(repo.readonly_session(tag="kept"))[0, 0] == 3


def test_a_clock_that_is_behind_still_orders_commits(storage, monkeypatch):
    from icechunk.engine import flush

    repo, first = with_grid(storage)
    base = repo.lookup_snapshot(first).written_at
    behind = int(base.timestamp() * 1e6) - 5_000_000
    monkeypatch.setattr(flush, "now_us", lambda: behind)
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 3)
    session.commit("five seconds earlier")
    infos = list(repo.ancestry(branch="main"))
    assert infos[0].written_at > infos[1].written_at
    monkeypatch.setattr(flush, "now_us", lambda: behind - 3_600_000_000)
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 4)
    with pytest.raises(icechunk.SessionStateError, match="clock") as caught:
        session.commit("an hour earlier")
    assert caught.value.kind == icechunk.ErrorKind.CLOCK_SKEW
    assert session.has_uncommitted_changes
    assert infos[0].id == session.snapshot_id
