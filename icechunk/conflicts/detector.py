"""Find the conflicts between uncommitted changes and one commit (Icechunk rebase rules)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from icechunk.changes.cut_chunks import cut_off
from icechunk.conflicts.model import (
    Conflict,
    ConflictSolver,
    ConflictType,
    Patched,
    Unsolvable,
)
from icechunk.core.errors import IcechunkError
from icechunk.core.ids import NodeId
from icechunk.core.paths import ancestors
from icechunk.spec.manifest.coordinates import common, inside, sorted_unique
from icechunk.spec.snapshot.nodes import NodeTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.changes.change_set import ChangeSet
    from icechunk.spec.manifest.coordinates import Coords
    from icechunk.spec.protocols import ChangedReader, ChunkReader, NodeReader
    from icechunk.spec.snapshot.nodes import NodeSnapshot
    from icechunk.spec.transaction_log.log import TransactionLog


def detect(
    log: TransactionLog,
    previous_repo: NodeReader,
    changes: ChangeSet,
    current_repo: ChangedReader,
) -> list[Conflict]:
    """All conflicts of a change set with one commit.

    Parameters
    ----------
    log : TransactionLog
        Transaction log of the commit.
    previous_repo : NodeReader
        The hierarchy of that commit.
    changes : ChangeSet
        Our uncommitted changes; only read.
    current_repo : ChangedReader
        The hierarchy as our session sees it, and as it was before our changes; it names arrays that
        the commit no longer has.

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
        *_new_nodes(previous_repo, changes, current_repo),
        *_updated_nodes(log, updated),
        *_chunks(log, dict(sorted(edited.items(), key=lambda item: item[1]))),
        *_chunks_of_both(log, previous_repo, changes, current_repo),
        *_deleted_nodes(log, previous_repo, changes),
    ]


def _still_movable(previous_repo: NodeReader, changes: ChangeSet) -> bool:
    """Whether our moves are possible after the commit.

    Otherwise a node that they added at a target of ours would be lost silently.
    """
    if not changes.moves:
        return True
    try:
        changes.moves.again(NodeTable(previous_repo))
    except IcechunkError:
        return False
    return True


def _path(node_id: NodeId, *readers: NodeReader) -> str:
    """Path of a node in the first hierarchy that has it."""
    for reader in readers:
        node = reader.by_id(node_id)
        if node is not None:
            return node.path
    return ""


def _new_nodes(
    previous_repo: NodeReader, changes: ChangeSet, current_repo: NodeReader
) -> Iterator[Conflict]:
    paths = sorted(changes.new)
    for path in paths:
        existing = previous_repo.get(path)
        # A node in place of one that we deleted is fine if they still have the deleted one.  If
        # they replaced it too, their new node would be lost silently.
        if existing is not None and existing.id not in changes.deleted:
            yield Conflict(ConflictType.NewNodeConflictsWithExistingNode, path)
    unfit: dict[str, bool] = {}
    for path in paths:
        for ancestor in ancestors(path):
            if ancestor not in unfit:
                node = previous_repo.get(ancestor)
                if node is not None:
                    unfit[ancestor] = node.is_array
                else:  # they deleted it: our node would have no parent
                    gone = ancestor not in changes.new
                    unfit[ancestor] = gone and current_repo.get(ancestor) is not None
            if unfit[ancestor]:
                yield Conflict(ConflictType.NewNodeInInvalidGroup, ancestor)
                break


def _updated_nodes(log: TransactionLog, updated: list[NodeSnapshot]) -> Iterator[Conflict]:
    """Conflicts of our metadata changes; arrays come first."""
    both = log.updated_arrays | log.updated_groups
    for node in updated:
        if node.id in both:
            yield Conflict(ConflictType.ZarrMetadataDoubleUpdate, node.path)
    for node in updated:
        if node.is_array and node.id in log.deleted_arrays:
            yield Conflict(ConflictType.ZarrMetadataUpdateOfDeletedArray, node.path)
        if not node.is_array and node.id in log.deleted_groups:
            yield Conflict(ConflictType.ZarrMetadataUpdateOfDeletedGroup, node.path)


def _chunks(log: TransactionLog, edited: dict[NodeId, str]) -> Iterator[Conflict]:
    for node_id, path in edited.items():
        if node_id in log.deleted_arrays:
            yield Conflict(ConflictType.ChunksUpdatedInDeletedArray, path)
    for node_id, path in edited.items():
        if node_id in log.updated_arrays:
            yield Conflict(ConflictType.ChunksUpdatedInUpdatedArray, path)


