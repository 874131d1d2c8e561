"""Solvers written by users: their decisions are applied, and their faults lose no change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import icechunk
from icechunk.conflicts import Patched, Unsolvable
from tests.repositories import edit, read, with_grid


class Solver(icechunk.ConflictSolver):
    """Records its arguments, and returns the result of a function."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def solve(
        self, previous_change: Any, previous_repo: Any, current_changes: Any, current_repo: Any
    ) -> Any:
        self.asked += 1
        return self.answer(previous_change, previous_repo, current_changes, current_repo)


@pytest.fixture
def repo() -> icechunk.Repository:
    return with_grid(icechunk.in_memory_storage())[0]


@pytest.fixture
def ours(repo) -> icechunk.Session:
    """A session that changed the first two chunks, after others committed the first and last."""
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    edit(ours, np.s_[0:2], 100)
    edit(theirs, np.s_[0, 0], 200)
    edit(theirs, np.s_[5, 7], 200)
    theirs.commit("theirs")
    return ours


def replay(session: icechunk.Session, solver: Any, how: str) -> None:
    """Rebase a session by `rebase` or by `commit`."""
    if how == "rebase":
        session.rebase(solver)
    else:
        session.commit("ours", rebase_with=solver)


def keeps_everything(session: icechunk.Session) -> bool:
    changed = session.status().updated_chunks
    return changed == {"/a": [[0, 0], [0, 1]]} and bool((read(session)[0:2] == 100).all())


def yielding(log: Any, repo: Any, changes: Any, own: Any) -> Any:
    """A policy of a user: drop every chunk of ours that the other side wrote."""
    changes = changes.copy()
    for node_id, coords in log.updated_chunks.items():
        if node_id in changes.chunks:
            changes.chunks[node_id].drop(coords)
    return Patched(changes)


@pytest.mark.parametrize("how", ["rebase", "commit"])
def test_a_policy_of_ones_own(repo, ours, how):
    solver = Solver(yielding)
    replay(ours, solver, how)
    if how == "rebase":
        ours.commit("ours")
    assert solver.asked == 1
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[0, 4], cells[5, 7]) == (200, 100, 200)


def test_it_is_asked_about_every_commit(repo, ours):
    for number in range(3):
        other = repo.writable_session("main")
        edit(other, np.s_[3, number], number)
        other.commit(f"{number}")
    solver = Solver(lambda log, repo, changes, own: Patched(changes))
    ours.rebase(solver)
    assert solver.asked == 4


def clumsy(log: Any, repo: Any, changes: Any, own: Any) -> Any:
    """Changes arguments that it must only read."""
    changes.chunks.clear()
    changes.objects.clear()
    raise RuntimeError("and then it fails")


@pytest.mark.parametrize("how", ["rebase", "commit"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda *given: 1 // 0, ZeroDivisionError),
        (clumsy, RuntimeError),
        (lambda *given: None, TypeError),
        (lambda *given: given[2], TypeError),
        (lambda *given: Unsolvable([]), icechunk.RebaseFailedError),
    ],
)
def test_whatever_it_does_wrong_the_session_keeps_its_changes(repo, ours, answer, error, how):
    tip, base = repo.lookup_branch("main"), ours.snapshot_id
    with pytest.raises(error):
        replay(ours, Solver(answer), how)
    assert repo.lookup_branch("main") == tip
    assert ours.snapshot_id == base
    assert keeps_everything(ours)
    ours.commit("ours", rebase_with=icechunk.BasicConflictSolver())
    assert (read(repo.readonly_session("main"))[0:2] == 100).all()


def test_one_that_fails_later_leaves_the_session_on_the_last_commit_passed(repo, ours):
    between = repo.lookup_branch("main")
    other = repo.writable_session("main")
    edit(other, np.s_[3, 0], 5)
    other.commit("second")

    def second_fails(log: Any, repo: Any, changes: Any, own: Any) -> Any:
        if solver.asked == 2:
            raise RuntimeError("no more")
        return yielding(log, repo, changes, own)

    solver = Solver(second_fails)
    with pytest.raises(RuntimeError):
        ours.rebase(solver)
    assert ours.snapshot_id == between
    assert ours.status().updated_chunks == {"/a": [[0, 1]]}
    ours.commit("ours", rebase_with=icechunk.ConflictDetector())


def test_others_are_not_given_to_a_rebase_by_mistake(ours):
    for wrong in (None, "detector", icechunk.ConflictDetector, yielding):
        with pytest.raises(TypeError):
            ours.rebase(wrong)
    assert keeps_everything(ours)
