"""Stashes, and restoring nodes from other states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import zarr

from icechunk import Repository
from icechunk.core.errors import (
    InvalidInputError,
    MergeConflictError,
    NodeNotFoundError,
    ReadOnlyError,
    RefNotFoundError,
    SessionStateError,
)
from tests.merging.worlds import array, branches, commit, new_repo, values, write

BOTH = pytest.mark.parametrize("spec_version", [1, 2])


@pytest.fixture
def repo() -> Repository:
    return new_repo()


class TestStash:
    @BOTH
    def test_pop_on_another_base(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        session = repo.writable_session("main")
        root = zarr.open_group(session.store, mode="a")
        array(root)[4:6] = 7
        root.create_array("n", shape=(2,), chunks=(1,), dtype="i4")[:] = 3
        root["a"].attrs["units"] = "m"
        stashed = session.stash("work in progress")
        assert not session.has_uncommitted_changes
        assert array(zarr.open_group(session.store, mode="r"))[4] == 1
        found = repo.stashes()
        assert [(one.snapshot_id, one.message, one.branch) for one in found] == [
            (stashed, "work in progress", "main")
        ]
        commit(repo, "main", write(0, 2, 5))
        session = repo.writable_session("main")
        array(zarr.open_group(session.store))[6:8] = 9
        session.pop_stash()
        assert repo.stashes() == []
        session.commit("popped")
        assert values(repo) == [5, 5, 1, 1, 7, 7, 9, 9]
        assert values(repo, "n") == [3, 3]

    def test_a_conflict_keeps_both(self, repo: Repository) -> None:
        session = repo.writable_session("main")
        array(zarr.open_group(session.store))[0:2] = 5
        session.stash()
        array(zarr.open_group(session.store))[0:2] = 7
        with pytest.raises(MergeConflictError):
            session.pop_stash()
        assert array(zarr.open_group(session.store))[0] == 7
        assert len(repo.stashes()) == 1
        session.pop_stash(prefer="source")
        assert array(zarr.open_group(session.store))[0] == 5
        assert repo.stashes() == []

    def test_several(self, repo: Repository) -> None:
        session = repo.writable_session("main")
        for value in (5, 6, 7):
            array(zarr.open_group(session.store))[0:2] = value
            session.stash(str(value))
        assert [(one.index, one.message) for one in repo.stashes()] == [
            (0, "7"),
            (1, "6"),
            (2, "5"),
        ]
        repo.drop_stash(1)
        session.pop_stash(1)
        assert array(zarr.open_group(session.store))[0] == 5
        assert [one.message for one in repo.stashes()] == ["7"]
        with pytest.raises(RefNotFoundError, match="no stash 4: there are 1, numbered from 0"):
            repo.drop_stash(4)

    @BOTH
    def test_hidden_and_safe_from_maintenance(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        session = repo.writable_session("main")
        array(zarr.open_group(session.store))[0:2] = 5
        session.stash()
        assert repo.list_branches() == {"main"}
        assert set(repo.history()["branches"]) == {"main"}
        later = datetime.now(UTC) + timedelta(days=1)
        repo.expire_snapshots(later, delete_expired_branches=True)
        repo.garbage_collect(later)
        session = repo.writable_session("main")
        session.pop_stash(prefer="source")
        assert array(zarr.open_group(session.store))[0] == 5

    def test_a_stashed_move(self, repo: Repository) -> None:
        session = repo.rearrange_session("main")
        session.move("/a", "/b")
        session.stash("rename")
        assert not session.has_uncommitted_changes
        session = repo.rearrange_session("main")
        session.pop_stash()
        session.commit("renamed")
        assert values(repo, "b") == [1] * 8

    def test_refused(self, repo: Repository) -> None:
        session = repo.writable_session("main")
        with pytest.raises(SessionStateError, match="no uncommitted changes"):
            session.stash()
        with pytest.raises(ReadOnlyError):
            repo.readonly_session("main").stash()
        array(zarr.open_group(session.store))[0:2] = 5
        fork = session.fork()
        array(zarr.open_group(fork.store))[0:2] = 6
        with pytest.raises(SessionStateError, match="a fork cannot be stashed"):
            fork.stash()


class TestRestore:
    def test_a_deleted_array(self, repo: Repository) -> None:
        before = repo.lookup_branch("main")
        commit(repo, "main", lambda root: root.__delitem__("a"))
        session = repo.writable_session("main")
        session.restore("/a", before)
        session.commit("back")
        assert values(repo) == [1] * 8

    def test_a_group_loses_what_is_new(self, repo: Repository) -> None:
        def layout(root: zarr.Group) -> None:
            root.create_group("g").create_array("x", shape=(2,), chunks=(1,), dtype="i4")[:] = 1

        before = commit(repo, "main", layout)

        def change(root: zarr.Group) -> None:
            array(root, "g/x")[0] = 9
            root["g"].create_group("new")
            array(root)[0] = 9

        commit(repo, "main", change)
        session = repo.writable_session("main")
        session.restore("/g", before)
        root = zarr.open_group(session.store)
        assert array(root, "g/x")[...].tolist() == [1, 1]
        assert "new" not in root["g"]
        assert array(root)[0] == 9

    def test_a_region(self, repo: Repository) -> None:
        before, _ = repo.lookup_branch("main"), branches(repo, None, write(0, 8, 5))
        session = repo.writable_session("main")
        session.restore("/a", before, (slice(1, 4),))
        assert array(zarr.open_group(session.store))[...].tolist() == [5, 1, 1, 1, 5, 5, 5, 5]
        with pytest.raises(InvalidInputError, match="not inside"):
            session.restore("/a", before, (slice(1, 40),))

    def test_no_such_node(self, repo: Repository) -> None:
        session = repo.writable_session("main")
        with pytest.raises(NodeNotFoundError, match="neither in the session nor in"):
            session.restore("/nowhere", "main")
        assert not session.has_uncommitted_changes
