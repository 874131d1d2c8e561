"""Merging branches: what is merged without a question, what is a conflict, and what is decided."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import zarr

import icechunk
from icechunk import ConflictType, Repository
from icechunk.core.errors import InvalidInputError, MergeConflictError, RefNotFoundError
from icechunk.spec.repo.lineage import LINEAGE_KEY
from tests.merging.worlds import array, branches, commit, new_repo, tree, values, write

BOTH = pytest.mark.parametrize("spec_version", [1, 2])


@pytest.fixture
def repo() -> Repository:
    return new_repo()


def resize(length: int, name: str = "a") -> Any:
    return lambda root: array(root, name).resize((length,))


def attribute(key: str, value: Any, name: str = "a") -> Any:
    return lambda root: root[name].attrs.update({key: value})


def delete(name: str) -> Any:
    def edit(root: zarr.Group) -> None:
        del root[name]

    return edit


def make(name: str, value: int = 1, **metadata: Any) -> Any:
    def edit(root: zarr.Group) -> None:
        given = {"shape": (4,), "chunks": (2,), "dtype": "i4"} | metadata
        root.create_array(name, **given)[:] = value

    return edit


def conflicts(repo: Repository, source: str = "f", into: str = "main") -> list[Any]:
    """Kinds and paths of the conflicts, after checking that refusing changed nothing."""
    before = repo.lookup_branch(into)
    found = repo.merge(source, into=into, dry_run=True)
    with pytest.raises(MergeConflictError) as caught:
        repo.merge(source, into=into)
    assert caught.value.conflicts == found.conflicts
    assert repo.lookup_branch(into) == before
    return [(one.conflict_type, one.path) for one in found.conflicts]


class TestHistories:
    @BOTH
    def test_disjoint_chunks(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        source, target = branches(repo, write(0, 2, 5), write(4, 6, 7))
        result = repo.merge("f")
        assert result.outcome == "merged"
        assert values(repo) == [5, 5, 1, 1, 7, 7, 1, 1]
        tip = next(iter(repo.ancestry(branch="main")))
        assert (tip.id, tip.parent_id) == (result.snapshot_id, target)
        assert tip.message == "Merge branch 'f' into main"
        assert tip.metadata[LINEAGE_KEY]["parents"] == [target, source]
        assert repo.diff(from_snapshot_id=target, to_branch="main").updated_chunks == {"/a": [[0]]}

    @BOTH
    def test_fast_forward(self, spec_version: int) -> None:
        repo = new_repo(spec_version)
        source, _ = branches(repo, write(0, 2, 5), None)
        assert repo.merge("f", fast_forward="only", dry_run=True).outcome == "fast-forward"
        result = repo.merge("f", fast_forward="only")
        assert (result.outcome, result.snapshot_id) == ("fast-forward", source)
        assert repo.lookup_branch("main") == source
        assert result.changes.updated_chunks == {"/a": [[0]]}

    def test_a_commit_although_the_branch_could_move(self, repo: Repository) -> None:
        source, target = branches(repo, write(0, 2, 5), None)
        result = repo.merge("f", fast_forward="never")
        assert result.outcome == "merged"
        assert repo.lookup_branch("main") not in (source, target)
        assert tree(repo, branch="main") == tree(repo, branch="f")

    def test_only_a_fast_forward(self, repo: Repository) -> None:
        _, target = branches(repo, write(0, 2, 5), write(4, 6, 7))
        with pytest.raises(InvalidInputError, match="cannot be fast-forwarded"):
            repo.merge("f", fast_forward="only")
        assert repo.lookup_branch("main") == target

    def test_merging_again_does_nothing(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        first = repo.merge("f")
        again = repo.merge("f")
        assert (again.outcome, again.snapshot_id) == ("up-to-date", first.snapshot_id)
        commit(repo, "f", write(2, 4, 3))
        assert (
            repo.merge_base("f", "main") == repo.lookup_snapshot(repo.lookup_branch("f")).parent_id
        )
        assert repo.merge("f").changes.updated_chunks == {"/a": [[1]]}

    def test_a_squash_is_no_parent(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        repo.merge("f", squash=True)
        assert values(repo) == [5, 5, 1, 1, 7, 7, 1, 1]
        assert (
            len(repo.lookup_snapshot(repo.lookup_branch("main")).metadata[LINEAGE_KEY]["parents"])
            == 1
        )
        # Merging the branch again finds equal changes on both sides.
        assert repo.merge("f").changes.is_empty()

    def test_a_criss_cross(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        f, main = repo.lookup_branch("f"), repo.lookup_branch("main")
        repo.merge(f, into="main")
        repo.merge(main, into="f")
        commit(repo, "f", write(0, 2, 50))
        commit(repo, "main", write(4, 6, 70))
        assert repo.merge("f").outcome == "merged"
        assert values(repo) == [50, 50, 1, 1, 70, 70, 1, 1]

    def test_many_branches_at_once(self, repo: Repository) -> None:
        base = repo.lookup_branch("main")
        names = [f"worker-{number}" for number in range(4)]
        for number, name in enumerate(names):
            repo.create_branch(name, base)
            commit(repo, name, write(2 * number, 2 * number + 2, number + 10))
        commit(repo, "main", attribute("units", "m"))
        result = repo.merge(names)
        assert values(repo) == [10, 10, 11, 11, 12, 12, 13, 13]
        lineage = repo.lookup_snapshot(result.snapshot_id).metadata[LINEAGE_KEY]
        assert len(lineage["parents"]) == 5
        assert all(repo.merge(name).outcome == "up-to-date" for name in names)

    def test_two_writers_at_once(self, repo: Repository) -> None:
        base = repo.lookup_branch("main")
        for number in range(4):
            repo.create_branch(f"b{number}", base)
            commit(repo, f"b{number}", write(2 * number, 2 * number + 2, number + 10))
        failures: list[BaseException] = []

        def merge(name: str) -> None:
            try:
                repo.merge(name, fast_forward="never")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=merge, args=(f"b{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert values(repo) == [10, 10, 11, 11, 12, 12, 13, 13]


class TestWithoutAQuestion:
    """Equal changes and changes of different things."""

    @pytest.mark.parametrize("edit", [write(0, 3, 4), attribute("u", 1), resize(3), delete("a")])
    def test_both_made_the_same_change(self, repo: Repository, edit: Any) -> None:
        branches(repo, edit, edit)
        expected = tree(repo, branch="main")
        assert repo.merge("f").changes.is_empty()
        assert tree(repo, branch="main") == expected

    def test_equal_bytes_in_other_objects(self) -> None:
        repo = Repository.create(
            icechunk.in_memory_storage(), icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
        )
        commit(repo, "main", make("a", 1))
        branches(repo, write(0, 2, 9), lambda root: array(root).__setitem__(slice(0, 4), 9))
        assert repo.merge("f").outcome == "merged"
        assert values(repo) == [9, 9, 9, 9]

    def test_metadata_by_key(self, repo: Repository) -> None:
        branches(repo, attribute("units", "m"), attribute("long_name", "depth"))
        repo.merge("f")
        assert tree(repo, branch="main")["/a"][0] == {"units": "m", "long_name": "depth"}

    def test_metadata_and_chunks(self, repo: Repository) -> None:
        branches(repo, attribute("units", "m"), write(0, 2, 5))
        repo.merge("f")
        assert values(repo)[:2] == [5, 5]
        assert tree(repo, branch="main")["/a"][0] == {"units": "m"}

    def test_nodes_made_alike_are_one(self, repo: Repository) -> None:
        def both(value: int, start: int) -> Any:
            def edit(root: zarr.Group) -> None:
                root.require_group("g").attrs["k"] = 1
                made = root.create_array("g/b", shape=(4,), chunks=(2,), dtype="i4")
                made[start : start + 2] = value

            return edit

        branches(repo, both(5, 0), both(7, 2))
        repo.merge("f")
        assert values(repo, "g/b") == [5, 5, 7, 7]

    def test_an_array_made_again_is_the_same_array(self, repo: Repository) -> None:
        def again(root: zarr.Group) -> None:
            del root["a"]
            made = root.create_array("a", shape=(8,), chunks=(2,), dtype="i4", fill_value=0)
            made[0:4] = 3

        branches(repo, again, attribute("x", 1, "/"))
        expected = values(repo, branch="f")
        repo.create_branch("other", repo.lookup_branch("f"))
        repo.merge("f")
        assert values(repo) == expected == [3, 3, 3, 3, 0, 0, 0, 0]
        repo.merge("main", into="other")
        assert values(repo, branch="other") == expected

    def test_grown_along_different_axes(self, repo: Repository) -> None:
        def layout(root: zarr.Group) -> None:
            root.create_array("m", shape=(2, 2), chunks=(2, 2), dtype="i4", fill_value=0)[:] = 1

        commit(repo, "main", layout)

        def grow(shape: tuple[int, int]) -> Any:
            def edit(root: zarr.Group) -> None:
                array(root, "m").resize(shape)
                array(root, "m")[shape[0] - 1, shape[1] - 1] = 9

            return edit

        branches(repo, grow((4, 2)), grow((2, 4)))
        repo.merge("f")
        assert values(repo, "m") == [[1, 1, 0, 0], [1, 1, 0, 9], [0, 0, 0, 0], [0, 9, 0, 0]]

    def test_an_append_and_a_write_inside(self, repo: Repository) -> None:
        def append(root: zarr.Group) -> None:
            array(root).resize((10,))
            array(root)[8:] = 6

        branches(repo, append, write(0, 2, 5))
        repo.merge("f")
        assert values(repo) == [5, 5, 1, 1, 1, 1, 1, 1, 6, 6]

    def test_a_shrink_and_a_write_inside_what_stays(self, repo: Repository) -> None:
        _, target = branches(repo, resize(4), write(0, 2, 5))
        repo.merge("f")
        assert values(repo) == [5, 5, 1, 1]
        diff = repo.diff(from_snapshot_id=target, to_branch="main")
        assert diff.updated_chunks == {"/a": [[2], [3]]}
        commit(repo, "main", resize(8))
        assert values(repo) == [5, 5, 1, 1, 0, 0, 0, 0]

    def test_a_move_and_an_edit_meet(self, repo: Repository) -> None:
        commit(
            repo,
            "main",
            lambda root: root.create_group("g").create_array(
                "x", shape=(2,), chunks=(1,), dtype="i4"
            ),
        )
        repo.create_branch("f", repo.lookup_branch("main"))
        session = repo.rearrange_session("f")
        session.move("/g", "/h")
        session.commit("rename")

        def edit(root: zarr.Group) -> None:
            array(root, "g/x")[:] = 3
            root["g"].create_array("y", shape=(1,), dtype="i4")[:] = 4

        _, target = repo.lookup_branch("f"), commit(repo, "main", edit)
        repo.merge("f")
        assert values(repo, "h/x") == [3, 3]
        assert values(repo, "h/y") == [4]
        moved = repo.diff(from_snapshot_id=target, to_branch="main").moved_nodes
        assert sorted(moved) == [("/g", "/h"), ("/g/x", "/h/x"), ("/g/y", "/h/y")]


class TestConflicts:
    def test_one_chunk(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(1, 4, 7))
        assert conflicts(repo) == [(ConflictType.ChunkDoubleUpdate, "/a")]
        assert repo.merge("f", prefer="source").outcome == "merged"
        assert values(repo) == [5, 5, 7, 7, 1, 1, 1, 1]

    def test_the_target_is_preferred(self, repo: Repository) -> None:
        branches(repo, write(0, 4, 5), write(0, 2, 7))
        repo.merge("f", prefer="target")
        assert values(repo) == [7, 7, 5, 5, 1, 1, 1, 1]

    def test_chunks_are_decided_one_by_one(self, repo: Repository) -> None:
        branches(repo, write(0, 8, 5), write(0, 8, 7))
        about = {"path": "/a", "type": "ChunkDoubleUpdate"}
        decisions = [
            {**about, "choice": "target"},
            {**about, "choice": "source", "chunks": [[1]]},
            {**about, "choice": "base", "chunks": [[3]]},
        ]
        repo.merge("f", decisions=decisions)
        assert values(repo) == [7, 7, 5, 5, 7, 7, 1, 1]

    def test_what_is_not_decided_is_named(self, repo: Repository) -> None:
        branches(repo, write(0, 8, 5), write(0, 8, 7))
        decided = {
            "path": "/a",
            "type": "ChunkDoubleUpdate",
            "choice": "source",
            "chunks": [[0], [1], [3]],
        }
        found = repo.merge("f", decisions=[decided], dry_run=True).conflicts
        assert [one.conflicted_chunks for one in found] == [[[2]]]

    def test_one_key(self, repo: Repository) -> None:
        branches(repo, attribute("units", "m"), attribute("units", "km"))
        assert conflicts(repo) == [(ConflictType.ZarrMetadataDoubleUpdate, "/a")]
        repo.merge("f", prefer="source")
        assert tree(repo, branch="main")["/a"][0] == {"units": "m"}

    @pytest.mark.parametrize(
        ("edit", "kind"),
        [
            (write(0, 2, 5), ConflictType.ChunksUpdatedInDeletedArray),
            (attribute("u", 1), ConflictType.ZarrMetadataUpdateOfDeletedArray),
        ],
        ids=["chunks", "metadata"],
    )
    def test_deleted_by_the_target(self, repo: Repository, edit: Any, kind: ConflictType) -> None:
        branches(repo, edit, delete("a"))
        expected = tree(repo, branch="f")
        assert conflicts(repo) == [(kind, "/a")]
        repo.merge("f", prefer="source")
        assert tree(repo, branch="main") == expected

    def test_deleted_by_the_source(self, repo: Repository) -> None:
        branches(repo, delete("a"), write(0, 2, 5))
        assert conflicts(repo) == [(ConflictType.DeleteOfUpdatedArray, "/a")]
        repo.merge("f", prefer="source")
        assert "/a" not in tree(repo, branch="main")

    def test_both_made_other_nodes_at_a_path(self, repo: Repository) -> None:
        branches(repo, make("n", 1, dtype="f8"), make("n", 2))
        assert conflicts(repo) == [(ConflictType.NewNodeConflictsWithExistingNode, "/n")]
        decision = {
            "path": "/n",
            "type": "NewNodeConflictsWithExistingNode",
            "choice": "rename",
            "new_path": "/n2",
        }
        repo.merge("f", decisions=[decision])
        assert (values(repo, "n"), values(repo, "n2")) == ([2] * 4, [1.0] * 4)

    @pytest.mark.parametrize("prefer", ["source", "target"])
    def test_a_node_in_a_deleted_group(self, repo: Repository, prefer: str) -> None:
        commit(repo, "main", lambda root: root.create_group("g").create_group("old"))
        branches(repo, lambda root: root["g"].create_group("new"), delete("g"))
        assert conflicts(repo) == [(ConflictType.NewNodeInDeletedGroup, "/g/new")]
        assert conflicts(repo, "main", "f") == [(ConflictType.NewNodeInDeletedGroup, "/g/new")]
        repo.merge("f", prefer=prefer)
        found = tree(repo, branch="main")
        assert ("/g/new" in found) == ("/g" in found) == (prefer == "source")
        assert "/g/old" not in found

    @pytest.mark.parametrize(
        ("prefer", "expected"),
        [("source", [1] * 8 + [5, 5]), ("target", [1] * 8 + [7, 7, 7, 7])],
    )
    def test_both_appended(self, repo: Repository, prefer: str, expected: list[int]) -> None:
        def append(length: int, value: int) -> Any:
            def edit(root: zarr.Group) -> None:
                array(root).resize((length,))
                array(root)[8:] = value

            return edit

        branches(repo, append(10, 5), append(12, 7))
        assert conflicts(repo) == [(ConflictType.AppendDoubleUpdate, "/a")]
        repo.merge("f", prefer=prefer)
        assert values(repo) == expected

    @pytest.mark.parametrize("length", [4, 5])
    def test_a_write_beyond_a_shrink(self, repo: Repository, length: int) -> None:
        branches(repo, resize(length), write(5, 6, 5))
        assert conflicts(repo) == [(ConflictType.ChunksUpdatedBeyondResize, "/a")]
        assert conflicts(repo, "main", "f") == [(ConflictType.ChunksUpdatedBeyondResize, "/a")]
        repo.create_branch("kept", repo.lookup_branch("main"))
        repo.merge("f", into="kept", prefer="target")
        assert values(repo, branch="kept") == [1, 1, 1, 1, 1, 5, 1, 1]
        repo.merge("f", prefer="source")
        assert values(repo) == [1] * length

    def test_another_encoding(self, repo: Repository) -> None:
        def rewrite(root: zarr.Group) -> None:
            del root["a"]
            make("a", 3, dtype="f4", shape=(8,))(root)

        branches(repo, rewrite, write(0, 2, 5))
        assert (ConflictType.DeleteOfUpdatedArray, "/a") in conflicts(repo)

    def test_two_moves_of_a_node(self, repo: Repository) -> None:
        repo.create_branch("f", repo.lookup_branch("main"))
        for branch, to in (("f", "/x"), ("main", "/y")):
            session = repo.rearrange_session(branch)
            session.move("/a", to)
            session.commit("move")
        assert conflicts(repo) == [(ConflictType.NodeMovedTwice, "/y")]
        repo.merge("f", prefer="source")
        assert set(tree(repo, branch="main")) == {"/", "/x"}

    def test_a_move_onto_a_new_node(self, repo: Repository) -> None:
        repo.create_branch("f", repo.lookup_branch("main"))
        session = repo.rearrange_session("f")
        session.move("/a", "/n")
        session.commit("move")
        commit(repo, "main", make("n", 4))
        assert conflicts(repo) == [(ConflictType.MoveTargetTaken, "/n")]


class TestRefused:
    def test_unknown_names(self, repo: Repository) -> None:
        with pytest.raises(RefNotFoundError, match="no branch, tag or snapshot `nowhere`"):
            repo.merge("nowhere")
        with pytest.raises(RefNotFoundError):
            repo.merge("main", into="nowhere")

    def test_a_tag_is_no_target(self, repo: Repository) -> None:
        repo.create_tag("v1", repo.lookup_branch("main"))
        with pytest.raises(RefNotFoundError):
            repo.merge("main", into="v1")

    @pytest.mark.parametrize(
        "options", [{"fast_forward": "sometimes"}, {"prefer": "ours"}], ids=["ff", "prefer"]
    )
    def test_unknown_options(self, repo: Repository, options: dict[str, Any]) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        with pytest.raises(InvalidInputError, match="must be"):
            repo.merge("f", **options)

    def test_the_key_of_lineages(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        with pytest.raises(InvalidInputError, match="reserved for merges"):
            repo.merge("f", metadata={LINEAGE_KEY: {}})
        session = repo.writable_session("main")
        zarr.open_group(session.store).attrs["x"] = 1
        with pytest.raises(InvalidInputError, match="reserved for merges"):
            session.commit("no", metadata={LINEAGE_KEY: {"kind": "merge"}})

    def test_an_amended_merge_keeps_its_parents(self, repo: Repository) -> None:
        branches(repo, write(0, 2, 5), write(4, 6, 7))
        repo.merge("f")
        session = repo.writable_session("main")
        zarr.open_group(session.store).attrs["x"] = 1
        session.amend("merged, with a note")
        assert repo.merge("f").outcome == "up-to-date"
