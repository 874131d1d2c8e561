"""The moves of a rearrange session: every one is checked; their net effect on nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from icechunk.core.errors import AlreadyExistsError, ErrorKind, SessionStateError
from icechunk.core.errors import NodeNotFoundError as Missing
from icechunk.core.ids import NodeId
from icechunk.core.paths import by_segments, check_path, is_below, parent_and_name
from icechunk.spec.snapshot.nodes import NodeSnapshot, NodeTable
from icechunk.spec.transaction_log.log import Move


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves made in a session, in order.  Falsy when there are none.

    Attributes
    ----------
    steps : tuple of (str, str)
        Source and target of every move, as given.
    net : mapping of NodeId to Move
        Every node, descendants included, whose path is not the one it had in the base.
    """

    steps: tuple[tuple[str, str], ...] = ()
    net: Mapping[NodeId, Move] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def then(self, nodes: NodeTable, source: str, target: str) -> Moves:
        """Add a move.

        Parameters
        ----------
        nodes : NodeTable
            The hierarchy as these moves left it.
        source, target : str
            Absolute paths.

        Raises
        ------
        InvalidInputError, NodeNotFoundError, SessionStateError, AlreadyExistsError
            As `check_move`.
        """
        node = check_move(nodes, source, target)
        net = dict(self.net)
        for one in (node, *nodes.below(source)):
            former = net.pop(one.id, None)
            begun = one.path if former is None else former.source
            ended = target + one.path[len(source) :]
            if begun != ended:
                net[one.id] = Move(begun, ended, one.id, one.is_array)
        return Moves((*self.steps, (source, target)), net)

    def over(self, nodes: NodeTable) -> NodeTable:
        """A base's hierarchy with the nodes moved."""
        return NodeTable(self._placed(node) for node in nodes) if self.net else nodes

    def _placed(self, node: NodeSnapshot) -> NodeSnapshot:
        move = self.net.get(node.id)
        return node if move is None else replace(node, path=move.target)

    def again(self, nodes: NodeTable) -> Moves:
        """Repeat the moves over another base, where every one of them must still be possible.

        Raises
        ------
        NodeNotFoundError, SessionStateError, AlreadyExistsError
            As `check_move`: the base has changed in a way that forbids one of them.
        """
        moves = Moves()
        for source, target in self.steps:
            moves = moves.then(moves.over(nodes), source, target)
        return moves

    def logged(self) -> tuple[Move, ...]:
        """The net moves as a transaction log has them."""
        return in_log_order(self.net.values())


def in_log_order(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Sort moves by their target, compared by path component (Icechunk spec, moved nodes)."""
    return tuple(sorted(moves, key=lambda move: by_segments(move.target)))


def composed(first: Iterable[Move], second: Iterable[Move]) -> tuple[Move, ...]:
    """The net moves of two consecutive logs, without nodes that are back at their place."""
    net = {move.node_id: move for move in first}
    for move in second:
        begun = net.pop(move.node_id, move).source
        if begun != move.target:
            net[move.node_id] = move._replace(source=begun)
    return in_log_order(net.values())


def check_move(nodes: NodeTable, source: str, target: str) -> NodeSnapshot:
    """Raise unless a move is possible; return the node that it moves.

    Parameters
    ----------
    nodes : NodeTable
        The hierarchy as it is.
    source, target : str
        Absolute paths.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-path``.
    NodeNotFoundError
        There is nothing at `source`; a trailing slash names nothing.
    SessionStateError
        Kinds ``move-into-self-or-descendant``, ``move-destination-parent-missing`` and
        ``move-destination-parent-not-group``.
    AlreadyExistsError
        Kind ``move-wont-overwrite``.
    """
    check_path(source.rstrip("/") or source[:1])
    check_path(target)
    node = nodes.get(source)
    if node is None:
        raise Missing(
            f"node not found at `{source}`: existing node not found; list the store to see what "
            "there is",
            ErrorKind.NODE_NOT_FOUND,
        )
    if target == source or is_below(target, source):
        raise SessionStateError(
            f"cannot move `{source}` into itself or its own descendant `{target}`: a node cannot "
            f"be its own ancestor. To put what `{source}` holds one level deeper, create "
            f"`{target}` in a writable session, then move the children one by one",
            ErrorKind.MOVE_INTO_SELF_OR_DESCENDANT,
        )
    if nodes.get(target) is not None:
        raise AlreadyExistsError(
            f"move cannot overwrite existing node at `{target}`; move or delete that first",
            ErrorKind.MOVE_WONT_OVERWRITE,
        )
    parent, _ = parent_and_name(target)
    above = nodes.get(parent)
    if above is None:
        raise SessionStateError(
            f"cannot move to `{target}`: the destination's parent group `{parent}` does not exist. "
            f"Moves never create groups: create `{parent}` in a writable session and commit, then "
            "move in a new rearrange session",
            ErrorKind.MOVE_DESTINATION_PARENT_MISSING,
        )
    if above.is_array:
        raise SessionStateError(
            f"cannot move to `{target}`: the destination's parent `{parent}` is an array, not a "
            "group. Choose a place below a group",
            ErrorKind.MOVE_DESTINATION_PARENT_NOT_GROUP,
        )
    return node
