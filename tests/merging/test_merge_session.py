"""Merges that a session holds until they are decided and committed."""

from __future__ import annotations

import asyncio
import pickle
import random
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import (
    BasicConflictSolver,
    Conflict,
    ConflictDetector,
    ConflictType,
    DecisionSolver,
    Repository,
    Session,
)
from icechunk.core.errors import (
    ConflictError,
    InvalidInputError,
    MergeConflictError,
    RefNotFoundError,
    SessionStateError,
    SnapshotNotFoundError,
)
from icechunk.spec.repo.lineage import LINEAGE_KEY
from tests.merging.test_laws import History, check_log, commits
from tests.merging.worlds import array, branches, commit, new_repo, tree, values, write
from tests.session.test_interrupted import Interrupting, then_stop

BOTH = pytest.mark.parametrize("spec_version", [1, 2])
CHUNKS = "ChunkDoubleUpdate"


@pytest.fixture
def repo() -> Repository:
    return new_repo()


def shown(session: Session, name: str = "a") -> list[Any]:
    """Values of an array as a session sees them."""
    found = array(zarr.open_group(session.store, mode="r"), name)[...]
    return list(found.tolist())  # type: ignore[union-attr]


def put(session: Session, start: int, stop: int, value: int) -> None:
    array(zarr.open_group(session.store))[start:stop] = value


def contested(repo: Repository) -> None:
    """Chunks 0 and 1 are changed by both branches, 2 by the source, 3 by the target."""
    branches(repo, write(0, 6, 5), write(0, 4, 7))
    commit(repo, "main", write(6, 8, 7))


