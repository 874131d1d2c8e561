"""A solver that applies decisions only to commits that were displayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from icechunk import ConflictDetector, ConflictSolver, DecisionSolver
from icechunk.core.ids import id_text


class SeenOnly(ConflictSolver):
    """Decide conflicts with commits up to a known one; report conflicts with later ones.

    A commit may arrive between the decision and the rebase.  The decisions do not apply to it, even
    if an earlier commit wrote the same chunks.

    Parameters
    ----------
    decisions : iterable of mapping
        Decisions in the form of `icechunk.DecisionSolver`.
    base, tip : str
        Snapshot ids of the session's base and of the newest displayed commit.
    """

    def __init__(self, decisions: Iterable[Mapping[str, Any]], base: str, tip: str) -> None:
        self._decided = DecisionSolver(decisions)
        self._tip = tip
        self._passed = base == tip

    def solve(
        self, previous_change: Any, previous_repo: Any, current_changes: Any, current_repo: Any
    ) -> Any:
        """Rebase the changes over one commit."""
        solver: ConflictSolver = ConflictDetector() if self._passed else self._decided
        self._passed = self._passed or id_text(previous_change.id) == self._tip
        return solver.solve(previous_change, previous_repo, current_changes, current_repo)
