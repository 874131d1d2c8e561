"""The state that both sides of a merge started from, where its snapshot expired.

Expiration keeps the transaction logs of the commits that it removes from a history. What a side did
not change since the base is in the base as it is in that side; so the base is known again, except
for what both sides changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.ids import OBJECT_ID_SIZE, NodeId, ObjectId
from icechunk.engine.commit_logs import united
from icechunk.engine.context import RepoContext
from icechunk.merging.array_merge import taken
from icechunk.merging.documents import same_document
from icechunk.merging.state import State
from icechunk.merging.verdicts import SOURCE, UNDECIDED, Verdicts
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import common, member, sorted_unique
from icechunk.spec.manifest.references import changed, deletions
from icechunk.spec.snapshot.nodes import ManifestRef, NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import Snapshot
from icechunk.spec.transaction_log.log import TransactionLog

if TYPE_CHECKING:
    from icechunk.spec.manifest.coordinates import Coords

_NOWHERE = ObjectId(bytes(OBJECT_ID_SIZE))


def logs_of(ctx: RepoContext, snapshot_ids: Iterable[ObjectId]) -> TransactionLog | None:
    """The logs of some commits as one, oldest first; None when one of them was collected."""
    logs = [TransactionLog(_NOWHERE)]
    for one in snapshot_ids:
        try:
            logs.append(ctx.files.log(one))
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return None
    return united(logs)


def expired_base(
    source: State,
    target: State,
    source_log: TransactionLog | None,
    target_log: TransactionLog | None,
    verdicts: Verdicts,
) -> tuple[State, list[Conflict]]:
    """Rebuild the state that both sides started from.

    What cannot be known, because both sides changed it, is chosen so that the merge takes the side
    that was decided for, the target where nothing was.

    Parameters
    ----------
    source, target : State
        The sides.
    source_log, target_log : TransactionLog or None
        All that each side changed since the base; where one is None, nothing is known of the base.
    verdicts : Verdicts
        What was decided.

    Returns
    -------
    State
        Its chunk tables hold a tombstone for each chunk whose former reference is not known.
    list of Conflict
        Of kind ``BaseExpired``, for nodes of which both sides changed the metadata.
    """
    if source_log is None or target_log is None:
        source_log = target_log = None
    sides = _Side(source, source_log), _Side(target, target_log)
    return _Rebuilding(*sides, verdicts).run()


class _Side:
    """A state, and what its log says about a node."""

    def __init__(self, state: State, log: TransactionLog | None) -> None:
        self.state = state
        self.log = log
        self._new: frozenset[NodeId] = frozenset()
        self._updated: frozenset[NodeId] = frozenset()
        if log is not None:
            self._new = log.new_groups | log.new_arrays
            self._updated = log.updated_groups | log.updated_arrays
        self._moves = {} if log is None else {move.node_id: move.source for move in log.moved}

    def made(self, node_id: NodeId) -> bool:
        """Whether this side made a node."""
        return node_id in self._new

    def updated(self, node_id: NodeId) -> bool:
        """Whether this side changed a node's metadata, or may have."""
        return self.log is None or node_id in self._updated

    def former_path(self, node_id: NodeId) -> str | None:
        """Where a node was before this side moved it; None when it did not."""
        return self._moves.get(node_id)

    def written(self, node: NodeSnapshot) -> Coords:
        """Chunks that this side wrote or deleted, or may have."""
        if self.log is None:
            return self.state.table(node).coords()
        assert node.array is not None
        rank = len(node.array.shape)
        found = self.log.updated_chunks.get(node.id)
        if found is None:
            return np.empty((0, rank), np.uint32)
        return found if found.shape[1] == rank else self.state.table(node).coords()


