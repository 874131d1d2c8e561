"""Solve made-up conflicts with decisions written as in JSON."""

from __future__ import annotations

from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.tree_view import TreeView
from icechunk.conflicts import (
    DecisionSolver,
    Patched,
    Unsolvable,
)
from tests.conflicts.hierarchies import (
    Writer,
)

Entry = dict[str, Any]


def entry(path: str, kind: str, choice: str, **more: Any) -> Entry:
    return {"path": path, "type": kind, "choice": choice, **more}


def solve(ours: Writer, theirs: Writer, *entries: Entry) -> Patched | Unsolvable:
    log, nodes = theirs.commit()
    return DecisionSolver(entries).solve(log, nodes, ours.changes, ours)


def patched(ours: Writer, theirs: Writer, *entries: Entry) -> tuple[ChangeSet, TreeView]:
    """The changes after the solver, and the hierarchy that a commit of them would have."""
    answer = solve(ours, theirs, *entries)
    assert isinstance(answer, Patched), answer
    _, nodes = theirs.commit()
    return answer.changes, TreeView(nodes, answer.changes)


def left(ours: Writer, theirs: Writer, *entries: Entry) -> list[tuple[str, str]]:
    answer = solve(ours, theirs, *entries)
    assert isinstance(answer, Unsolvable)
    return [(c.conflict_type.name, c.path) for c in answer.conflicts]
