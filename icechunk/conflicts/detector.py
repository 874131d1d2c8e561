"""Find the conflicts between uncommitted changes and one commit (Icechunk rebase rules)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from icechunk.conflicts.model import (
    Conflict,
    ConflictSolver,
    ConflictType,
    Patched,
    Unsolvable,
)
from icechunk.ground.errors import IcechunkError
from icechunk.ground.ids import NodeId
from icechunk.ground.paths import ancestors
from icechunk.model.coordinates import common
from icechunk.model.nodes import NodeTable

if TYPE_CHECKING:
    from icechunk.changes.change_set import ChangeSet
    from icechunk.model.nodes import NodeSnapshot
    from icechunk.model.protocols import ChunkReader, NodeReader
    from icechunk.model.txlog import TransactionLog


def detect(
    log: TransactionLog,
    previous_repo: NodeReader,
    changes: ChangeSet,
    current_repo: NodeReader,
) -> list[Conflict]:
    """Every conflict of a change set with one commit.

    Parameters
    ----------
    log : TransactionLog
        What the commit touched.
    previous_repo : NodeReader
        The hierarchy of that commit.
    changes : ChangeSet
        Our uncommitted changes; only read.
    current_repo : NodeReader
        The hierarchy as our session sees it; it names arrays that the commit no longer has.

    Returns
    -------
    list of Conflict
        By kind in the order of the rebase rules, paths in order within a kind.
    """
    if log.moved or not _still_movable(previous_repo, changes):
        return [Conflict(ConflictType.MoveOperationCannotBeRebased, "")]
    edited = {
        node_id: _path(node_id, current_repo, previous_repo)
        for node_id, edits in changes.chunks.items()
        if len(edits)
    }
    updated = sorted(changes.updated.values(), key=lambda node: (not node.is_array, node.path))
    return [
        *_new_nodes(previous_repo, changes),
        *_updated_nodes(log, updated),
        *_chunks(log, changes, dict(sorted(edited.items(), key=lambda item: item[1]))),
        *_deleted_nodes(log, previous_repo, changes),
    ]


def _still_movable(previous_repo: NodeReader, changes: ChangeSet) -> bool:
    """Whether our moves can be made after the commit; one of theirs may be in the way.

    Passing would drop a node that they made where we move to, without anybody having seen it.
    """
    if not changes.moves:
        return True
    try:
        changes.moves.again(NodeTable(previous_repo))
    except IcechunkError:
        return False
    return True


def _path(node_id: NodeId, *readers: NodeReader) -> str:
    """Path of a node in the first hierarchy that knows it."""
    for reader in readers:
        node = reader.by_id(node_id)
        if node is not None:
            return node.path
    return ""


def _new_nodes(previous_repo: NodeReader, changes: ChangeSet) -> Iterator[Conflict]:
    paths = sorted(changes.new)
    for path in paths:
        existing = previous_repo.get(path)
        # Making again what we deleted is fine, but only if it is still the same node: one that
        # they made again as well would vanish without anybody having seen it.
        if existing is not None and existing.id not in changes.deleted:
            yield Conflict(ConflictType.NewNodeConflictsWithExistingNode, path)
    arrays: dict[str, bool] = {}
    for path in paths:
        for ancestor in ancestors(path):
            if ancestor not in arrays:
                node = previous_repo.get(ancestor)
                arrays[ancestor] = node is not None and node.is_array
            if arrays[ancestor]:
                yield Conflict(ConflictType.NewNodeInInvalidGroup, ancestor)
                break


def _updated_nodes(log: TransactionLog, updated: list[NodeSnapshot]) -> Iterator[Conflict]:
    """Conflicts of our metadata changes, given arrays first."""
    both = log.updated_arrays | log.updated_groups
    for node in updated:
        if node.id in both:
            yield Conflict(ConflictType.ZarrMetadataDoubleUpdate, node.path)
    for node in updated:
        if node.is_array and node.id in log.deleted_arrays:
            yield Conflict(ConflictType.ZarrMetadataUpdateOfDeletedArray, node.path)
        if not node.is_array and node.id in log.deleted_groups:
            yield Conflict(ConflictType.ZarrMetadataUpdateOfDeletedGroup, node.path)


def _chunks(
    log: TransactionLog, changes: ChangeSet, edited: dict[NodeId, str]
) -> Iterator[Conflict]:
    for node_id, path in edited.items():
        if node_id in log.deleted_arrays:
            yield Conflict(ConflictType.ChunksUpdatedInDeletedArray, path)
    for node_id, path in edited.items():
        if node_id in log.updated_arrays:
            yield Conflict(ConflictType.ChunksUpdatedInUpdatedArray, path)
    for node_id, path in edited.items():
        theirs = log.updated_chunks.get(node_id)
        if theirs is not None:
            coords = common(changes.chunks[node_id].coords(), theirs)
            if len(coords):
                yield Conflict.of_chunks(path, coords)


def _deleted_nodes(
    log: TransactionLog, previous_repo: NodeReader, changes: ChangeSet
) -> Iterator[Conflict]:
    deleted = sorted(changes.deleted.values(), key=lambda node: (not node.is_array, node.path))
    for node in deleted:
        existing = previous_repo.get(node.path)
        if existing is None:
            continue
        if node.is_array:
            if existing.id in log.updated_arrays or existing.id in log.updated_chunks:
                yield Conflict(ConflictType.DeleteOfUpdatedArray, node.path)
        elif existing.id in log.updated_groups:
            yield Conflict(ConflictType.DeleteOfUpdatedGroup, node.path)


def past(
    log: TransactionLog, previous_repo: NodeReader, current: ChangeSet, edited: ChangeSet
) -> Patched:
    """Answer with changes that passed a commit, fitted to the arrays as the commit left them.

    An array whose edits were all given up stays among the changes and conflicts with nothing, so
    its chunk grid may have changed; later writes have to count in the new one.

    Parameters
    ----------
    log : TransactionLog
        What the commit touched.
    previous_repo : NodeReader
        The hierarchy of that commit.
    current, edited : ChangeSet
        The changes that the solver was given, which are not touched, and those it ended with,
        which may be the same.
    """
    for node_id in log.updated_arrays & edited.chunks.keys():
        node = edited.updated.get(node_id) or previous_repo.by_id(node_id)
        if node is None or node.array is None:
            continue
        if edited.chunks[node_id].num_chunks != node.array.num_chunks:
            if edited is current:
                edited = current.copy()
            edited.chunks[node_id].regrid(node.array.num_chunks)
    return Patched(edited)


class ConflictDetector(ConflictSolver):
    """Solver that solves nothing: any conflict stops the rebase."""

    def solve(
        self,
        previous_change: TransactionLog,
        previous_repo: NodeReader,
        current_changes: ChangeSet,
        current_repo: ChunkReader,
    ) -> Patched | Unsolvable:
        """Let changes pass that conflict with nothing."""
        conflicts = detect(previous_change, previous_repo, current_changes, current_repo)
        if conflicts:
            return Unsolvable(conflicts)
        return past(previous_change, previous_repo, current_changes, current_changes)
