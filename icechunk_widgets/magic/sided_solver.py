"""A solver that takes one side in a part of the hierarchy, and reports other conflicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from icechunk import ConflictSolver, ConflictType, DecisionSolver
from icechunk.conflicts.detector import detect


class Sided(ConflictSolver):
    """Take one side where both wrote a chunk of a node below some paths.

    Parameters
    ----------
    side : str
        ``ours`` or ``theirs``.
    where : iterable of str
        Paths of nodes, whose children are included.
    """

    def __init__(self, side: str, where: Iterable[str]) -> None:
        self._side = side
        self._where = tuple(where)

    def solve(
        self, previous_change: Any, previous_repo: Any, current_changes: Any, current_repo: Any
    ) -> Any:
        """Rebase the changes over one commit."""
        found = detect(previous_change, previous_repo, current_changes, current_repo)
        kind = ConflictType.ChunkDoubleUpdate
        decisions = [
            {"path": conflict.path, "type": kind.name, "choice": self._side}
            for conflict in found
            if conflict.conflict_type is kind and below(conflict.path, self._where)
        ]
        return DecisionSolver(decisions).solve(
            previous_change, previous_repo, current_changes, current_repo
        )


def below(path: str, where: Iterable[str]) -> bool:
    """Whether a path is one of some paths, or below one of them."""
    tops = ("/" + top.strip("/") for top in where)
    return any(top == "/" or path == top or path.startswith(top + "/") for top in tops)
