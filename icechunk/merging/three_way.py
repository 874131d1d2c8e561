"""Lay what changed between two states over a third one, node by node."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from icechunk.changes.document_merge import differences
from icechunk.changes.document_merge import merge as merge_documents
from icechunk.changes.merge import SameBytes
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.core.ids import NodeId
from icechunk.merging.appends import Appends
from icechunk.merging.array_merge import (
    ArrayResult,
    encoding,
    merge_chunks,
    merged_shape,
    with_document,
)
from icechunk.merging.documents import DERIVED, encoding_keys, same_document
from icechunk.merging.hierarchy_merge import Hierarchy
from icechunk.merging.merged import Changed, Merged
from icechunk.merging.sides import Sides
from icechunk.merging.verdicts import SOURCE, TARGET, UNDECIDED, Verdicts
from icechunk.spec.manifest.references import changed
from icechunk.spec.snapshot.nodes import NodeSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from icechunk.merging.chunk_values import ChunkValues
    from icechunk.merging.state import State

_K = ConflictType


def three_way(
    base: State | None,
    source: State,
    target: State,
    verdicts: Verdicts,
    same_bytes: SameBytes,
    *,
    values: ChunkValues | None = None,
    selected: Callable[[NodeSnapshot], bool] | None = None,
) -> Merged:
    """Merge two states that started from a third.

    Equal changes of both sides are no conflicts; nodes are matched by id, metadata by key.

    Parameters
    ----------
    base : State or None
        What both sides started from; None where nothing is known of it.
    source : State
        Whose changes are laid.
    target : State
        What they are laid on.
    verdicts : Verdicts
        What was decided about conflicts.
    same_bytes : callable
        Asked about chunks that both sides wrote differently.
    values : ChunkValues, optional
        Reads and stores chunks whose cells are merged; without it none are.
    selected : callable, optional
        Which nodes to look at; all by default.
    """
    return _ThreeWay(base, source, target, verdicts, same_bytes, values).run(selected)


class _ThreeWay:
    """The state of one merge."""

    def __init__(
        self,
        base: State | None,
        source: State,
        target: State,
        verdicts: Verdicts,
        same_bytes: SameBytes,
        values: ChunkValues | None,
    ) -> None:
        self.base, self.source, self.target = base, source, target
        self.verdicts = verdicts
        self.same_bytes = same_bytes
        self.values = values
        self.appends = Appends(base, source, target, verdicts, values, same_bytes)
        self.conflicts: list[Conflict] = []
        self.hierarchy = Hierarchy(base, source, target, verdicts, self.conflicts)
        self.nodes: dict[NodeId, NodeSnapshot] = {}  # made, or different from the target's
        self.results: dict[NodeId, ArrayResult] = {}

    def run(self, selected: Callable[[NodeSnapshot], bool] | None) -> Merged:
        """Merge node by node, then place the nodes."""
        self.hierarchy.match_created()
        for node in filter(selected, list(self.source)):
            target_id = self.hierarchy.matched(node.id)
            its = self.target.by_id(target_id)
            former = None
            if self.base is not None:
                former = self.base.by_id(node.id) or self.base.by_id(target_id)
            if its is not None:
                self._both(former, node, its)
            elif former is None:
                self._adopt(node)
            else:
                self._deleted_by_target(former, node)
        for former in () if self.base is None else filter(selected, self.base):
            its = self.target.by_id(former.id)
            if its is None or self.hierarchy.is_matched(its.id):
                continue
            if self.source.by_id(former.id) is None:
                self._deleted_by_source(former, its)
        placed, removed = self.hierarchy.place(self.nodes)
        return self._merged(placed, removed)

    # -- one node --------------------------------------------------------------------------------

    def _adopt(self, node: NodeSnapshot) -> None:
        """Take a node of the source as it is, with its manifests."""
        self.nodes[node.id] = node
        self.hierarchy.add(node)

    def _conflict(self, kind: ConflictType, path: str) -> int:
        side = self.verdicts.side(kind, path)
        if side == UNDECIDED:
            self.conflicts.append(Conflict(kind, path))
        return side

    def _deleted_by_target(self, former: NodeSnapshot, node: NodeSnapshot) -> None:
        assert self.base is not None
        change = self._change(former, self.base, node, self.source)
        if change is None:
            return
        kind: ConflictType
        if change is _K.NodeMovedTwice:
            kind = change
        elif not node.is_array:
            kind = _K.ZarrMetadataUpdateOfDeletedGroup
        elif change is _K.ChunkDoubleUpdate:
            kind = _K.ChunksUpdatedInDeletedArray
        else:
            kind = _K.ZarrMetadataUpdateOfDeletedArray
        if self._conflict(kind, node.path) == SOURCE:
            self._adopt(node)

    def _deleted_by_source(self, former: NodeSnapshot, its: NodeSnapshot) -> None:
        assert self.base is not None
        change = self._change(former, self.base, its, self.target)
        if change is None:
            self.hierarchy.remove(its)
            return
        kind = _K.DeleteOfUpdatedArray if its.is_array else _K.DeleteOfUpdatedGroup
        if change is _K.NodeMovedTwice:
            kind = change
        if self._conflict(kind, its.path) == SOURCE:
            self.hierarchy.remove(its)

    def _change(
        self, former: NodeSnapshot, base: State, now: NodeSnapshot, state: State
    ) -> ConflictType | None:
        """How a side changed a node: moved, other metadata, other chunks; None for not at all."""
        if base.place(former) != state.place(now):
            return _K.NodeMovedTwice
        if not same_document(former, now):
            return _K.ZarrMetadataDoubleUpdate
        if former.array is None or now.array is None:
            return None
        if state.manifests(now) == former.array.manifests:
            return None
        found = changed(base.table(former), state.table(now))
        return _K.ChunkDoubleUpdate if len(found) else None

    def _both(self, former: NodeSnapshot | None, mine: NodeSnapshot, its: NodeSnapshot) -> None:
        """A node that both sides have."""
        if (
            mine.user_data == its.user_data
            and (
                mine.array is None
                or (its.array is not None and mine.array.manifests == self.target.manifests(its))
            )
            and not self._appended(former, mine, its)
        ):
            return
        if mine.array is None or its.array is None:
            document = self._document(former, mine, its, {})
            merged = with_document(its, document)
        else:
            merged = self._array(Sides(former, mine, its, (self.base, self.source, self.target)))
        if merged != its:
            self.nodes[its.id] = merged

    def _appended(self, former: NodeSnapshot | None, mine: NodeSnapshot, its: NodeSnapshot) -> bool:
        """Whether the rows that both sides appended to a dimension are all taken.

        Also an array that only became longer has to follow then.
        """
        if former is None or former.array is None or mine.array is None:
            return False
        sides = Sides(former, mine, its, (self.base, self.source, self.target))
        pairs = enumerate(zip(former.array.shape, mine.array.shape, strict=True))
        grown = [axis for axis, (was, now) in pairs if now > was]
        return any(self.appends.along(sides, axis) is not None for axis in grown)

    # -- metadata --------------------------------------------------------------------------------

    def _document(
        self,
        former: NodeSnapshot | None,
        mine: NodeSnapshot,
        its: NodeSnapshot,
        same: dict[str, Any],
    ) -> bytes:
        """The ``zarr.json`` with the changes of both sides.

        Parameters
        ----------
        same : dict
            Keys whose merged value is known already.
        """
        if mine.user_data == its.user_data and not same:
            return its.user_data
        documents = [{} if one is None else one.document for one in (former, mine, its)]
        for document in documents:
            document.pop(DERIVED, None)
            document.update(same)
        base, ours, theirs = documents
        if not differences({}, ours, theirs):
            return its.user_data if not same or theirs == its.document else _encoded(theirs)
        if former is not None and not differences({}, base, theirs) and ours == mine.document:
            return mine.user_data  # byte for byte
        kind = _K.ZarrMetadataDoubleUpdate
        decision = self.verdicts.decision(kind, its.path)
        if decision is not None and decision.choice == "custom":
            return _encoded(dict(decision.metadata or {}))
        keys = {} if decision is None else dict(decision.keys or {})
        otherwise = None if decision is None else decision.otherwise
        side = self.verdicts.side(kind, its.path)
        if otherwise is None and side != UNDECIDED:
            otherwise = {SOURCE: "ours", TARGET: "theirs"}.get(side, "base")
        merged, left = merge_documents(base, ours, theirs, keys, otherwise)
        if left:
            self.conflicts.append(Conflict(kind, its.path))
        return its.user_data if merged == its.document else _encoded(merged)

    def _array(self, sides: Sides) -> NodeSnapshot:
        mine, its, former = sides.source, sides.target, sides.base
        whole = self._encoding(sides)
        if whole == TARGET:
            return its
        if whole == SOURCE:
            return self._source_whole(sides)
        resized = merged_shape(sides, self.verdicts, self.appends)
        self.conflicts += resized.conflicts
        document = self._document(former, mine, its, {"shape": list(resized.shape)})
        merged = with_document(its, document)
        self._fill_value(sides, merged)
        result = merge_chunks(sides, merged, resized, self.verdicts, self.same_bytes, self.values)
        self.conflicts += result.conflicts
        self.results[its.id] = result
        if result.adopted is not None and merged.array is not None:
            merged = replace(merged, array=replace(merged.array, manifests=result.adopted))
        return merged

    def _source_whole(self, sides: Sides) -> NodeSnapshot:
        """The array of the source in place of the target's, whose encoding differs."""
        mine, its = sides.source, sides.target
        table, now = sides.source_table(), sides.target_table()
        touched = changed(now, table) if now.ndim == table.ndim else table.coords()
        assert mine.array is not None
        self.results[its.id] = ArrayResult(adopted=mine.array.manifests, touched=touched)
        free = {} if sides.base is None else encoding_keys(sides.source.document)
        document = self._document(sides.base, mine, its, free)
        merged = with_document(mine, document)
        return replace(merged, id=its.id, path=its.path)

    def _encoding(self, sides: Sides) -> int:
        """Side whose encoding and chunks are taken as a whole, ``UNDECIDED`` for neither."""
        mine, its = encoding(sides.source.document), encoding(sides.target.document)
        if mine == its:
            return UNDECIDED
        if sides.base is None or self.base is None:
            side = self._conflict(_K.BaseExpired, sides.path)
            return SOURCE if side == SOURCE else TARGET
        base = encoding(sides.base.document)
        if base == its and not self._chunks_changed(sides, self.target, sides.target):
            return SOURCE
        if base == mine and not self._chunks_changed(sides, self.source, sides.source):
            # The target's encoding stands; only what does not concern it comes from the source.
            free = encoding_keys(sides.target.document)
            document = self._document(sides.base, sides.source, sides.target, free)
            self.nodes[sides.target.id] = with_document(sides.target, document)
            return TARGET
        return SOURCE if self._conflict(_K.EncodingChanged, sides.path) == SOURCE else TARGET

    def _chunks_changed(self, sides: Sides, state: State, node: NodeSnapshot) -> bool:
        """Whether a side changed the shape or the chunks of an array."""
        assert sides.base is not None
        assert sides.base.array is not None
        assert node.array is not None
        if node.array.shape != sides.base.array.shape:
            return True
        if state.manifests(node) == sides.base.array.manifests:
            return False
        return len(changed(sides.former(), state.table(node))) > 0

    def _fill_value(self, sides: Sides, merged: NodeSnapshot) -> None:
        """Refuse another fill value over chunks that the other side left to the former one."""
        if sides.base is None:
            return
        base, mine, its = (
            one.document.get("fill_value") for one in (sides.base, sides.source, sides.target)
        )
        if mine == its:
            return
        other = sides.target if base == its else sides.source
        state = self.target if base == its else self.source
        if base not in (mine, its) or self._leaves_unwritten(sides, state, other):
            self._conflict(_K.FillValueChanged, merged.path)

    def _leaves_unwritten(self, sides: Sides, state: State, node: NodeSnapshot) -> bool:
        assert sides.base is not None
        assert sides.base.array is not None
        assert node.array is not None
        before = sides.base.array
        if any(new > old for new, old in zip(node.array.shape, before.shape, strict=True)):
            return True
        if state.manifests(node) == before.manifests:
            return False
        former = sides.former()
        return not state.table(node).contains(former.coords()).all()

    # -- the result ------------------------------------------------------------------------------

    def _merged(self, placed: dict[NodeId, str], removed: set[NodeId]) -> Merged:
        nodes = []
        for node_id in self.nodes.keys() | placed.keys() | self.results.keys():
            node = self.nodes.get(node_id) or self.target.by_id(node_id)
            if node is not None and node_id not in removed:
                node = replace(node, path=placed.get(node_id, node.path))
                nodes.append(Changed(node, self.results.get(node_id, ArrayResult())))
        return Merged(self.source, self.target, nodes, removed, self.conflicts)


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
