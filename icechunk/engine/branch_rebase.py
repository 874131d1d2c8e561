"""Find the conflicts of a rebase of one branch onto another; nothing is written."""

from __future__ import annotations

from icechunk.changes.change_set import ChangeSet, DeletedNode
from icechunk.changes.chunk_edits import ChunkEdits
from icechunk.changes.tree_view import TreeView
from icechunk.conflicts.detector import detect
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.ids import ObjectId
from icechunk.engine.commit_logs import united
from icechunk.engine.context import RepoContext
from icechunk.engine.rebase import logs_of
from icechunk.spec.manifest.references import deletions
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.snapshot.nodes import NodeTable
from icechunk.spec.transaction_log.log import TransactionLog


def rebase_conflicts(ctx: RepoContext, ours: ObjectId, theirs: ObjectId) -> list[Conflict]:
    """Conflicts of the commits that lead to one snapshot with those that lead to another.

    The commits since the last common ancestor are taken together on both sides: ours as changes
    that were not committed yet, theirs as one commit.

    Raises
    ------
    InvalidInputError
        When the snapshots have no common ancestor.
    SessionStateError
        Kind ``rebase-tx-log-pruned`` when the log of an expired commit is gone.
    """
    mine, others, base = _apart(ctx, ours, theirs)
    if not mine or not others:
        return []
    logs = [
        [log for record in reversed(commits) for log in logs_of(ctx, record)]
        for commits in (mine, others)
    ]
    # Rebasing a move, or over one, is refused; moves that cancel out count too.
    if any(log.moved for log in [*logs[0], *logs[1]]):
        return [Conflict(ConflictType.MoveOperationCannotBeRebased, "")]
    own, log = map(united, logs)
    before, tip, goal = (ctx.files.snapshot(one).nodes for one in (base, ours, theirs))
    changes = _as_changes(own, before, tip)
    return detect(log, goal, changes, TreeView(before, changes))


def _apart(
    ctx: RepoContext, ours: ObjectId, theirs: ObjectId
) -> tuple[list[SnapshotRecord], list[SnapshotRecord], ObjectId]:
    """Commits that only one of two snapshots descends from, newest first, and where they meet."""
    history = list(ctx.ref_store.ancestry(theirs))
    rows = {record.id: row for row, record in enumerate(history)}
    mine: list[SnapshotRecord] = []
    for record in ctx.ref_store.ancestry(ours):
        row = rows.get(record.id)
        if row is not None:
            return mine, history[:row], record.id
        mine.append(record)
    raise InvalidInputError(
        "the branches have no common ancestor, so one cannot be rebased onto the other; compare "
        "their states with `Repository.diff(..., any_states=True)`",
        ErrorKind.NOT_ALLOWED,
    )


def _as_changes(log: TransactionLog, base: NodeTable, tip: NodeTable) -> ChangeSet:
    """Committed changes in the form in which a session holds them before it commits.

    Parameters
    ----------
    log : TransactionLog
        Everything that was changed.
    base, tip : NodeTable
        The hierarchy before and after.
    """
    found = ChangeSet()
    for node_id in log.new_groups | log.new_arrays:
        node = tip.by_id(node_id)
        if node is not None:
            found.insert(node)
    for node_id in log.updated_groups | log.updated_arrays:
        node = tip.by_id(node_id)
        if node is not None and base.by_id(node_id) is not None:
            found.updated[node_id] = node
            if node.array is not None:
                found.kept[node_id] = node.array.num_chunks
    for node_id in log.deleted_groups | log.deleted_arrays:
        node = base.by_id(node_id)
        if node is not None and tip.by_id(node_id) is None:
            found.deleted[node_id] = DeletedNode(node_id, node.path, node.is_array)
    for node_id, coords in log.updated_chunks.items():
        node = tip.by_id(node_id)
        if node is None or node.array is None or not len(coords):
            continue
        edits = found.chunks[node_id] = ChunkEdits(node.array.num_chunks)
        edits.extend(deletions(coords))
    return found
