"""Make the transaction log of a change set: the nodes and chunks that it changed."""

from __future__ import annotations

from collections.abc import Collection

from icechunk.changes.change_set import ChangeSet, DeletedNode
from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.spec.transaction_log.log import TransactionLog


def transaction_log(snapshot_id: ObjectId, changes: ChangeSet) -> TransactionLog:
    """Describe a change set as the log of a snapshot (Icechunk spec, "Transaction logs")."""
    new, deleted, updated = changes.new.values(), changes.deleted.values(), changes.updated.values()
    return TransactionLog(
        id=snapshot_id,
        new_groups=_ids(new, arrays=False),
        new_arrays=_ids(new, arrays=True),
        deleted_groups=_ids(deleted, arrays=False),
        deleted_arrays=_ids(deleted, arrays=True),
        updated_groups=_ids(updated, arrays=False),
        updated_arrays=_ids(updated, arrays=True),
        updated_chunks={node_id: edits.coords() for node_id, edits in changes.chunks.items()},
        moved=changes.moves.logged(),
    )


def _ids(
    nodes: Collection[NodeSnapshot] | Collection[DeletedNode], *, arrays: bool
) -> frozenset[NodeId]:
    return frozenset([node.id for node in nodes if node.is_array == arrays])