class TestLaying:
    @BOTH
    def test_the_merge_is_uncommitted_changes(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        source, target = branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        assert shown(session) == [5, 5, 1, 1, 7, 7, 1, 1]
        assert session.status().updated_chunks == {"/a": [[0]]}
        assert session.has_uncommitted_changes
        assert not session.read_only
        assert session.merging is not None
        assert session.merging.source_ids == (source,)
        assert session.merging.names == ("f",)
        assert session.merging.message("main") == "Merge branch 'f' into main"
        assert session.merging.base_id == repo.merge_base("f", "main")
        assert (session.snapshot_id, session.branch) == (target, "main")
        assert repo.lookup_branch("main") == target
        new = session.commit("merge")
        assert repo.lookup_branch("main") == new
        assert values(repo) == [5, 5, 1, 1, 7, 7, 1, 1]
        check_log(repo, target, new)
        info = repo.lookup_snapshot(new)
        assert info.metadata[LINEAGE_KEY]["parents"] == [target, source]
        assert info.metadata[LINEAGE_KEY]["base"] == repo.lookup_snapshot(source).parent_id
        assert session.merging is None
        assert session.read_only
        assert repo.merge("f").outcome == "up-to-date"

    def test_several_sources(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        repo.create_branch("g", repo.lookup_snapshot(repo.lookup_branch("f")).parent_id or "")
        commit(repo, "g", write(2, 4, 6))
        session = repo.merge_session(["f", "g"])
        assert shown(session) == [5, 5, 6, 6, 7, 7, 1, 1]
        lineage = repo.lookup_snapshot(session.commit("both")).metadata[LINEAGE_KEY]
        assert len(lineage["parents"]) == 3

    def test_a_branch_that_could_move_gets_a_commit(self, repo: Repository) -> None:
        source, target = branches(repo, write(0, 2, 5), None)
        new = repo.merge_session("f").commit("merge")
        assert repo.lookup_snapshot(new).parent_id == target
        assert tree(repo, branch="main") == tree(repo, snapshot_id=source)

    def test_nothing_to_merge(self, repo: Repository) -> None:
        branches(repo, None, write(0, 2, 5))
        with pytest.raises(SessionStateError, match="f is merged into main already"):
            repo.merge_session("f")

    def test_bad_input(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), None)
        with pytest.raises(RefNotFoundError):
            repo.merge_session("nowhere")
        with pytest.raises(RefNotFoundError):
            repo.merge_session("f", into="nowhere")
        with pytest.raises(InvalidInputError, match="`prefer`"):
            repo.merge_session("f", prefer="ours")
        ordinary = repo.writable_session("main")
        with pytest.raises(SessionStateError, match="holds no merge"):
            ordinary.solve(prefer="source")

    @pytest.mark.parametrize("spec_version", [1, 2])
    @pytest.mark.parametrize("seed", range(200, 230))
    def test_a_session_makes_the_commit_that_merge_makes(
        self, seed: int, spec_version: int
    ) -> None:
        history = History(seed, spec_version)
        repo = history.repo
        for prefer in ("source", "target"):
            result = repo.merge(history.f, "main", prefer=prefer, dry_run=True)
            if result.outcome == "up-to-date":
                return
            for way in ("direct", "session"):
                repo.create_branch(f"{prefer}-{way}", history.main)
            repo.merge(history.f, f"{prefer}-direct", prefer=prefer, fast_forward="never")
            session = repo.merge_session(history.f, f"{prefer}-session", prefer=prefer)
            assert session.conflicts().conflicts == []
            expected = history.tree(f"{prefer}-direct")
            stashed = session.stash()
            session = repo.writable_session(f"{prefer}-session")
            session.pop_stash(stashed)
            new = session.commit("merge")
            assert history.tree(f"{prefer}-session") == expected
            check_log(repo, history.main, new)

    def test_nodes_that_change_places_beside_other_changes(self, repo: Repository) -> None:
        def more(root: zarr.Group) -> None:
            root.create_array("b", shape=(2,), chunks=(2,), dtype="i4")[:] = 2

        commit(repo, "main", more)
        branches(repo, None, write(0, 2, 7))
        session = repo.rearrange_session("f")
        session.move("/a", "/t")
        session.move("/b", "/a")
        session.move("/t", "/b")
        session.commit("swap")

        def change(root: zarr.Group) -> None:
            root["b"].attrs["units"] = "m"
            array(root, "b")[6:8] = 5
            root.create_group("g")

        commit(repo, "f", change)
        session = repo.rearrange_session("f")
        session.move("/a", "/g/a")
        session.commit("into a new group")
        session = repo.merge_session("f")
        assert shown(session, "b") == [7, 7, 1, 1, 1, 1, 5, 5]
        put_name = zarr.open_group(session.store)
        array(put_name, "b")[2:4] = 9
        before = session.snapshot_id
        new = session.commit("merge")
        assert values(repo, "b") == [7, 7, 9, 9, 1, 1, 5, 5]
        assert values(repo, "g/a") == [2, 2]
        check_log(repo, before, new)


class TestDeciding:
    def test_open_conflicts_are_not_committed(self, repo: Repository) -> None:
        contested(repo)
        tip = repo.lookup_branch("main")
        session = repo.merge_session("f")
        report = session.conflicts()
        found = [(one.conflict_type, one.path, one.conflicted_chunks) for one in report.conflicts]
        assert found == [(ConflictType.ChunkDoubleUpdate, "/a", [[0], [1]])]
        assert (report.branch, report.tip) == ("main", tip)
        assert (report.base, report.snapshot) == (
            repo.merge_base("f", "main"),
            repo.lookup_branch("f"),
        )
        assert shown(session) == [7, 7, 7, 7, 5, 5, 7, 7]
        with pytest.raises(MergeConflictError) as caught:
            session.commit("merge")
        assert caught.value.conflicts == report.conflicts
        assert repo.lookup_branch("main") == tip
        assert session.conflicts() == report

    def test_decisions_one_after_the_other(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f")
        left = session.solve([{"path": "/a", "type": CHUNKS, "choice": "source", "chunks": [[0]]}])
        assert [one.conflicted_chunks for one in left.conflicts] == [[[1]]]
        assert shown(session) == [5, 5, 7, 7, 5, 5, 7, 7]
        left = session.solve(DecisionSolver([{"path": "/a", "type": CHUNKS, "choice": "theirs",
                                              "chunks": [[1]]}]))  # fmt: skip
        assert len(left) == 0
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "base", "chunks": [[0]]}])
        assert shown(session) == [1, 1, 7, 7, 5, 5, 7, 7]
        session.commit("merge")
        assert values(repo) == [1, 1, 7, 7, 5, 5, 7, 7]

    def test_a_decision_about_all_chunks_is_about_those_in_conflict(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f")
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "source"}])
        assert session.merging is not None
        assert [one.to_dict() for one in session.merging.decisions] == [
            {"path": "/a", "type": CHUNKS, "choice": "ours", "chunks": [[0], [1]]}
        ]
        session.solve([], replace=True)
        assert len(session.conflicts()) == 1
        session.solve(prefer="target")
        assert len(session.conflicts()) == 0
        assert shown(session) == [7, 7, 7, 7, 5, 5, 7, 7]

    def test_a_function_decides(self, repo: Repository) -> None:
        def both(root: zarr.Group) -> None:
            write(0, 2, 5)(root)
            root.attrs["who"] = "f"

        def other(root: zarr.Group) -> None:
            write(0, 2, 7)(root)
            root.attrs["who"] = "main"

        branches(repo, both, other)
        session = repo.merge_session("f")
        asked: list[Conflict] = []

        def solver(conflict: Conflict) -> Any:
            asked.append(conflict)
            if conflict.path == "/a":
                return "source"
            return {"choice": "merge", "keys": {"/attributes/who": "target"}}

        assert len(session.solve(solver)) == 0
        assert sorted(one.path for one in asked) == ["/", "/a"]
        assert zarr.open_group(session.store, mode="r").attrs["who"] == "main"
        assert shown(session)[0] == 5
        with pytest.raises(TypeError, match="the solver returned 7"):
            repo.merge_session("f").solve(lambda _: 7)

    def test_decided_by_the_solver_of_a_commit(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f")
        with pytest.raises(TypeError, match="does not decide conflicts of a merge"):
            session.commit("merge", rebase_with=BasicConflictSolver())
        decisions = [{"path": "/a", "type": CHUNKS, "choice": "ours"}]
        session.commit("merge", rebase_with=DecisionSolver(decisions))
        assert values(repo) == [5, 5, 5, 5, 5, 5, 7, 7]

    def test_the_source_of_a_deletion(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), lambda root: root.__delitem__("a"))
        session = repo.merge_session("f")
        assert [one.conflict_type for one in session.conflicts().conflicts] == [
            ConflictType.ChunksUpdatedInDeletedArray
        ]
        session.solve(lambda _: "source")
        session.commit("merge")
        assert values(repo)[:3] == [5, 5, 1]
        with pytest.raises(InvalidInputError, match="must be 'theirs'"):
            DecisionSolver([{"path": "/a", "type": "ChunksUpdatedInDeletedArray",
                             "choice": "ours"}])  # fmt: skip

    def test_what_is_not_a_decision(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f")
        before = session.revision
        with pytest.raises(TypeError, match="does not decide conflicts of a merge"):
            session.solve("source")  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="`prefer`"):
            session.solve(prefer="ours")
        assert session.revision == before

    def test_own_values_stay_on_top(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f", decisions=[{"path": "/a", "type": CHUNKS,
                                                      "choice": "target"}])  # fmt: skip
        put(session, 0, 2, 6)
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "source", "chunks": [[0], [1]]}])
        assert shown(session) == [6, 6, 5, 5, 5, 5, 7, 7]
        session.commit("merge")
        assert values(repo) == [6, 6, 5, 5, 5, 5, 7, 7]


