"""While a conflict waits for decisions: what refuses, where it points, and the ways out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from icechunk import BasicConflictSolver, ConflictError, VersionSelection
from icechunk_widgets.provenance import Cell as Running
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.magic_line import Cell
from tests.widgets.scenes import array, commit_value, values

WRITES = (
    "commit again", "amend", "rebase", "checkout main", "checkout -b other", "open repo",
    "init memory", "reset main~1", "branch other", "branch -D main", "tag v1", "tag -d v1 --yes",
    "gc --older-than 0s --yes", "expire --older-than 0s --yes",
)  # fmt: skip
READS = (
    "status", "log", "log -n 2", "show", "diff", "diff main~1..main", "branch", "tag", "ls",
    "tree", "du", "stats", "ops", "inspect", "config", "help", "rebase --dry-run",
    "reset main~1 --dry-run", "gc --older-than 0s --dry-run", "expire --older-than 0s --dry-run",
)  # fmt: skip


@pytest.fixture
def pending(with_data: Cell) -> tuple[Cell, ConflictResolver]:
    """A notebook whose cell In [7] met a conflict, and the resolver below it."""
    cell = with_data
    cell("status")
    array(cell.session)[:2] = -2
    commit_value(cell.names["repo"], np.s_[:2], -1, "theirs")
    cell.running = Running("the cell", 7, "")
    cell.raises("commit mine")
    (resolver,) = cell.below
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 0)])
    cell.running = Running("a later cell", 8, "")
    return cell, resolver


@pytest.mark.parametrize("line", WRITES)
def test_what_writes_refuses_and_says_where_the_resolver_is(pending: Any, line: str) -> None:
    cell, resolver = pending
    repo, session = cell.names["repo"], cell.session
    before = repo.list_branches(), repo.list_tags(), repo.lookup_branch("main")
    error = cell.raises(line)
    assert isinstance(error, ConflictError)
    again = line.startswith(("commit", "rebase"))  # they open it: it is shown again
    assert cell.below == [resolver] * again
    where = "here;" if again else "below In [7];"
    for part in ("3 of 4 decisions left", where, "complete it", "--ours", "%icechunk discard"):
        assert part in str(error)
    assert (repo.list_branches(), repo.list_tags(), repo.lookup_branch("main")) == before
    assert cell.session is session
    assert session.has_uncommitted_changes
    assert (resolver.status, resolver.undecided) == ("pending", 3)


@pytest.mark.parametrize("line", READS)
def test_reads_go_on(pending: Any, line: str) -> None:
    cell, resolver = pending
    cell(line)
    assert (resolver.status, resolver.undecided) == ("pending", 3)


def test_the_place_is_where_it_was_shown_last(pending: Any) -> None:
    cell, _ = pending
    cell.fails("commit mine")
    cell.running = Running("yet another", 9, "")
    assert "below In [8];" in cell.fails("tag v1")
    assert cell.below == []
    cell.running = Running("a later cell", 10, "")
    assert "here;" in cell.fails("tag v1")
    assert len(cell.below) == 1  # the cell ran again, which takes its former output away
    cell.running = Running("yet another", 11, "")
    assert "below In [10];" in cell.fails("tag v1")


def test_completing_it_ends_it(pending: Any) -> None:
    cell, resolver = pending
    resolver.decide("/SST", "ours", chunks=[(0, 0, 1), (0, 1, 0), (0, 1, 1)])
    assert "(decided, not completed)" in cell.fails("tag v1")
    resolver.complete()
    assert cell("tag v1").snapshot_id == resolver.snapshot_id
    assert values(cell.names["repo"])[0, 0, 0] == -1
    assert values(cell.names["repo"])[0, 5, 7] == -2


@pytest.mark.parametrize(
    "line", ["discard", "checkout main --discard", "open repo --discard", "reset main --discard"]
)
def test_giving_the_changes_up_ends_it(pending: Any, line: str) -> None:
    cell, resolver = pending
    cell(line)
    assert resolver.status == "cancelled"
    cell("tag v1")


def test_a_side_for_all_ends_it(pending: Any) -> None:
    cell, _ = pending
    assert cell("commit mine --ours").snapshot_id
    cell("tag v1")
    assert (values(cell.names["repo"])[:2] == -2).all()


def test_cancelling_it_keeps_the_changes_and_ends_it(pending: Any) -> None:
    cell, resolver = pending
    assert cell("solve") is resolver
    resolver.cancel()
    assert cell.session.has_uncommitted_changes
    assert "with the uncommitted changes" in repr(cell("checkout -b mine"))
    cell("commit mine")


def test_python_ends_it_too(pending: Any) -> None:
    cell, _ = pending
    solver = BasicConflictSolver(on_chunk_conflict=VersionSelection.UseOurs)
    cell.session.rebase(solver)
    cell("commit mine")
    assert (values(cell.names["repo"])[:2] == -2).all()


@pytest.mark.parametrize("line", ["discard", "commit mine --ours", "checkout main --discard"])
def test_while_it_completes_nothing_writes(pending: Any, line: str) -> None:
    cell, resolver = pending
    resolver.status = "working"
    assert "the resolver below In [7] is completing; wait" in cell.fails(line)
    resolver.status = "pending"
    cell(line)


def test_a_session_of_ones_own_is_free(pending: Any) -> None:
    cell, resolver = pending
    cell.names["session"] = cell.names["repo"].writable_session("main")
    array(cell.session)[3] = 5
    cell("commit other")
    assert resolver.status == "pending"


def test_a_failed_line_gives_nothing_up(pending: Any) -> None:
    cell, resolver = pending
    assert "(ref-not-found)" in cell.fails("checkout nowhere --discard")
    assert resolver.status == "pending"
    assert "pending" in cell.fails("tag v1")


def test_new_commits_are_looked_at_and_decisions_kept(pending: Any) -> None:
    cell, resolver = pending
    commit_value(cell.names["repo"], np.s_[2:], -5, "more")
    array(cell.session)[2:] = -6
    assert "7 of 8 decisions left" in cell.fails("commit mine")
    assert cell.below == [resolver]


def test_who_asks_for_the_resolver_goes_on(with_data: Cell) -> None:
    cell = with_data
    cell("status")
    array(cell.session)[:2] = -2
    commit_value(cell.names["repo"], np.s_[:2], -1, "theirs")
    resolver = cell("commit mine --solve")
    assert isinstance(resolver, ConflictResolver)
    assert cell.said.startswith("icechunk: nothing is committed, main moved on")
    assert cell("commit mine --solve") is resolver
    assert "pending" in cell.fails("tag v1")
    resolver.cancel()
    cell("config solve on")
    again = cell("commit mine")
    assert isinstance(again, ConflictResolver)
    assert cell("config")["solve"] is True
    again.cancel()
    cell("config --unset solve")
    cell.fails("commit mine")


@pytest.fixture
def in_python(with_data: Cell) -> tuple[Cell, ConflictResolver]:
    """A notebook that made a resolver without the magic."""
    cell = with_data
    cell("status")
    array(cell.session)[:2] = -2
    commit_value(cell.names["repo"], np.s_[:2], -1, "theirs")
    resolver = ConflictResolver(cell.session, "in Python")
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 0)])
    return cell, resolver


@pytest.mark.parametrize("line", WRITES)
def test_a_resolver_made_in_python_holds_writes_back(in_python: Any, line: str) -> None:
    cell, resolver = in_python
    error = cell.raises(line)
    assert isinstance(error, ConflictError)
    assert "3 of 4 decisions left" in str(error)
    assert (resolver.status, resolver.undecided) == ("pending", 3)
    assert cell.session.has_uncommitted_changes


@pytest.mark.parametrize("line", READS)
def test_reads_go_on_beside_a_resolver_made_in_python(in_python: Any, line: str) -> None:
    cell, resolver = in_python
    cell(line)
    assert (resolver.status, resolver.undecided) == ("pending", 3)


def test_solve_returns_the_resolver_made_in_python(in_python: Any) -> None:
    cell, resolver = in_python
    assert cell("solve") is resolver
    assert cell("solve") is resolver
    resolver.decide("/SST", "ours")
    resolver.complete()
    assert not cell.session.read_only  # the next session on the branch
    cell("tag v1")


def test_of_several_resolvers_of_a_session_the_newest_counts(in_python: Any) -> None:
    cell, _ = in_python
    newest = ConflictResolver(cell.session)
    assert cell("solve") is newest
    newest.cancel()
    cell("tag v1")


def test_a_resolver_of_another_session_holds_nothing_back(in_python: Any) -> None:
    cell, resolver = in_python
    cell.names["session"] = cell.names["repo"].writable_session("main")
    cell("tag v1")
    assert resolver.status == "pending"


def test_what_ends_a_resolver_made_in_python(in_python: Any) -> None:
    cell, resolver = in_python
    cell("discard")
    assert resolver.status == "cancelled"
    cell("tag v1")
