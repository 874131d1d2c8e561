"""Which nodes a merge has, and where: places by the id of the parent group, then paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icechunk.changes.document_merge import differences
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.core.ids import NodeId
from icechunk.core.paths import ROOT, join, parent_and_name
from icechunk.merging.state import Place
from icechunk.merging.verdicts import SOURCE, UNDECIDED, Verdicts

if TYPE_CHECKING:
    from icechunk.merging.state import State
    from icechunk.spec.snapshot.nodes import NodeSnapshot

_K = ConflictType


class Hierarchy:
    """The tree of the target while nodes of the source come in.

    Parameters
    ----------
    base : State or None
    source, target : State
        The three states.
    verdicts : Verdicts
        What was decided.
    conflicts : list of Conflict
        Receives what is not.
    """

    def __init__(
        self,
        base: State | None,
        source: State,
        target: State,
        verdicts: Verdicts,
        conflicts: list[Conflict],
    ) -> None:
        self._base, self._source, self._target = base, source, target
        self._verdicts = verdicts
        self._conflicts = conflicts
        self._alike: dict[NodeId, NodeId] = {}
        self._added: dict[NodeId, NodeSnapshot] = {}
        self._removed: set[NodeId] = set()

    def matched(self, node_id: NodeId) -> NodeId:
        """Id in the target of a node of the source: its own, or that of a node made alike."""
        return self._alike.get(node_id, node_id)

    def add(self, node: NodeSnapshot) -> None:
        """Bring in a node of the source that the target does not have."""
        self._added[node.id] = node

    def remove(self, node: NodeSnapshot) -> None:
        """Remove a node of the target."""
        self._removed.add(node.id)

    # -- nodes made on both sides ----------------------------------------------------------------

    def match_created(self) -> None:
        """Match nodes at one path, of which each side made or made again one, as a single node.

        That holds for groups, and for arrays with one document: what they contain is compared as
        if it had been written to one node.
        """
        target_ids, source_ids = self._target.ids, self._source.ids
        alone = [node for node in self._source if node.id not in target_ids]
        for node in sorted(alone, key=lambda node: node.path):
            its = self._target.get(node.path)
            if its is None or its.id in source_ids:
                continue
            if not (self._is_new(node) or self._is_new(its)):
                continue
            if node.path != ROOT:
                parents = self._source.place(node)[0], self._target.place(its)[0]
                if parents[0] is None or self.matched(parents[0]) != parents[1]:
                    continue
            if _one_node(node, its):
                self._alike[node.id] = its.id

    def is_matched(self, target_id: NodeId) -> bool:
        """Whether a node of the target stands for one of the source with another id."""
        return target_id in self._alike.values()

    def _is_new(self, node: NodeSnapshot) -> bool:
        return self._base is None or self._base.by_id(node.id) is None

    # -- places ----------------------------------------------------------------------------------

    def place(self, nodes: dict[NodeId, NodeSnapshot]) -> tuple[dict[NodeId, str], set[NodeId]]:
        """Give every node of the merge its path.

        Parameters
        ----------
        nodes : dict of NodeId to NodeSnapshot
            Nodes that are new or different; those that find no place are taken out.

        Returns
        -------
        dict of NodeId to str
            Paths of nodes that are new or moved.
        set of NodeId
            Nodes of the target that are gone.
        """
        moves = self._moves()
        if not (self._added or self._removed or moves):
            return {}, set()
        places = {
            node.id: self._target.place(node)
            for node in self._target
            if node.id not in self._removed
        }
        places.update(moves)
        for node in self._added.values():
            parent, name = self._source.place(node)
            places[node.id] = (None if parent is None else self.matched(parent)), name
        self._give_parents(places, nodes)
        self._part_twins(places, nodes, moves)
        self._cut_cycles(places)
        paths: dict[NodeId, str] = {}
        for node_id in places:
            path = _path(node_id, places)
            its = self._target.by_id(node_id)
            if its is None or its.path != path:
                paths[node_id] = path
        gone = {node.id for node in self._target if node.id not in places}
        return paths, gone

    def _moves(self) -> dict[NodeId, Place]:
        """Places of target nodes that the source moved."""
        found: dict[NodeId, Place] = {}
        if self._base is None:
            return found
        for node in self._source:
            former, its = self._base.by_id(node.id), self._target.by_id(node.id)
            if former is None or its is None or node.path == former.path == its.path:
                continue
            was, mine = self._base.place(former), self._source.place(node)
            now = self._target.place(its)
            if mine in (was, now):
                continue
            if now == was or self._decide(_K.NodeMovedTwice, its.path) == SOURCE:
                found[node.id] = mine
        return found

    def _decide(self, kind: ConflictType, path: str) -> int:
        side = self._verdicts.side(kind, path)
        conflict = Conflict(kind, path)
        if side == UNDECIDED and conflict not in self._conflicts:
            self._conflicts.append(conflict)
        return side

    def _give_parents(self, places: dict[NodeId, Place], nodes: dict[NodeId, NodeSnapshot]) -> None:
        """Settle nodes whose parent the other side deleted, parents before children."""
        pending = [node_id for node_id, (parent, _) in places.items() if parent not in places]
        while pending:
            node_id = pending.pop()
            if node_id not in places:
                continue
            parent, _ = places[node_id]
            if parent is None or parent in places:
                continue
            node = self._node(node_id)
            came = node_id in self._added or self._target.by_id(parent) is None
            side = self._decide(_K.NewNodeInDeletedGroup, node.path)
            # `came`: the source brought the node, the target deleted the group.
            keep = (side == SOURCE) == came if side != UNDECIDED else not came
            group = self._source.by_id(parent) if came else self._target.by_id(parent)
            if not keep or group is None:
                pending += self._drop(node_id, places, nodes)
                continue
            state = self._source if came else self._target
            above, name = state.place(group)
            places[group.id] = (None if above is None else self.matched(above)), name
            if came:
                self._added[group.id] = group
                nodes[group.id] = group
            pending.append(group.id)

    def _drop(
        self, node_id: NodeId, places: dict[NodeId, Place], nodes: dict[NodeId, NodeSnapshot]
    ) -> list[NodeId]:
        """Leave a node out; those that are without a parent then."""
        del places[node_id]
        nodes.pop(node_id, None)
        self._added.pop(node_id, None)
        return [one for one, (parent, _) in places.items() if parent == node_id]

    def _node(self, node_id: NodeId) -> NodeSnapshot:
        node = self._added.get(node_id) or self._target.by_id(node_id)
        assert node is not None
        return node

    def _part_twins(
        self,
        places: dict[NodeId, Place],
        nodes: dict[NodeId, NodeSnapshot],
        moves: dict[NodeId, Place],
    ) -> None:
        """Settle two nodes at one place, and nodes below an array."""
        held = {
            place: node_id
            for node_id, place in places.items()
            if node_id not in self._added and node_id not in moves
        }
        for node_id in [*moves, *self._added]:
            place = places.get(node_id)
            if place is None:
                continue
            other = held.get(place)
            if other is not None and other in places:
                path = self._node(node_id).path if node_id in self._added else _path(other, places)
                kind = (
                    _K.NewNodeConflictsWithExistingNode
                    if node_id in self._added and self._is_new(self._node(node_id))
                    else _K.MoveTargetTaken
                )
                if not self._settle_twin(kind, path, node_id, other, places, nodes):
                    continue
            held[places[node_id]] = node_id
        for node_id, (parent, _) in list(places.items()):
            above = None if parent is None else nodes.get(parent) or self._target.by_id(parent)
            if above is not None and above.is_array and node_id in self._added:
                self._decide(_K.NewNodeInInvalidGroup, self._node(node_id).path)
                self._drop_tree(node_id, places, nodes)

    def _settle_twin(
        self,
        kind: ConflictType,
        path: str,
        node_id: NodeId,
        other: NodeId,
        places: dict[NodeId, Place],
        nodes: dict[NodeId, NodeSnapshot],
    ) -> bool:
        """Leave one of two nodes at a place out, or rename; whether the source's stays."""
        decision = self._verdicts.decision(kind, path)
        if decision is not None and decision.new_path is not None:
            parent, name = parent_and_name(decision.new_path)
            group = self._target.get(parent)
            places[node_id] = (None if group is None else group.id), name
            return True
        if self._decide(kind, path) == SOURCE:
            self._drop_tree(other, places, nodes)
            return True
        its = self._target.by_id(node_id)
        if its is not None:
            places[node_id] = self._target.place(its)
        else:
            self._drop_tree(node_id, places, nodes)
        return False

    def _drop_tree(
        self, node_id: NodeId, places: dict[NodeId, Place], nodes: dict[NodeId, NodeSnapshot]
    ) -> None:
        pending = [node_id]
        while pending:
            one = pending.pop()
            if one in places:
                pending += self._drop(one, places, nodes)

    def _cut_cycles(self, places: dict[NodeId, Place]) -> None:
        """Take back moves of the source that make a group its own ancestor."""
        sound: set[NodeId | None] = {None}
        for node_id in list(places):
            way: list[NodeId] = []
            one: NodeId | None = node_id
            while one not in sound and one is not None and one not in way:
                way.append(one)
                one = places[one][0]
            if one not in sound:
                for each in way:
                    its = self._target.by_id(each)
                    if its is not None and places[each] != self._target.place(its):
                        self._decide(_K.MoveTargetTaken, its.path)
                        places[each] = self._target.place(its)
            sound.update(way)


def _one_node(mine: NodeSnapshot, its: NodeSnapshot) -> bool:
    """Whether nodes that both sides made can be one: groups, or arrays with one document."""
    if mine.array is None or its.array is None:
        return mine.array is its.array
    return not differences({}, mine.document, its.document)


def _path(node_id: NodeId, places: dict[NodeId, Place]) -> str:
    """Path of a node; its ancestors have places."""
    names: list[str] = []
    one: NodeId | None = node_id
    while one is not None:
        one, name = places[one]
        if name:
            names.append(name)
    path = ROOT
    for name in reversed(names):
        path = join(path, name)
    return path
