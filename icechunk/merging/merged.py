"""The result of a merge: as a commit that adopts manifests, or as changes of a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.moves import Moves, in_log_order
from icechunk.core.errors import IcechunkError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.merging.array_merge import ArrayResult, taken
from icechunk.merging.documents import same_document
from icechunk.spec.snapshot.nodes import NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot
from icechunk.spec.transaction_log.log import Move, TransactionLog

if TYPE_CHECKING:
    from icechunk.conflicts.model import Conflict
    from icechunk.merging.state import State
    from icechunk.spec.manifest.chunk_table import ChunkTable
    from icechunk.spec.manifest.coordinates import Coords


@dataclass(frozen=True, slots=True)
class Changed:
    """A node that the target does not have so.

    Attributes
    ----------
    node : NodeSnapshot
        With its path, metadata and, where they are adopted, manifests of the source.
    result : ArrayResult
        What becomes of the chunks of an array that the target has.
    """

    node: NodeSnapshot
    result: ArrayResult


@dataclass(frozen=True)
class Merged:
    """The target with the changes of the source.

    Attributes
    ----------
    source, target : State
        The states that were merged.
    nodes : list of Changed
        Nodes of the result that differ from the target's.
    removed : set of NodeId
        Nodes of the target that are gone.
    conflicts : list of Conflict
        What is not decided; the rest is laid as if the target had been chosen for them.
    """

    source: State
    target: State
    nodes: list[Changed]
    removed: set[NodeId]
    conflicts: list[Conflict]

    @cached_property
    def log(self) -> TransactionLog:
        """Exact difference of the target and the result; its id means nothing."""
        sets: dict[str, set[NodeId]] = {}

        def enter(what: str, node: NodeSnapshot) -> None:
            kind = "arrays" if node.is_array else "groups"
            sets.setdefault(f"{what}_{kind}", set()).add(node.id)

        chunks: dict[NodeId, Coords] = {}
        for node, its, result in self._pairs():
            touched = result.touched
            if its is None:
                enter("new", node)
                if node.array is not None:
                    touched = self._source_table(node).coords()
            elif not same_document(its, node):
                enter("updated", node)
            if touched is not None and len(touched):
                chunks[node.id] = touched
        for node_id in self.removed:
            gone = self.target.by_id(node_id)
            if gone is not None:
                enter("deleted", gone)
        return TransactionLog(
            id=ObjectId(bytes(12)),
            updated_chunks=dict(sorted(chunks.items())),
            moved=in_log_order(self._moves()),
            **{name: frozenset(ids) for name, ids in sets.items()},
        )

    def _pairs(self) -> Iterator[tuple[NodeSnapshot, NodeSnapshot | None, ArrayResult]]:
        for one in self.nodes:
            yield one.node, self.target.by_id(one.node.id), one.result

    def _moves(self) -> list[Move]:
        return [
            Move(its.path, node.path, node.id, node.is_array)
            for node, its, _ in self._pairs()
            if its is not None and its.path != node.path
        ]

    def _source_table(self, node: NodeSnapshot) -> ChunkTable:
        found = self.source.by_id(node.id)
        assert found is not None
        return self.source.table(found)

    # -- as a commit -----------------------------------------------------------------------------

    @cached_property
    def laid(self) -> tuple[Snapshot, ChangeSet]:
        """The target's snapshot with all in it that needs no manifest, and what lies over that.

        The snapshot has other metadata and places, nodes that were made or deleted and adopted
        manifests; the changes are chunk references of arrays that both sides changed, and arrays
        made smaller.  For a commit, which writes both; the log says what a commit changes.
        """
        changes = self.target.changes.copy()
        nodes: list[NodeSnapshot] = []
        gone = set(self.removed)
        for node, its, result in self._pairs():
            laid = node
            if its is not None:
                if its.path != node.path:
                    gone.add(node.id)
                laid = _smaller(changes, its, node, result)
            nodes.append(laid)
            if result.edits is not None and len(result.edits):
                changes.edits(changes.updated.get(node.id, laid)).extend(result.edits)
                changes.objects |= result.objects
        former = self.target.snapshot
        known: dict[ObjectId, ManifestInfo] = {**self.source.snapshot.manifests}
        known.update(former.manifests)
        table = former.nodes.edited(nodes, gone)
        used = table.manifest_ids()
        manifests = {one: info for one, info in known.items() if one in used}
        return replace(former, nodes=table, manifests=manifests), changes

    # -- as changes of a session -----------------------------------------------------------------

    def as_changes(self) -> ChangeSet:
        """The target's changes with those of the merge: what a session goes on with.

        Where the moves cannot be made one after the other, as when two nodes change places, they
        are right together, and a rebase over another commit refuses to make them again.
        """
        changes = self.target.changes.copy()
        moves = {move.node_id: move for move in self._moves()}
        for node_id in self.removed:
            gone = self.target.by_id(node_id)
            if gone is not None:
                changes.remove(gone)
        for node, its, result in self._pairs():
            if its is None:
                changes.insert(_without_manifests(node))
                edits = self._source_table(node) if node.array is not None else None
            else:
                edits = result.edits
                if result.adopted is not None and result.touched is not None:
                    edits = taken(self._source_table(node), result.touched)
                if its.path != node.path and its.path in changes.new:
                    changes = _moved_new(changes, its, node)
                    its = replace(its, path=node.path)
                    moves.pop(node.id, None)
                if not same_document(its, node):
                    present = node if its.path in changes.new else replace(node, path=its.path)
                    changes.update(replace(present, array=its.array), node.user_data, node.array)
            if edits is not None and len(edits):
                changes.edits(node).extend(edits)
                changes.objects |= result.objects
        changes.moves = _with_moves(changes.moves, self.target.snapshot.nodes, moves)
        return changes


def _with_moves(done: Moves, nodes: NodeTable, moves: dict[NodeId, Move]) -> Moves:
    """Moves with further ones, as steps where these can be made one after the other."""
    if not moves:
        return done
    try:
        return _in_steps(done, nodes, moves)
    except IcechunkError:
        # A target is free, or a parent is there, only together with the other changes.
        steps = tuple((move.source, move.target) for move in moves.values())
        former = {one.node_id: one for one in done.net.values()}
        net = dict(done.net)
        for move in moves.values():
            begun = former.get(move.node_id, move).source
            net[move.node_id] = move._replace(source=begun)
        return Moves((*done.steps, *steps), net)


def _in_steps(done: Moves, nodes: NodeTable, moves: dict[NodeId, Move]) -> Moves:
    """Moves that are made one after the other, those of groups before those in them."""
    for move in sorted(moves.values(), key=lambda move: move.source.count("/")):
        present = done.net.get(move.node_id)
        if present is not None and present.target == move.target:
            continue  # a group above it took it along
        source = move.source if present is None else present.target
        done = done.then(done.over(nodes), source, move.target)
    return done


def _moved_new(changes: ChangeSet, its: NodeSnapshot, node: NodeSnapshot) -> ChangeSet:
    """Give a node that the session made, and has not committed, another path."""
    former, edits = changes.new[its.path], changes.chunks.get(its.id)
    changes.remove(former)
    changes.insert(replace(former, path=node.path))
    if edits is not None:
        changes.chunks[its.id] = edits
    return changes


def _smaller(
    changes: ChangeSet, its: NodeSnapshot, node: NodeSnapshot, result: ArrayResult
) -> NodeSnapshot:
    """Lay a smaller grid as a change, so that the chunks beyond it leave the manifests."""
    if its.array is None or node.array is None or result.adopted is not None:
        return node
    former, grid = its.array.num_chunks, node.array.num_chunks
    if node.id not in changes.updated and (
        len(former) != len(grid) or all(n >= o for n, o in zip(grid, former, strict=True))
    ):
        return node
    changes.updated[node.id] = _without_manifests(node)
    kept = changes.kept.get(node.id, former)
    changes.kept[node.id] = tuple(map(min, kept, grid))
    return replace(its, path=node.path)


def _without_manifests(node: NodeSnapshot) -> NodeSnapshot:
    return node if node.array is None else replace(node, array=replace(node.array, manifests=()))
