"""A solver that applies decisions only to commits that somebody has looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from icechunk import ConflictDetector, ConflictSolver, DecisionSolver
from icechunk.core.ids import id_text


class SeenOnly(ConflictSolver):
    """Decide conflicts with the commits up to a known one; stop at conflicts with later ones.

    A commit may arrive between looking and rebasing.  Its chunks were on nobody's screen, also
    where an earlier commit wrote the same chunks.

    Parameters
    ----------
    decisions : iterable of mapping
        As `icechunk.DecisionSolver` takes them.
    base, tip : str
        Snapshot ids: what the session stands on, and the newest commit that was looked at.
    """

    def __init__(self, decisions: Iterable[Mapping[str, Any]], base: str, tip: str) -> None:
        self._decided = DecisionSolver(decisions)
        self._tip = tip
        self._passed = base == tip

    def solve(
        self, previous_change: Any, previous_repo: Any, current_changes: Any, current_repo: Any
    ) -> Any:
        """Bring the changes past one commit."""
        solver: ConflictSolver = ConflictDetector() if self._passed else self._decided
        self._passed = self._passed or id_text(previous_change.id) == self._tip
        return solver.solve(previous_change, previous_repo, current_changes, current_repo)
