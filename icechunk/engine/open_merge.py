"""A merge that a session holds until it is committed: what is merged, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.conflicts.decision import Decision
from icechunk.conflicts.model import Conflict
from icechunk.core.errors import IcechunkError
from icechunk.core.ids import ObjectId, id_text, parse_object_id


def merge_message(names: Sequence[str], branch: str) -> str:
    """The message of a merge that was given none."""
    quoted = " and ".join(f"'{name}'" for name in names)
    return f"Merge {'branch' if len(names) == 1 else 'branches'} {quoted} into {branch}"


@dataclass(frozen=True)
class OpenMerge:
    """The merge that a session holds.

    Attributes
    ----------
    names : tuple of str
        Names of what is merged.
    sources : tuple of ObjectId
        Snapshots that are merged; a source branch that moves later does not matter.
    bases : tuple of (tuple of ObjectId)
        Merge bases of each source and the branch.
    prefer : str or None
        ``"source"`` or ``"target"``: the side of conflicts that no decision is about.
    decisions : tuple of Decision
        Decisions in force, ``"ours"`` is the source and ``"theirs"`` the branch; each is about
        conflicts that exist.
    conflicts : tuple of Conflict
        What is not decided; the session holds the branch's content there.
    cells : str
        ``"auto"`` merges the cells of chunks that both sides wrote, ``"never"`` leaves them open.
    tolerance : mapping or None
        How near cells that both changed count as equal.
    allow_unrelated : bool
        Whether histories without a common commit may be merged.
    laid : ChangeSet
        The merge alone, without what was written to the session since.
    revision : int
        Revision of the session that has nothing but the merge; negative for none.
    """

    names: tuple[str, ...]
    sources: tuple[ObjectId, ...]
    bases: tuple[tuple[ObjectId, ...], ...] = ()
    prefer: str | None = None
    decisions: tuple[Decision, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    cells: str = "never"
    tolerance: Mapping[str, float] | None = None
    allow_unrelated: bool = False
    laid: ChangeSet = field(default_factory=ChangeSet, repr=False)
    revision: int = -1

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of the merged snapshots as text."""
        return tuple(map(id_text, self.sources))

    @property
    def base(self) -> ObjectId | None:
        """The merge base, where there is exactly one."""
        return self.bases[0][0] if len(self.bases) == 1 and len(self.bases[0]) == 1 else None

    @property
    def base_id(self) -> str | None:
        """Id of the merge base as text, where there is exactly one."""
        return None if self.base is None else id_text(self.base)

    def message(self, branch: str) -> str:
        """A message for the commit of this merge into a branch."""
        return merge_message(self.names, branch)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: what is merged and what was decided, from which all else follows."""
        return {
            "names": list(self.names),
            "sources": list(self.source_ids),
            "prefer": self.prefer,
            "decisions": [decision.to_dict() for decision in self.decisions],
            "cells": self.cells,
            "tolerance": None if self.tolerance is None else dict(self.tolerance),
            "allow_unrelated": self.allow_unrelated,
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any] | None) -> OpenMerge | None:
        """Read the JSON form; None for content that is malformed."""
        if form is None:
            return None
        try:
            return cls(
                names=tuple(map(str, form["names"])),
                sources=tuple(parse_object_id(one) for one in form["sources"]),
                prefer=form["prefer"],
                decisions=tuple(Decision.from_dict(one) for one in form["decisions"]),
                cells=form["cells"],
                tolerance=form["tolerance"],
                allow_unrelated=bool(form["allow_unrelated"]),
            )
        except (IcechunkError, KeyError, TypeError, ValueError):
            return None  # written by other software
