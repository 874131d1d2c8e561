"""Merging and what goes with it in a notebook."""

from __future__ import annotations

import json

import pytest
import zarr

from icechunk import ConflictError, ErrorKind, Repository
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.magic_line import Cell
from tests.widgets.scenes import array


@pytest.fixture
def merging(cell: Cell) -> Cell:
    """A session on main, which wrote chunk 1; branch f wrote chunk 0."""
    cell("init memory")
    made = zarr.group(cell.names["store"]).create_array("a", shape=(8,), chunks=(2,), dtype="i4")
    made[:] = 1
    cell("commit base")
    cell("checkout -b f")
    array(cell.session, "a")[0:2] = 5
    cell('commit "on f"')
    cell("checkout main")
    array(cell.session, "a")[2:4] = 7
    cell('commit "on main"')
    return cell


def values(cell: Cell) -> list[int]:
    found: list[int] = array(cell.session, "a")[...].tolist()
    return found


def test_merge_moves_the_session(merging: Cell) -> None:
    assert "would get a commit" in repr(merging("merge f --dry-run"))
    assert values(merging) == [1, 1, 7, 7, 1, 1, 1, 1]
    report = merging("merge f")
    assert report.outcome == "merged"
    assert merging.session.snapshot_id == report.snapshot_id
    assert not merging.session.read_only
    assert values(merging) == [5, 5, 7, 7, 1, 1, 1, 1]
    assert "already" in repr(merging("merge f"))


def test_a_dirty_session_is_not_moved(merging: Cell) -> None:
    array(merging.session, "a")[6:8] = 9
    error = merging.raises("merge f")
    assert getattr(error, "kind", None) == ErrorKind.UNCOMMITTED_CHANGES
    assert values(merging) == [1, 1, 7, 7, 1, 1, 9, 9]
    merging("stash mine")
    merging("merge f")
    assert "mine" in repr(merging("stash list"))
    merging("stash pop")
    assert values(merging) == [5, 5, 7, 7, 1, 1, 9, 9]
    assert "no stashes" in repr(merging("stash list"))


def test_conflicts_are_an_error_with_a_list_below(merging: Cell) -> None:
    merging("checkout f")
    array(merging.session, "a")[2:4] = 6
    merging('commit "conflicting"')
    merging("checkout main")
    error = merging.raises("merge f")
    assert isinstance(error, ConflictError)
    assert "chunk double update [1]" in repr(merging.below[0])
    assert values(merging) == [1, 1, 7, 7, 1, 1, 1, 1]
    assert "--cells auto would settle 0 of 1 chunk" in repr(merging.below[0])
    merging("merge f --prefer source")
    assert values(merging) == [5, 5, 6, 6, 1, 1, 1, 1]


def test_cells_are_offered_before_they_are_merged(merging: Cell) -> None:
    merging("checkout f")
    array(merging.session, "a")[2] = 6
    merging('commit "other cells"')
    merging("checkout main")
    array(merging.session, "a")[2] = 1
    merging('commit "back"')
    merging.raises("merge f")
    assert "--cells auto would settle 1 of 1 chunk" in repr(merging.below[0])
    merging("merge f --cells auto")
    assert values(merging) == [5, 5, 6, 7, 1, 1, 1, 1]


def test_pick_revert_and_undo(merging: Cell) -> None:
    repo: Repository = merging.names["repo"]
    before = repo.lookup_branch("main")
    merging("cherry-pick f")
    assert values(merging)[:2] == [5, 5]
    merging("revert main")
    assert values(merging)[:2] == [1, 1]
    merging("undo --yes")
    assert values(merging)[:2] == [5, 5]
    assert "nothing was done" in merging.fails("squash main~1 -m one")
    merging("squash main~1 -m one --yes")
    assert repo.lookup_snapshot(merging.session.snapshot_id).parent_id == before


def test_restore(merging: Cell) -> None:
    merging("restore /a --source main~1")
    assert values(merging) == [1] * 8
    merging("discard")
    merging("restore /a[2:3] --source main~1")
    assert values(merging) == [1, 1, 1, 7, 1, 1, 1, 1]