def _chunks_of_both(
    log: TransactionLog,
    previous_repo: NodeReader,
    changes: ChangeSet,
    current_repo: ChangedReader,
) -> Iterator[Conflict]:
    """Chunks that both changed; removing or cutting a chunk by a resize is a change."""
    found: dict[str, Coords] = {}
    for node_id in changes.chunks.keys() | changes.kept.keys():
        edits, theirs = changes.chunks.get(node_id), log.updated_chunks.get(node_id)
        ours = None if edits is None else edits.coords()
        both = [] if ours is None or theirs is None else [common(ours, theirs)]
        before = current_repo.former(node_id)
        if before is not None and before.array is not None:
            grid, its = before.array.num_chunks, previous_repo.by_id(node_id)
            if theirs is not None:
                # Our deletions beyond a smaller grid are our edits only where Zarr made them.
                both.append(_beyond(theirs, changes.kept.get(node_id), grid))
                both.append(cut_off(theirs, before, its, changes.updated.get(node_id)))
            if edits is not None and node_id in log.updated_arrays and its and its.array:
                written = edits.written()
                # Logs of earlier releases do not name the chunks that a resize removed.
                both.append(_beyond(written, its.array.num_chunks, grid))
                both.append(cut_off(written, before, current_repo.by_id(node_id), its))
        both = [coords for coords in both if len(coords)]
        if both:
            coords = both[0] if len(both) == 1 else sorted_unique(np.concatenate(both))
            found[_path(node_id, current_repo, previous_repo)] = coords
    for path in sorted(found):
        yield Conflict.of_chunks(path, found[path])


def _beyond(coords: Coords, grid: tuple[int, ...] | None, former: tuple[int, ...]) -> Coords:
    """Coordinates on a former chunk grid that are not on the present one."""
    if grid is None or not coords.shape[1] == len(grid) == len(former):
        return coords[:0]
    return coords[_on(coords, former) & ~_on(coords, grid)]


def _on(coords: Coords, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    return inside(coords, tuple((0, max(count, 1)) for count in grid))


def on_grid(coords: Coords, grid: tuple[int, ...]) -> bool:
    """Whether all coordinates are on a chunk grid of the same rank."""
    return bool(_on(coords, grid).all())


def _deleted_nodes(
    log: TransactionLog, previous_repo: NodeReader, changes: ChangeSet
) -> Iterator[Conflict]:
    deleted = sorted(changes.deleted.values(), key=lambda node: (not node.is_array, node.path))
    filled = _filled(log, previous_repo, changes) if deleted else set()
    for node in deleted:
        existing = previous_repo.get(node.path)
        if existing is None:
            continue
        if node.is_array:
            updated = existing.id in log.updated_arrays or existing.id in log.updated_chunks
            if updated or node.path in filled:
                yield Conflict(ConflictType.DeleteOfUpdatedArray, node.path)
        elif existing.id in log.updated_groups or node.path in filled:
            yield Conflict(ConflictType.DeleteOfUpdatedGroup, node.path)


def _filled(log: TransactionLog, previous_repo: NodeReader, changes: ChangeSet) -> set[str]:
    """Nodes that we deleted and below which they added others, which would have no parent."""
    filled = set()
    for node_id in log.new_groups | log.new_arrays:
        made = previous_repo.by_id(node_id)
        if made is None or made.id in changes.deleted:
            continue
        for ancestor in ancestors(made.path):
            again = changes.new.get(ancestor)
            if again is not None and not again.is_array:
                break
            node = previous_repo.get(ancestor)
            if node is not None and node.id in changes.deleted:
                filled.add(ancestor)
                break
    return filled


def past(
    log: TransactionLog, previous_repo: NodeReader, current: ChangeSet, edited: ChangeSet
) -> Patched:
    """Answer with changes whose edits follow the chunk grids of the commit.

    An array whose edits were all dropped stays among the changes without a conflict, although the
    commit may have changed its chunk grid; later writes need the new one.

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
    """Solver without rules: any conflict stops the rebase."""

    def solve(
        self,
        previous_change: TransactionLog,
        previous_repo: NodeReader,
        current_changes: ChangeSet,
        current_repo: ChunkReader,
    ) -> Patched | Unsolvable:
        """Accept changes without conflicts."""
        conflicts = detect(previous_change, previous_repo, current_changes, current_repo)
        if conflicts:
            return Unsolvable(conflicts)
        return past(previous_change, previous_repo, current_changes, current_changes)
