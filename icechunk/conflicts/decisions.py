"""A solver that applies a list of decisions about conflicts and single chunks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icechunk.conflicts.decision import CHOICES, Decision
from icechunk.conflicts.detector import detect, past
from icechunk.conflicts.model import ConflictSolver, ConflictType, Patched, Unsolvable
from icechunk.conflicts.resolution import Draft
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.folders import local_path

if TYPE_CHECKING:
    from icechunk.changes.change_set import ChangeSet
    from icechunk.spec.protocols import ChunkReader, NodeReader
    from icechunk.spec.transaction_log.log import TransactionLog

_VERSION = 1


class DecisionSolver(ConflictSolver):
    """Solve conflicts by decisions; stop at conflicts without a decision.

    A decision names conflicts by path and kind. Of several decisions about one chunk, or about
    one node, the last wins. Decisions about conflicts that do not occur are ignored, so one list
    serves a rebase over several commits.

    Parameters
    ----------
    decisions : iterable of Decision or mapping
        In the order they were made; mappings as `Decision.from_dict` reads them.

    Raises
    ------
    InvalidInputError
        When an entry is wrong; the message starts with its place in the list.

    Examples
    --------
    >>> DecisionSolver([
    ...     {"path": "/sst", "type": "ChunkDoubleUpdate", "choice": "theirs"},
    ...     {"path": "/sst", "type": "ChunkDoubleUpdate", "choice": "ours", "chunks": [[0, 1]]},
    ... ])
    DecisionSolver([{'path': '/sst', 'type': 'ChunkDoubleUpdate', 'choice': 'theirs'}, \
{'path': '/sst', 'type': 'ChunkDoubleUpdate', 'choice': 'ours', 'chunks': [[0, 1]]}])
    """

    def __init__(self, decisions: Iterable[Decision | Mapping[str, Any]]) -> None:
        self._decisions = tuple(_numbered(*entry) for entry in enumerate(decisions))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions, in the order they were made."""
        return self._decisions

    def solve(
        self,
        previous_change: TransactionLog,
        previous_repo: NodeReader,
        current_changes: ChangeSet,
        current_repo: ChunkReader,
    ) -> Patched | Unsolvable:
        """Edit a copy of our changes as decided.

        Returns
        -------
        Patched or Unsolvable
            Unsolvable with exactly those conflicts and chunks that no decision covers.

        Raises
        ------
        InvalidInputError
            When a decision cannot be carried out: our chunks do not fit the array any more, or
            theirs ours, a new path is taken, chunks are named for another number of dimensions.
        """
        conflicts = detect(previous_change, previous_repo, current_changes, current_repo)
        if not conflicts:
            return past(previous_change, previous_repo, current_changes, current_changes)
        by_key: dict[tuple[ConflictType, str], list[Decision]] = {}
        for decision in self._decisions:
            by_key.setdefault((decision.type, decision.path), []).append(decision)
        draft = Draft(current_changes.copy(), previous_repo, current_repo, by_key)
        # Detect again in the edited changes: an edit may solve other conflicts too, or cause new
        # ones, for example when a node is kept where we added another.
        while draft.settle(conflicts):
            conflicts = detect(previous_change, previous_repo, draft.changes, current_repo)
        left = draft.remainder(conflicts)
        if left:
            return Unsolvable(left)
        return past(previous_change, previous_repo, current_changes, draft.changes)

    def to_json(self) -> str:
        """JSON text of the decisions."""
        entries = [decision.to_dict() for decision in self._decisions]
        return json.dumps({"version": _VERSION, "decisions": entries})

    @classmethod
    def from_json(cls, text: str | bytes) -> DecisionSolver:
        """Read the text of `to_json`, or a bare list of decisions.

        Raises
        ------
        InvalidInputError
            When it is not JSON, of another version, or an entry is wrong.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise InvalidInputError(
                f"decisions are not JSON: {error}", ErrorKind.DESERIALIZATION
            ) from error
        if isinstance(document, dict):
            if document.get("version") != _VERSION:
                raise InvalidInputError(
                    f"decisions have version {document.get('version')!r}; "
                    f"this release reads version {_VERSION}",
                    ErrorKind.DESERIALIZATION,
                )
            document = document.get("decisions")
        if not isinstance(document, list):
            raise InvalidInputError(
                'decisions must be a list, or {"version": 1, "decisions": [...]}',
                ErrorKind.DESERIALIZATION,
            )
        return cls(document)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the decisions to a file, to use them again."""
        Path(local_path(path)).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DecisionSolver:
        """Read a file written by `save`."""
        return cls.from_json(Path(local_path(path)).read_text(encoding="utf-8"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecisionSolver) and self._decisions == other._decisions

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DecisionSolver({[decision.to_dict() for decision in self._decisions]})"


def _numbered(place: int, entry: Decision | Mapping[str, Any]) -> Decision:
    """A decision from its entry; errors name its position in the list."""
    try:
        decision = entry if isinstance(entry, Decision) else Decision.from_dict(entry)
        decision.check_choice(CHOICES)
        return decision
    except InvalidInputError as error:
        raise InvalidInputError(f"decisions[{place}]: {error.message}", error.kind) from None
