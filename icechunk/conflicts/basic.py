"""A solver with general rules: whose chunks stay, and whether changed nodes may be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icechunk.changes.cut_chunks import cut_off
from icechunk.conflicts.detector import detect, on_grid, past
from icechunk.conflicts.model import (
    Conflict,
    ConflictSolver,
    ConflictType,
    Patched,
    Unsolvable,
    VersionSelection,
)

if TYPE_CHECKING:
    from icechunk.changes.change_set import ChangeSet
    from icechunk.spec.manifest.coordinates import Coords
    from icechunk.spec.protocols import ChunkReader, NodeReader
    from icechunk.spec.snapshot.nodes import NodeSnapshot
    from icechunk.spec.transaction_log.log import TransactionLog


_DELETES = (ConflictType.DeleteOfUpdatedArray, ConflictType.DeleteOfUpdatedGroup)


class BasicConflictSolver(ConflictSolver):
    """Solve conflicts by general rules.

    Parameters
    ----------
    on_chunk_conflict : VersionSelection, optional
        Whose version stays of chunks that both sides changed; ours by default.
    fail_on_delete_of_updated_array, fail_on_delete_of_updated_group : bool, optional
        Stop when we deleted something they changed; by default it is deleted.
    on_user_attributes_conflict : VersionSelection, optional
        What happens when both sides changed nothing but the attributes of a node. Metadata
        conflicts stop the rebase when this is not given.
    """

    def __init__(
        self,
        *,
        on_chunk_conflict: VersionSelection = VersionSelection.UseOurs,
        fail_on_delete_of_updated_array: bool = False,
        fail_on_delete_of_updated_group: bool = False,
        on_user_attributes_conflict: VersionSelection | None = None,
    ) -> None:
        self._on_chunks = _selection(on_chunk_conflict)
        self._on_attributes = VersionSelection.Fail
        if on_user_attributes_conflict is not None:
            self._on_attributes = _selection(on_user_attributes_conflict)
        self._solvable = set()
        if self._on_chunks is not VersionSelection.Fail:
            self._solvable.add(ConflictType.ChunkDoubleUpdate)
        if not fail_on_delete_of_updated_array:
            self._solvable.add(ConflictType.DeleteOfUpdatedArray)
        if not fail_on_delete_of_updated_group:
            self._solvable.add(ConflictType.DeleteOfUpdatedGroup)

    def solve(
        self,
        previous_change: TransactionLog,
        previous_repo: NodeReader,
        current_changes: ChangeSet,
        current_repo: ChunkReader,
    ) -> Patched | Unsolvable:
        """Apply the rules; report all conflicts when they do not cover one of them."""
        conflicts = detect(previous_change, previous_repo, current_changes, current_repo)
        if not all(
            conflict.conflict_type in self._solvable
            or self._only_attributes(conflict, previous_repo, current_repo)
            for conflict in conflicts
        ):
            return Unsolvable(conflicts)
        theirs = [conflict for conflict in conflicts if self._is_theirs(conflict)]
        removed = [
            node
            for conflict in conflicts
            if conflict.conflict_type in _DELETES
            for node in current_changes.left_below(conflict.path, previous_repo)
        ]
        changes = current_changes.copy() if theirs or removed else current_changes
        changes.deleted.update((node.id, node) for node in removed)
        for conflict in theirs:
            node = current_repo.get(conflict.path)
            assert node is not None
            if conflict.chunk_array is None:
                changes.drop_update(node.id)
                continue
            if not self._has_place(conflict.chunk_array, node, previous_repo, current_repo):
                return Unsolvable(conflicts)
            changes.give_up(node.id, conflict.chunk_array)
        return past(previous_change, previous_repo, current_changes, changes)

    @staticmethod
    def _has_place(
        chunks: Coords, node: NodeSnapshot, previous_repo: NodeReader, current_repo: ChunkReader
    ) -> bool:
        """Whether our array, which may be smaller now, keeps all cells of their chunks."""
        if node.array is None:
            return True
        former, theirs = current_repo.former(node.id), previous_repo.by_id(node.id)
        cut = cut_off(chunks, former, theirs, node)
        return on_grid(chunks, node.array.num_chunks) and not len(cut)

    def _is_theirs(self, conflict: Conflict) -> bool:
        if conflict.conflict_type is ConflictType.ChunkDoubleUpdate:
            return self._on_chunks is VersionSelection.UseTheirs
        if conflict.conflict_type is ConflictType.ZarrMetadataDoubleUpdate:
            return self._on_attributes is VersionSelection.UseTheirs
        return False

    def _only_attributes(
        self, conflict: Conflict, previous_repo: NodeReader, current_repo: NodeReader
    ) -> bool:
        """Whether a metadata conflict is about attributes alone, and attributes are decided."""
        if (
            conflict.conflict_type is not ConflictType.ZarrMetadataDoubleUpdate
            or self._on_attributes is VersionSelection.Fail
        ):
            return False
        ours, theirs = current_repo.get(conflict.path), previous_repo.get(conflict.path)
        if ours is None or theirs is None:
            return False
        return _without_attributes(ours) == _without_attributes(theirs)


def _without_attributes(node: NodeSnapshot) -> dict[str, Any]:
    return {key: value for key, value in node.document.items() if key != "attributes"}


def _selection(value: VersionSelection) -> VersionSelection:
    if not isinstance(value, VersionSelection):
        raise TypeError(f"'{type(value).__name__}' object is not an instance of 'VersionSelection'")
    return value
