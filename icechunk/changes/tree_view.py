"""A snapshot's hierarchy seen through uncommitted changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from icechunk.changes.change_set import ChangeSet
from icechunk.core.ids import NodeId
from icechunk.core.paths import join
from icechunk.spec.snapshot.nodes import NodeSnapshot, NodeTable


class TreeView:
    """The hierarchy as a session sees it; implements `ChangedReader`.

    Parameters
    ----------
    base : NodeTable
        Nodes of the base snapshot.
    changes : ChangeSet
        Applied to the base; read live, except for the moves, which are those of now.
    """

    __slots__ = ("_former", "base", "changes")

    def __init__(self, base: NodeTable, changes: ChangeSet) -> None:
        self._former = base
        moves = changes.moves
        if moves and changes.deleted:
            # A merge may move a node to the place of one that it deletes.
            base = base.edited((), changes.deleted)
        self.base = moves.over(base)
        self.changes = changes

    def _seen(self, node: NodeSnapshot | None) -> NodeSnapshot | None:
        """A node of the base as the session sees it."""
        if node is None or node.id in self.changes.deleted:
            return None
        changed = self.changes.updated.get(node.id)
        if changed is None:
            return node
        if changed.path != node.path:  # moved by the same changes
            changed = replace(changed, path=node.path)
        if changed.array is None or node.array is None:
            return changed
        return replace(changed, array=replace(changed.array, manifests=node.array.manifests))

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path, or None."""
        return self.changes.new.get(path) or self._seen(self.base.get(path))

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        found = self._seen(self.base.by_id(node_id))
        if found is None:
            found = next((n for n in self.changes.new.values() if n.id == node_id), None)
        return found

    def former(self, node_id: NodeId) -> NodeSnapshot | None:
        """The node in the snapshot that the changes lie over, or None."""
        return self._former.by_id(node_id)

    def __iter__(self) -> Iterator[NodeSnapshot]:
        """Every node; those of the base in path order, then the session's own."""
        for node in self.base:
            seen = self._seen(node)
            if seen is not None and seen.path not in self.changes.new:
                yield seen
        yield from self.changes.new.values()

    def changed(self) -> list[NodeSnapshot]:
        """Nodes that are new, or differ from the base in metadata or chunks; in path order."""
        changes = self.changes
        mine = {node.id: node for node in changes.new.values()}
        for node_id in changes.updated.keys() | changes.chunks.keys():
            if node_id not in mine:
                node = self._seen(self.base.by_id(node_id))
                if node is not None:
                    mine[node_id] = node
        return sorted(mine.values(), key=lambda node: node.path)

    def children(self, path: str) -> list[str]:
        """Names directly below a path, also of missing groups with a node further down."""
        kept = self.base.children(path)
        if self.changes.deleted:
            kept = [name for name in kept if self._leads_to_base(join(path, name))]
        return list(dict.fromkeys([*kept, *self.changes.new_children(path)]))

    def _leads_to_base(self, path: str) -> bool:
        """Whether the base has a node at or below a path that was not removed."""
        return self._seen(self.base.get(path)) is not None or any(
            self._seen(node) is not None for node in self.base.below(path)
        )

    def below(self, path: str) -> list[NodeSnapshot]:
        """Every proper descendant of a path."""
        kept = [
            seen
            for node in self.base.below(path)
            if node.path not in self.changes.new and (seen := self._seen(node)) is not None
        ]
        return [*kept, *self.changes.new_below(path)]
