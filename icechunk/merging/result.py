"""What a merge did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from icechunk.conflicts.model import Conflict
from icechunk.spec.transaction_log.diff import Diff


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge, cherry-pick or revert did, or would do.

    Attributes
    ----------
    outcome : str
        ``"merged"``: there is a new commit. ``"fast-forward"``: the branch points to the source.
        ``"up-to-date"``: there was nothing to do. ``"conflicts"``: only of a dry run.
    branch : str
        The branch that was changed.
    snapshot_id : str
        Its tip afterwards; of a dry run, its present tip.
    base : str or None
        The merge base, where there is exactly one.
    conflicts : list of Conflict
        What a dry run found.
    changes : Diff
        What the merge changes in the branch.
    dry_run : bool
        Whether nothing was committed.
    """

    outcome: str
    branch: str
    snapshot_id: str
    base: str | None = None
    conflicts: list[Conflict] = field(default_factory=list)
    changes: Diff = field(default_factory=Diff)
    dry_run: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; chunks are counted by array."""
        return {
            "outcome": self.outcome,
            "branch": self.branch,
            "snapshot_id": self.snapshot_id,
            "base": self.base,
            "conflicts": [conflict.to_dict() for conflict in self.conflicts],
            "changed_chunks": {
                path: len(coords) for path, coords in self.changes.chunk_coordinates.items()
            },
            "dry_run": self.dry_run,
        }