class _RebuiltState(State):
    """A state whose chunk tables come from two others."""

    def __init__(self, nodes: list[NodeSnapshot], source: _Side, target: _Side) -> None:
        super().__init__(
            Snapshot(_NOWHERE, None, 0, "", nodes=NodeTable(nodes)),
            ChangeSet(),
            target.state.files,
        )
        self._by_id = {node.id: node for node in nodes}
        self._source, self._target = source, target

    def table(self, node: NodeSnapshot) -> ChunkTable:
        """All chunk references of an array; tombstones where they are not known."""
        if node.id not in self._tables:
            self._tables[node.id] = self._rebuilt(node.id)
        return self._tables[node.id]

    def _rebuilt(self, node_id: NodeId) -> ChunkTable:
        sides = self._source, self._target
        nodes = [side.state.by_id(node_id) for side in sides]
        if nodes[0] is None or nodes[1] is None:
            side, node = (sides[1], nodes[1]) if nodes[0] is None else (sides[0], nodes[0])
            assert node is not None
            table = side.state.table(node)
            if side.log is None:
                return table
            return ChunkTable.merge(table, deletions(side.written(node)), keep_tombstones=True)
        source, target = (
            side.state.table(node) for side, node in zip(sides, nodes, strict=True) if node
        )
        ours, theirs = (side.written(node) for side, node in zip(sides, nodes, strict=True) if node)
        if ours.shape[1] != theirs.shape[1]:
            return deletions(target.coords())
        both = common(ours, theirs)
        if self._source.log is None:
            both = sorted_unique(np.concatenate((ours, theirs)))
        table = ChunkTable.merge(target, taken(source, theirs[~member(theirs, both)]))
        unknown = changed(taken(source, both), taken(target, both))
        return ChunkTable.merge(table, deletions(unknown), keep_tombstones=True)


class _Rebuilding:
    """The nodes of an expired state."""

    def __init__(self, source: _Side, target: _Side, verdicts: Verdicts) -> None:
        self.source, self.target = source, target
        self.verdicts = verdicts
        self.conflicts: list[Conflict] = []

    def run(self) -> tuple[State, list[Conflict]]:
        mine, its = self.source.state, self.target.state
        nodes = []
        for node_id in mine.ids | its.ids:
            one, other = mine.by_id(node_id), its.by_id(node_id)
            if one is None or other is None:
                node = self._of_one(one, other)
            elif self.source.made(node_id) and self.target.made(node_id):
                continue  # picked from one side to the other
            else:
                node = self._of_both(one, other)
            if node is not None:
                nodes.append(node)
        return _RebuiltState(nodes, self.source, self.target), self.conflicts

    def _decide(self, path: str) -> int:
        side = self.verdicts.side(ConflictType.BaseExpired, path)
        conflict = Conflict(ConflictType.BaseExpired, path)
        if side == UNDECIDED and conflict not in self.conflicts:
            self.conflicts.append(conflict)
        return side

    def _of_one(self, mine: NodeSnapshot | None, its: NodeSnapshot | None) -> NodeSnapshot | None:
        """A node that only one side has: new there, or deleted by the other."""
        side, node = (self.target, its) if mine is None else (self.source, mine)
        assert node is not None
        if side.log is None:
            # Not known to be new or deleted: as if new where the merge is to have it.
            keep = (self._decide(node.path) == SOURCE) == (mine is not None)
            return None if keep else node
        if side.made(node.id):
            return None
        former = replace(node, path=side.former_path(node.id) or node.path)
        if side.updated(node.id):
            # Only that it was another document is known, which makes the deletion a conflict.
            document = json.dumps({**node.document, "expired": True}).encode()
            former = replace(former, user_data=document)
        return _with_manifests(former, None if node.array and len(side.written(node)) else node)

    def _of_both(self, mine: NodeSnapshot, its: NodeSnapshot) -> NodeSnapshot:
        document = self._document(mine, its)
        former = replace(document, path=self._path(mine, its))
        for side, node in ((self.target, its), (self.source, mine)):
            if node.array is None or side.log is None:
                continue
            manifests = side.state.manifests(node)
            if manifests is not None and not len(side.written(node)):
                return _with_manifests(former, node)
        return _with_manifests(former, None)

    def _document(self, mine: NodeSnapshot, its: NodeSnapshot) -> NodeSnapshot:
        """The node with the metadata of the base."""
        if same_document(mine, its) or not self.target.updated(its.id):
            return its
        if not self.source.updated(mine.id):
            return mine
        return its if self._decide(its.path) == SOURCE else mine

    def _path(self, mine: NodeSnapshot, its: NodeSnapshot) -> str:
        former = self.source.former_path(mine.id), self.target.former_path(its.id)
        if former[0] is not None and former[1] is not None:
            return former[1]
        if mine.path == its.path:
            return its.path
        if self.source.log is None:
            return its.path if self._decide(its.path) == SOURCE else mine.path
        return its.path if former[1] is None else mine.path


def _with_manifests(node: NodeSnapshot, like: NodeSnapshot | None) -> NodeSnapshot:
    """The node with the manifests of another; with those of no state where there is none."""
    if node.array is None:
        return node
    nowhere = (ManifestRef(_NOWHERE, tuple((0, 0) for _ in node.array.shape)),)
    manifests = nowhere if like is None or like.array is None else like.array.manifests
    return replace(node, array=replace(node.array, manifests=manifests))