def test_blame_and_bisect(merging: Cell) -> None:
    assert "on main" in repr(merging("blame a"))
    form = json.loads(json.dumps(merging("blame a[2:3]").data))
    assert [one["message"] for one in form["commits"]] == ["on main"]
    found = merging("bisect main~1 -- root['a'][2] < 5")
    assert found.first_bad == [merging.session.snapshot_id]
    assert "not a Python expression" in merging.fails("bisect main~1 -- root[")
    assert "give the test" in merging.fails("bisect main~1")


def test_words_of_stash(merging: Cell) -> None:
    assert "no uncommitted changes" in merging.fails("stash")
    assert "not the number of a stash" in merging.fails("stash pop newest")
    assert "no stash 0" in merging.fails("stash drop")


class TestSolve:
    @pytest.fixture
    def contested(self, merging: Cell) -> Cell:
        """Both branches wrote chunk 1 as well."""
        merging("checkout f")
        array(merging.session, "a")[2:4] = 6
        merging('commit "same chunk"')
        merging("checkout main")
        return merging

    def test_the_session_holds_the_merge(self, contested: Cell) -> None:
        cell = contested
        note = cell("merge f --solve")
        assert note.session is cell.session
        assert "`session` merges f into main; 1 conflict to decide:" in repr(note)
        assert "/a: chunk double update [1]" in repr(note)
        assert values(cell) == [5, 5, 7, 7, 1, 1, 1, 1]
        assert "on main" in repr(cell("status"))
        assert "merging f (1 conflict open)" in repr(cell("status"))
        assert "have no meaning in a merge" in str(cell.raises("commit --ours"))
        error = cell.raises("commit")
        assert getattr(error, "kind", None) == ErrorKind.MERGE_CONFLICT
        assert cell.raises("checkout f")
        cell.session.solve(prefer="source")
        note = cell("commit")
        assert "Merge branch 'f' into main" in repr(note)
        assert cell.session.merging is None
        assert not cell.session.read_only
        assert values(cell) == [5, 5, 6, 6, 1, 1, 1, 1]
        assert "is merged into main already" in repr(cell("merge f --solve"))

    def test_stashed_moved_and_given_up(self, contested: Cell) -> None:
        cell = contested
        tip = cell.session.snapshot_id
        cell("merge f --solve")
        cell.session.solve(prefer="source")
        cell("stash half a merge")
        assert values(cell) == [1, 1, 7, 7, 1, 1, 1, 1]
        array(cell.session, "a")[6:8] = 9
        cell("commit meanwhile")
        assert "merges f into main without conflicts" in repr(cell("stash pop"))
        assert values(cell) == [5, 5, 6, 6, 1, 1, 9, 9]
        assert "without conflicts" in repr(cell("rebase"))
        assert cell.raises("rebase --ours")
        cell("discard")
        assert cell.session.merging is None
        assert values(cell) == [1, 1, 7, 7, 1, 1, 9, 9]
        assert cell.session.snapshot_id != tip

    def test_a_merge_without_changes_is_not_dropped(self, cell: Cell) -> None:
        cell("init memory")
        made = zarr.group(cell.names["store"]).create_array(
            "a", shape=(2,), chunks=(2,), dtype="i4"
        )
        made[:] = 1
        cell("commit base")
        cell("checkout -b f")
        array(cell.session, "a")[:] = 5
        cell('commit "on f"')
        cell("checkout main")
        array(cell.session, "a")[:] = 7
        cell('commit "on main"')
        cell("merge f --solve")
        assert not cell.session.has_uncommitted_changes
        error = cell.raises("checkout f")
        assert getattr(error, "kind", None) == ErrorKind.UNCOMMITTED_CHANGES
        cell("discard")
        cell("checkout f")

    def test_the_resolver_settles_it(self, contested: Cell) -> None:
        cell = contested
        assert "`%icechunk solve` opens" in repr(cell("merge f --solve"))
        resolver = cell("solve")
        assert isinstance(resolver, ConflictResolver)
        assert (resolver.status, resolver.total) == ("pending", 1)
        assert cell.raises("commit")
        resolver.decide("/a", "ours")
        resolver.complete()
        assert resolver.status == "committed"
        assert values(cell) == [5, 5, 6, 6, 1, 1, 1, 1]
        repo: Repository = cell.names["repo"]
        assert len(repo.lookup_snapshot(repo.lookup_branch("main")).parents) == 2
        assert not cell.session.read_only

    def test_options_that_do_not_fit(self, contested: Cell) -> None:
        assert "leave out --no-ff" in str(contested.raises("merge f --solve --no-ff"))
