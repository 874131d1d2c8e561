"""The transaction log of a change set: which nodes and chunks it touched."""

from __future__ import annotations

from icechunk.changes.change_set import ChangeSet
from icechunk.core.ids import ObjectId
from icechunk.spec.transaction_log.log import TransactionLog


def transaction_log(snapshot_id: ObjectId, changes: ChangeSet) -> TransactionLog:
    """Describe a change set as the log of a snapshot (Icechunk spec, "Transaction logs")."""
    return TransactionLog(
        id=snapshot_id,
        new_groups=frozenset(node.id for node in changes.new.values() if not node.is_array),
        new_arrays=frozenset(node.id for node in changes.new.values() if node.is_array),
        deleted_groups=frozenset(node.id for node in changes.deleted.values() if not node.is_array),
        deleted_arrays=frozenset(node.id for node in changes.deleted.values() if node.is_array),
        updated_groups=frozenset(n.id for n in changes.updated.values() if not n.is_array),
        updated_arrays=frozenset(n.id for n in changes.updated.values() if n.is_array),
        updated_chunks={node_id: edits.coords() for node_id, edits in changes.chunks.items()},
        moved=changes.moves.logged(),
    )