class TestMovedBranch:
    def test_decisions_about_what_is_unchanged_stay(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f")
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "source"}])
        tip = commit(repo, "main", write(0, 2, 8))
        with pytest.raises(MergeConflictError) as caught:
            session.commit("merge")
        assert [one.conflicted_chunks for one in caught.value.conflicts] == [[[0]]]
        assert repo.lookup_branch("main") == tip
        assert session.snapshot_id == tip
        assert shown(session) == [8, 8, 5, 5, 5, 5, 7, 7]
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "target", "chunks": [[0]]}])
        new = session.commit("merge")
        assert values(repo) == [8, 8, 5, 5, 5, 5, 7, 7]
        assert repo.lookup_snapshot(new).metadata[LINEAGE_KEY]["parents"][0] == tip

    def test_kept_decisions_are_those_of_deciding_afresh(self, repo: Repository) -> None:
        contested(repo)
        decisions = [{"path": "/a", "type": CHUNKS, "choice": "source"}]
        session = repo.merge_session("f", decisions=decisions)
        commit(repo, "main", write(6, 8, 9))
        repo.create_branch("afresh", repo.lookup_branch("main"))
        session.commit("merge")
        repo.merge("f", "afresh", decisions=decisions)
        assert tree(repo, branch="main") == tree(repo, branch="afresh")

    def test_decisions_about_metadata(self, repo: Repository) -> None:
        def named(name: str) -> Any:
            return lambda root: root["a"].attrs.update({"name": name})

        branches(repo, named("f"), named("main"))
        session = repo.merge_session("f")
        session.solve(lambda _: "source")
        commit(repo, "main", write(0, 2, 8))
        session.rebase(ConflictDetector())
        assert len(session.conflicts()) == 0
        commit(repo, "main", named("other"))
        session.rebase(ConflictDetector())
        assert len(session.conflicts()) == 1
        session.solve(lambda _: "target")
        session.commit("merge")
        root = zarr.open_group(repo.readonly_session("main").store, mode="r")
        assert root["a"].attrs["name"] == "other"

    def test_the_source_that_moves_does_not_matter(self, repo: Repository) -> None:
        source, _ = branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        commit(repo, "f", write(2, 4, 5))
        commit(repo, "main", write(6, 8, 8))
        new = session.commit("merge")
        assert repo.lookup_snapshot(new).metadata[LINEAGE_KEY]["parents"][1] == source
        assert values(repo) == [5, 5, 1, 1, 7, 7, 8, 8]

    def test_own_values_that_conflict(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        put(session, 6, 8, 6)
        before = session.snapshot_id
        commit(repo, "main", write(6, 8, 8))
        with pytest.raises(MergeConflictError, match="what the session wrote"):
            session.commit("merge")
        assert session.snapshot_id == before
        assert shown(session) == [5, 5, 1, 1, 7, 7, 6, 6]
        session.rebase(DecisionSolver([{"path": "/a", "type": CHUNKS, "choice": "ours"}]))
        session.commit("merge")
        assert values(repo) == [5, 5, 1, 1, 7, 7, 6, 6]

    def test_merged_by_another_meanwhile(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        repo.merge("f")
        with pytest.raises(SessionStateError, match="merged into main already"):
            session.commit("merge")
        assert session.merging is None
        assert not session.has_uncommitted_changes

    @BOTH
    def test_a_deleted_branch(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        repo.create_branch("other", repo.lookup_branch("main"))
        branches(repo, write(0, 4, 5), None)
        commit(repo, "other", write(0, 4, 7))
        session = repo.merge_session("f", into="other", prefer=None)
        session.solve(lambda _: "source")
        tip = repo.lookup_branch("other")
        repo.delete_branch("other")
        with pytest.raises(RefNotFoundError, match="keeps its decisions"):
            session.commit("merge")
        assert session.merging is not None
        assert len(session.merging.decisions) == 1
        repo.create_branch("other", tip)
        session.commit("merge")
        assert values(repo, branch="other") == [5, 5, 5, 5, 1, 1, 1, 1]

    @BOTH
    def test_a_commit_that_loses_the_race(self, spec_version: int) -> None:
        storage = Interrupting(icechunk.in_memory_storage())
        repo = new_repo(spec_version, storage)
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        storage.before_snapshot = lambda: commit(repo, "main", write(6, 8, 8))
        with pytest.raises(ConflictError):
            session.commit("merge", rebase_tries=0)
        storage.before_snapshot = lambda: commit(repo, "main", write(6, 8, 9))
        session.commit("merge", rebase_tries=1)
        assert values(repo) == [5, 5, 1, 1, 7, 7, 9, 9]

    @BOTH
    def test_a_commit_that_is_interrupted_after_it_was_carried_out(self, spec_version: int) -> None:
        storage = Interrupting(icechunk.in_memory_storage())
        repo = new_repo(spec_version, storage)
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        storage.once = then_stop
        with pytest.raises(KeyboardInterrupt):
            session.commit("merge")
        tip = repo.lookup_branch("main")
        assert session.read_only
        assert session.merging is None
        assert session.commit("merge") == tip == repo.lookup_branch("main")

    @BOTH
    def test_a_source_that_was_collected(self, spec_version: int, tmp_path: Path) -> None:
        repo = new_repo(spec_version, icechunk.local_filesystem_storage(str(tmp_path)))
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        repo.delete_branch("f")
        repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
        tip = repo.lookup_branch("main")
        with pytest.raises(SnapshotNotFoundError):
            session.commit("merge")
        tip = commit(repo, "main", write(6, 8, 8))
        session = pickle.loads(pickle.dumps(session))
        with pytest.raises(SnapshotNotFoundError, match="f, which is merged, is not in the repo"):
            session.commit("merge")
        assert session.merging is not None
        assert repo.lookup_branch("main") == tip

    @pytest.mark.parametrize("seed", range(300, 330))
    def test_kept_decisions_on_random_histories(self, seed: int) -> None:
        history = History(seed, 2)
        repo = history.repo
        for branch in ("moved", "afresh"):
            repo.create_branch(branch, history.main)
        if repo.merge_base("f", "moved") == history.f:
            commit(repo, "f", lambda root: root.attrs.update(k=1))
        session = repo.merge_session("f", "moved")
        session.solve(by_its_name)
        commits(repo, "moved", random.Random(seed), 2)
        repo.reset_branch("afresh", repo.lookup_branch("moved"))
        afresh = repo.merge_session("f", "afresh")
        afresh.solve(by_its_name)
        session.rebase(ConflictDetector())
        kept = session.merging
        session.solve(by_its_name)
        assert kept is not None
        assert session.conflicts().conflicts == afresh.conflicts().conflicts
        if not session.conflicts().conflicts:
            session.commit("merge")
            afresh.commit("merge")
            assert history.tree("moved") == history.tree("afresh")


def by_its_name(conflict: Conflict) -> Any:
    """A choice that depends on nothing but the kind, the path and the chunk."""

    def side(*what: object) -> str:
        return ("source", "target")[zlib.crc32(repr(what).encode()) % 2]

    kind = conflict.conflict_type
    if conflict.conflicted_chunks is not None:
        return [
            {"choice": side(conflict.path, chunk), "chunks": [chunk]}
            for chunk in conflict.conflicted_chunks
        ]
    if kind is ConflictType.NewNodeInInvalidGroup:
        return "target"
    return side(kind.name, conflict.path)


class TestTravel:
    def test_pickled_with_its_decisions(self, tmp_path: Path) -> None:
        repo = new_repo(storage=icechunk.local_filesystem_storage(str(tmp_path)))
        contested(repo)
        session = repo.merge_session("f")
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "source", "chunks": [[0]]}])
        put(session, 6, 8, 6)
        there = pickle.loads(pickle.dumps(session))
        assert there.merging.decisions == session.merging.decisions  # type: ignore[union-attr]
        assert there.conflicts() == session.conflicts()
        there.solve(prefer="target")
        there.commit("merge")
        assert values(repo) == [5, 5, 7, 7, 5, 5, 6, 6]

    def test_forks_write_to_it(self, tmp_path: Path) -> None:
        repo = new_repo(storage=icechunk.local_filesystem_storage(str(tmp_path)))
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        fork = pickle.loads(pickle.dumps(session.fork()))
        put(fork, 2, 4, 6)
        session.merge(fork)
        session.commit("merge")
        assert values(repo) == [5, 5, 6, 6, 7, 7, 1, 1]

    @BOTH
    def test_stashed_and_resumed_elsewhere(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        contested(repo)
        session = repo.merge_session("f")
        session.solve([{"path": "/a", "type": CHUNKS, "choice": "source", "chunks": [[1]]}])
        put(session, 6, 8, 6)
        session.stash("half done")
        assert session.merging is None
        assert shown(session) == [7, 7, 7, 7, 1, 1, 7, 7]
        assert repo.stashes()[0].merges == ("f",)
        assert repo.stashes()[0].to_dict()["merges"] == ["f"]
        repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
        commit(repo, "main", lambda root: root.attrs.update({"moved": 1}))
        again = Repository.open(repo.storage).writable_session("main")
        again.pop_stash()
        assert repo.stashes() == []
        assert [one.conflicted_chunks for one in again.conflicts().conflicts] == [[[0]]]
        assert shown(again) == [7, 7, 5, 5, 5, 5, 6, 6]
        again.solve(prefer="source")
        new = again.commit("merge")
        assert len(repo.lookup_snapshot(new).metadata[LINEAGE_KEY]["parents"]) == 2
        assert values(repo) == [5, 5, 5, 5, 5, 5, 6, 6]

    def test_stashed_with_nothing_decided(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(0, 2, 7))
        session = repo.merge_session("f")
        assert not session.has_uncommitted_changes
        session.stash()
        session.pop_stash()
        assert len(session.conflicts()) == 1

    def test_resumed_only_in_a_clean_session(self, repo: Repository) -> None:
        contested(repo)
        repo.merge_session("f").stash()
        session = repo.writable_session("main")
        put(session, 0, 2, 3)
        with pytest.raises(SessionStateError, match="without uncommitted changes"):
            session.pop_stash()
        assert len(repo.stashes()) == 1
        with pytest.raises(SessionStateError, match="writable_session"):
            repo.rearrange_session("main").pop_stash()

    def test_given_up(self, repo: Repository) -> None:
        contested(repo)
        session = repo.merge_session("f")
        session.discard_changes()
        assert session.merging is None
        assert not session.has_uncommitted_changes
        put(session, 0, 2, 3)
        info = repo.lookup_snapshot(session.commit("ordinary"))
        assert LINEAGE_KEY not in info.metadata

    def test_other_verbs(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        session = repo.merge_session("f")
        for verb in (session.amend, session.flush):
            with pytest.raises(SessionStateError, match="holds a merge"):
                verb("no")
        assert "merging: f" in str(session)
        session.commit("merge")
        with pytest.raises(SessionStateError):
            session.solve(prefer="source")

    def test_async(self, repo: Repository) -> None:
        contested(repo)

        async def run() -> str:
            session = await repo.merge_session_async("f")
            await session.solve_async(prefer="source")
            return await session.commit_async("merge")

        assert asyncio.run(run()) == repo.lookup_branch("main")
        assert values(repo) == [5, 5, 5, 5, 5, 5, 7, 7]


class TestCells:
    """Chunks whose cells are merged, at the opening or by a decision."""

    @pytest.fixture
    def cells(self, repo: Repository) -> Repository:
        branches(repo, write(0, 1, 5), write(1, 2, 7))
        return repo

    def test_merged_at_the_opening(self, cells: Repository) -> None:
        assert len(cells.merge_session("f").conflicts()) == 1
        session = cells.merge_session("f", cells="auto", tolerance={"abs": 0.0})
        assert len(session.conflicts()) == 0
        session.stash()
        commit(cells, "main", write(4, 6, 9))
        session = cells.writable_session("main")
        session.pop_stash()
        assert shown(session) == [5, 7, 1, 1, 9, 9, 1, 1]
        session.commit("merge")
        assert values(cells) == [5, 7, 1, 1, 9, 9, 1, 1]

    def test_decided(self, cells: Repository) -> None:
        session = cells.merge_session("f")
        session.solve(lambda _: "cells")
        put(session, 6, 8, 3)
        commit(cells, "main", write(4, 6, 9))
        session.commit("merge")
        assert values(cells) == [5, 7, 1, 1, 9, 9, 3, 3]

    @BOTH
    def test_rows_that_both_appended(self, spec_version: int) -> None:
        repo = new_repo(spec_version)

        def append(value: int, count: int) -> Any:
            return lambda root: array(root).append(np.full(count, value, "i4"))

        branches(repo, append(5, 4), append(7, 3))
        session = repo.merge_session("f")
        (conflict,) = session.conflicts().conflicts
        assert conflict.conflict_type is ConflictType.AppendDoubleUpdate
        assert shown(session) == [1] * 8 + [7] * 3
        assert len(session.solve(lambda _: "source then target")) == 0
        put(session, 0, 2, 3)
        session.stash()
        commit(repo, "main", lambda root: root.attrs.update({"moved": 1}))
        session = repo.writable_session("main")
        session.pop_stash()
        assert len(session.conflicts()) == 0
        session.commit("merge")
        assert values(repo) == [3] * 2 + [1] * 6 + [5] * 4 + [7] * 3
