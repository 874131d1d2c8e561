"""Compare the content of two snapshots or sessions, independent of their histories."""

from __future__ import annotations

import numpy as np

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.engine.context import RepoContext
from icechunk.engine.reader import ArrayReader, SnapshotView
from icechunk.engine.transaction import Transaction, missing_node
from icechunk.spec.manifest.coordinates import Coords
from icechunk.spec.manifest.references import changed
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.spec.transaction_log.diff import Diff


def compare(ctx: RepoContext, before: ObjectId, after: ObjectId) -> Diff:
    """Difference of any two snapshots, related or not.

    Nodes are matched by id; a node that was removed and made again is both deleted and new.
    Chunks differ when their references do.
    """
    return _compare(
        SnapshotView(ctx.files.snapshot(before), ctx.files),
        SnapshotView(ctx.files.snapshot(after), ctx.files),
    )


def compare_sessions(before: Transaction, after: Transaction) -> Diff:
    """Difference of two transactions, their uncommitted changes included.

    Raises
    ------
    InvalidInputError
        When they are of different repositories.
    """
    if before.ctx.storage.identity != after.ctx.storage.identity:
        raise InvalidInputError(
            "the sessions are of different repositories: nodes of one are unknown to the other. "
            "Compare sessions of one repository",
            ErrorKind.NOT_ALLOWED,
        )
    return _compare(SessionView(before), SessionView(after))


class SessionView:
    """The nodes and chunks of a transaction at one moment.

    Parameters
    ----------
    transaction : Transaction
        Read as it is now; must not be changed while it is compared.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._nodes = {node.id: node for node in transaction.tree}

    @property
    def nodes(self) -> list[NodeSnapshot]:
        """All nodes."""
        return list(self._nodes.values())

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        return self._nodes.get(node_id)

    def reader(self, node: NodeSnapshot) -> ArrayReader:
        """Reader of one of the arrays."""
        reader = self._transaction.reader(node.path)
        if reader is None:
            raise missing_node(node.path)
        return reader

    def is_edited(self, node: NodeSnapshot) -> bool:
        """Whether chunks of an array may differ from its manifests."""
        changes = self._transaction.changes
        return node.id in changes.chunks or node.id in changes.updated


_View = SnapshotView | SessionView


def _compare(old: _View, new: _View) -> Diff:
    result = Diff()
    for node in old.nodes:
        if new.by_id(node.id) is None:
            (result.deleted_arrays if node.is_array else result.deleted_groups).add(node.path)
    for node in new.nodes:
        former = old.by_id(node.id)
        if former is None:
            (result.new_arrays if node.is_array else result.new_groups).add(node.path)
        else:
            if former.user_data != node.user_data:
                updated = result.updated_arrays if node.is_array else result.updated_groups
                updated.add(node.path)
            if former.path != node.path:
                result.moved_nodes.append((former.path, node.path))
        if node.array is not None:
            coords = _changed_chunks(old, former, new, node)
            if len(coords):
                result.chunk_coordinates[node.path] = coords
    return result


def _changed_chunks(
    old: _View, former: NodeSnapshot | None, new: _View, node: NodeSnapshot
) -> Coords:
    """Coordinates whose references differ, row-major."""
    assert node.array is not None
    theirs = new.reader(node)
    if former is None or former.array is None:
        return theirs.table().coords()
    edited = _is_edited(old, former) or _is_edited(new, node)
    if former.array.manifests == node.array.manifests and not edited:
        return np.empty((0, len(node.array.num_chunks)), np.uint32)
    return changed(old.reader(former).table(), theirs.table())


def _is_edited(view: _View, node: NodeSnapshot) -> bool:
    return isinstance(view, SessionView) and view.is_edited(node)
