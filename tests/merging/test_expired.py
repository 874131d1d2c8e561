"""Merges and stashes whose common state expired, and merges whose second parent is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import zarr

from icechunk import ConflictType, Repository
from icechunk.core.errors import InvalidInputError, MergeConflictError
from icechunk.core.ids import parse_object_id
from icechunk.files.layout import log_key
from icechunk.merging.result import MergeResult
from tests.merging.test_laws import History
from tests.merging.worlds import array, branches, commit, new_repo, tree, values, write

BOTH = pytest.mark.parametrize("spec_version", [1, 2])
LATER = datetime(2900, 1, 1, tzinfo=UTC)


def expire(repo: Repository) -> Repository:
    """Remove all snapshots but tips and the root; a fresh handle."""
    repo.expire_snapshots(LATER)
    repo.garbage_collect(LATER)
    return Repository.open(repo.storage)


def forked(source: Any, target: Any, spec_version: int = 2) -> tuple[Repository, str]:
    """A repository with two branches whose fork point expired, and that fork point."""
    repo = new_repo(spec_version)
    base = repo.lookup_branch("main")
    branches(repo, source, target)
    again = expire(repo)
    with pytest.raises(Exception, match="not found"):
        again.readonly_session(snapshot_id=base)
    return again, base


def kinds(repo: Repository) -> list[tuple[ConflictType, str]]:
    found = repo.merge("f", dry_run=True).conflicts
    return [(one.conflict_type, one.path) for one in found]


class TestChunks:
    def test_disjoint_chunks(self) -> None:
        repo, base = forked(write(0, 2, 5), write(4, 6, 7))
        assert repo.merge_base("f", "main") == base
        result = repo.merge("f")
        assert result.conflicts == []
        assert result.changes.updated_chunks == {"/a": [[0]]}
        assert values(repo) == [5, 5, 1, 1, 7, 7, 1, 1]

    def test_the_same_chunk(self) -> None:
        repo, _ = forked(write(0, 4, 5), write(2, 6, 7))
        (found,) = repo.merge("f", dry_run=True).conflicts
        assert found.conflict_type == ConflictType.ChunkDoubleUpdate
        assert found.conflicted_chunks == [[1]]
        about = {"path": "/a", "type": "ChunkDoubleUpdate", "choice": "base"}
        # What the chunk was before is not known any more.
        assert kinds(repo) == [(ConflictType.ChunkDoubleUpdate, "/a")]
        with pytest.raises(MergeConflictError):
            repo.merge("f", decisions=[about])
        found = repo.merge("f", cells="auto", dry_run=True).conflicts
        assert [one.conflicted_chunks for one in found] == [[[1]]]
        repo.merge("f", prefer="source")
        assert values(repo) == [5, 5, 5, 5, 7, 7, 1, 1]

    def test_equal_writes(self) -> None:
        repo, _ = forked(write(0, 4, 5), write(2, 4, 5))
        repo.merge("f")
        assert values(repo) == [5, 5, 5, 5, 1, 1, 1, 1]

    def test_a_deleted_chunk_and_a_write(self) -> None:
        repo, _ = forked(write(0, 2, 0), write(1, 2, 7))
        assert kinds(repo) == [(ConflictType.ChunkDoubleUpdate, "/a")]

    def test_an_append_and_a_write(self) -> None:
        def append(root: zarr.Group) -> None:
            array(root).resize((10,))
            array(root)[8:] = 6

        repo, _ = forked(append, write(0, 2, 5))
        repo.merge("f")
        assert values(repo) == [5, 5, 1, 1, 1, 1, 1, 1, 6, 6]

    def test_a_shrink_and_a_write_beyond(self) -> None:
        repo, _ = forked(lambda root: array(root).resize((4,)), write(5, 6, 5))
        assert kinds(repo) == [(ConflictType.ChunksUpdatedBeyondResize, "/a")]


class TestNodes:
    def test_metadata_of_one_side(self) -> None:
        repo, _ = forked(lambda root: root["a"].attrs.update(u=1), write(0, 2, 5))
        repo.merge("f")
        assert values(repo)[:2] == [5, 5]
        assert tree(repo, branch="main")["/a"][0] == {"u": 1}

    @pytest.mark.parametrize("prefer", ["source", "target"])
    def test_metadata_of_both(self, prefer: str) -> None:
        repo, _ = forked(
            lambda root: root["a"].attrs.update(u=1), lambda root: root["a"].attrs.update(v=1)
        )
        assert kinds(repo) == [(ConflictType.BaseExpired, "/a")]
        repo.merge("f", prefer=prefer)
        assert tree(repo, branch="main")["/a"][0] == ({"u": 1} if prefer == "source" else {"v": 1})

    def test_a_deletion_is_no_new_node_of_the_other(self) -> None:
        def delete(root: zarr.Group) -> None:
            del root["a"]

        for source, target in ((delete, None), (None, delete)):
            new = lambda root: root.create_group("g")  # noqa: E731
            repo, _ = forked(source or new, target or new)
            repo.merge("f")
            assert set(tree(repo, branch="main")) == {"/", "/g"}

    def test_a_deletion_and_an_edit(self) -> None:
        def delete(root: zarr.Group) -> None:
            del root["a"]

        repo, _ = forked(delete, write(0, 2, 5))
        assert kinds(repo) == [(ConflictType.DeleteOfUpdatedArray, "/a")]
        repo, _ = forked(lambda root: root["a"].attrs.update(u=1), delete)
        assert kinds(repo) == [(ConflictType.ZarrMetadataUpdateOfDeletedArray, "/a")]

    def test_a_move_and_a_write(self) -> None:
        repo = new_repo()
        repo.create_branch("f", repo.lookup_branch("main"))
        session = repo.rearrange_session("f")
        session.move("/a", "/b")
        session.commit("move")
        commit(repo, "main", write(0, 2, 5))
        repo = expire(repo)
        repo.merge("f")
        assert values(repo, "b") == [5, 5, 1, 1, 1, 1, 1, 1]


class TestNothingIsKnown:
    """Format version 1 keeps no lists of expired snapshots; logs can be collected."""

    @pytest.fixture(params=["spec 1", "collected logs"])
    def repo(self, request: pytest.FixtureRequest) -> Repository:
        def layout(root: zarr.Group) -> None:
            for name in ("same", "edited", "deleted"):
                root.create_array(name, shape=(2,), chunks=(1,), dtype="i4", fill_value=0)[:] = 1

        def delete(root: zarr.Group) -> None:
            del root["deleted"]
            array(root, "edited")[0] = 5

        repo = new_repo(1 if request.param == "spec 1" else 2)
        fork = commit(repo, "main", layout, "fork")
        repo.create_branch("f", fork)
        commit(repo, "f", write(1, 2, 7, "edited"), "one")
        commit(repo, "f", lambda root: root.attrs.update(k=1), "two")
        commit(repo, "main", delete, "three")
        one = next(c.parent_id for c in repo.ancestry(branch="f"))
        repo = expire(repo)
        if request.param != "spec 1":
            assert one is not None
            assert repo.storage.delete([log_key(parse_object_id(one))]) == 1
        return Repository.open(repo.storage)

    def test_what_differs_is_a_conflict(self, repo: Repository) -> None:
        found = sorted(kinds(repo), key=lambda one: one[1])
        assert found == [
            (ConflictType.BaseExpired, "/"),
            (ConflictType.BaseExpired, "/deleted"),
            (ConflictType.ChunkDoubleUpdate, "/edited"),
        ]

    @pytest.mark.parametrize("prefer", ["source", "target"])
    def test_one_side_is_taken(self, repo: Repository, prefer: str) -> None:
        expected = tree(repo, branch="f" if prefer == "source" else "main")
        repo.merge("f", prefer=prefer)
        assert tree(repo, branch="main") == expected


@pytest.mark.parametrize("seed", range(200, 260))
def test_an_expired_base_changes_no_clean_merge(seed: int) -> None:
    history = History(seed, 2)
    known = history.merge(history.f, history.main, "before")
    expected = None if isinstance(known, MergeConflictError) else history.tree("before")
    repo = history.repo = expire(history.repo)
    for prefer in ("source", "target"):
        decided = history.merge(history.f, history.main, prefer, prefer)
        assert isinstance(decided, MergeResult)
    found = history.merge(history.f, history.main, "after")
    if isinstance(found, MergeConflictError):
        return
    assert expected is not None, "a conflict was lost"
    assert tree(repo, branch="after") == expected


def test_stash_over_an_expired_base() -> None:
    repo = new_repo()
    session = repo.writable_session("main")
    root = zarr.open_group(session.store)
    array(root)[0:2] = 5
    root.create_group("g")
    session.stash("work in progress")
    commit(repo, "main", write(4, 6, 7))
    commit(repo, "main", write(6, 8, 3))
    repo = expire(repo)
    session = repo.writable_session("main")
    array(zarr.open_group(session.store))[2:4] = 9
    session.pop_stash()
    session.commit("popped")
    assert values(repo) == [5, 5, 9, 9, 7, 7, 3, 3]
    assert "/g" in tree(repo, branch="main")


class TestSecondParentIsGone:
    @pytest.fixture(params=[1, 2])
    def repo(self, request: pytest.FixtureRequest) -> Repository:
        repo = new_repo(request.param)
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        repo.merge("f")
        repo.delete_branch("f")
        repo.garbage_collect(LATER)
        return Repository.open(repo.storage)

    def test_reading_the_history(self, repo: Repository) -> None:
        messages = [one.message for one in repo.ancestry(branch="main")]
        assert messages[:3] == ["Merge branch 'f' into main", "target", "base"]
        found = repo.blame("/a")
        owners = [found.messages[row] for row in found.commit]
        assert owners == ["Merge branch 'f' into main", "base", "target", "base"]

    def test_bisect(self, repo: Repository) -> None:
        good = [one.id for one in repo.ancestry(branch="main")][2]

        def test(session: Any) -> bool:
            return bool(array(zarr.open_group(session.store, mode="r"))[0] == 1)

        assert repo.bisect(good, "main", test).first_bad == (repo.lookup_branch("main"),)

    def test_reverting_to_it(self, repo: Repository) -> None:
        with pytest.raises(InvalidInputError, match="expired"):
            repo.revert(repo.lookup_branch("main"), on="main", parent=2)
        repo.revert(repo.lookup_branch("main"), on="main")
        assert values(repo) == [1, 1, 1, 1, 7, 7, 1, 1]

    def test_branching_and_merging_again(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 6), write(6, 8, 8))
        assert repo.merge("f").outcome == "merged"
        assert values(repo) == [6, 6, 1, 1, 7, 7, 8, 8]
