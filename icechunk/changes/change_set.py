"""The uncommitted changes of a session: nodes added, changed and removed, and chunk edits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from icechunk.changes.chunk_edits import ChunkEdits
from icechunk.changes.moves import Moves
from icechunk.core.ids import NodeId, ObjectId, new_node_id
from icechunk.core.paths import is_below, join, parent_and_name
from icechunk.spec.manifest.coordinates import ChunkIndex, inside
from icechunk.spec.manifest.references import deletions
from icechunk.spec.snapshot.nodes import ArrayData, NodeSnapshot, add_to_parents


class DeletedNode(NamedTuple):
    """A node of the base that the session removed."""

    id: NodeId
    path: str
    is_array: bool


@dataclass(slots=True)
class ChangeSet:
    """Changes since the base snapshot.

    Attributes
    ----------
    new : dict of str to NodeSnapshot
        Nodes made in the session, by path; arrays carry no manifests.
    updated : dict of NodeId to NodeSnapshot
        Nodes of the base with other metadata; arrays carry no manifests.
    deleted : dict of NodeId to DeletedNode
        Nodes of the base that are gone.
    chunks : dict of NodeId to ChunkEdits
        Chunk references written or removed.
    objects : set of ObjectId
        Chunk objects that this session wrote and that a commit must make durable.
    kept : dict of NodeId to tuple of int
        Smallest chunk grid that a resized array of the base had in between: chunks beyond it are
        gone, also when the array grew again.
    moves : Moves
        What a rearrange session moved; such a session changes nothing else.
    """

    new: dict[str, NodeSnapshot] = field(default_factory=dict)
    updated: dict[NodeId, NodeSnapshot] = field(default_factory=dict)
    deleted: dict[NodeId, DeletedNode] = field(default_factory=dict)
    chunks: dict[NodeId, ChunkEdits] = field(default_factory=dict)
    objects: set[ObjectId] = field(default_factory=set)
    kept: dict[NodeId, tuple[int, ...]] = field(default_factory=dict)
    moves: Moves = field(default_factory=Moves)
    _new_children: dict[str, dict[str, None]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was changed."""
        return not (self.new or self.updated or self.deleted or self.chunks or self.moves)

    def add(self, path: str, user_data: bytes, array: ArrayData | None) -> NodeSnapshot:
        """Add a node with a new id."""
        node = NodeSnapshot(new_node_id(), path, user_data, array)
        self.insert(node)
        return node

    def insert(self, node: NodeSnapshot) -> None:
        """Add a node that has an id already."""
        self.new[node.path] = node
        add_to_parents(self._new_children, node.path)

    def update(self, node: NodeSnapshot, user_data: bytes, array: ArrayData | None) -> None:
        """Replace the metadata of a node as the session sees it."""
        if array is not None:
            array = replace(array, manifests=())
            assert node.array is not None
            former = self.kept.get(node.id, node.array.num_chunks)
            if len(former) == len(array.num_chunks) and node.path not in self.new:
                self.kept[node.id] = tuple(map(min, former, array.num_chunks))
            edits = self.chunks.get(node.id)
            if edits is not None:
                edits.regrid(array.num_chunks)
        changed = replace(node, user_data=user_data, array=array)
        if node.path in self.new:
            self.new[node.path] = changed
        else:
            self.updated[node.id] = changed

    def remove(self, node: NodeSnapshot) -> None:
        """Remove one node as the session sees it."""
        self.chunks.pop(node.id, None)
        self.kept.pop(node.id, None)
        if node.path in self.new:
            del self.new[node.path]
            self._leave_parents(node.path)
        else:
            self.updated.pop(node.id, None)
            self.deleted[node.id] = DeletedNode(node.id, node.path, node.is_array)

    def _leave_parents(self, path: str) -> None:
        """Remove a path from `_new_children`, with parents that have no other children there."""
        while path != "/" and path not in self.new and not self._new_children.get(path):
            self._new_children.pop(path, None)
            path, name = parent_and_name(path)
            del self._new_children[path][name]

    def edits(self, node: NodeSnapshot) -> ChunkEdits:
        """Chunk edits of an array, made on first use."""
        assert node.array is not None
        edits = self.chunks.get(node.id)
        if edits is None:
            edits = self.chunks[node.id] = ChunkEdits(node.array.num_chunks)
        else:
            # The array may have been resized by a commit that the session was rebased over.
            edits.regrid(node.array.num_chunks)
        return edits

    def forget(self, node_id: NodeId, coords: ChunkIndex) -> bool:
        """Drop the edit of a chunk; False when there is none."""
        edits = self.chunks.get(node_id)
        if edits is None or edits.find(coords) is None:
            return False
        edits.forget(coords)
        if not len(edits):
            del self.chunks[node_id]
        return True

    def give_up(self, node_id: NodeId, coords: np.ndarray[Any, Any]) -> None:
        """Drop the edits of chunks (uint32, one row each), so that the base's chunks show again.

        Chunks that a resize removed show again too, if they are on the array's grid now.
        """
        kept, node = self.kept.get(node_id), self.updated.get(node_id)
        if kept is not None and node is not None and node.array is not None:
            self._name_removed(node, node.array.num_chunks, kept)
        edits = self.chunks.get(node_id)
        if edits is not None:
            edits.drop(coords)

    def _name_removed(
        self, node: NodeSnapshot, grid: tuple[int, ...], kept: tuple[int, ...]
    ) -> None:
        """Replace the smallest grid of an array by deletions of single chunks."""
        if len(grid) != len(kept) or all(k >= n for k, n in zip(kept, grid, strict=True)):
            return
        boxes = [tuple((0, max(count, 1)) for count in counts) for counts in (grid, kept)]
        cells = (
            np.indices([high for _, high in boxes[0]]).reshape(len(grid), -1).T.astype(np.uint32)
        )
        cells = cells[~inside(cells, boxes[1])]
        edits = self.edits(node)
        edits.extend(deletions(cells[~edits.table().contains(cells)]))
        self.kept[node.id] = grid

    def drop_update(self, node_id: NodeId) -> None:
        """Drop the metadata update of a node of the base."""
        self.updated.pop(node_id, None)
        self.kept.pop(node_id, None)

    def left_below(self, path: str, nodes: Iterable[NodeSnapshot]) -> list[DeletedNode]:
        """Nodes that other commits added below a node which the session removed.

        Parameters
        ----------
        path : str
            Path of the removed node.
        nodes : iterable of NodeSnapshot
            All nodes of the base.
        """
        again = self.new.get(path)
        deleted = any(node.path == path for node in self.deleted.values())
        if not deleted or (again is not None and not again.is_array):
            return []
        return [
            DeletedNode(node.id, node.path, node.is_array)
            for node in nodes
            if is_below(node.path, path) and node.id not in self.deleted
        ]

    def copy(self) -> ChangeSet:
        """An independent copy, for a solver to edit."""
        return ChangeSet(
            dict(self.new),
            dict(self.updated),
            dict(self.deleted),
            {node_id: edits.copy() for node_id, edits in self.chunks.items()},
            set(self.objects),
            dict(self.kept),
            self.moves,
            {parent: dict(names) for parent, names in self._new_children.items()},
        )

    def new_children(self, path: str) -> list[str]:
        """Names directly below a path that are, or lead to, nodes that the session made."""
        return list(self._new_children.get(path, ()))

    def new_below(self, path: str) -> Iterator[NodeSnapshot]:
        """Nodes that the session made below a path."""
        pending = [path]
        while pending:
            parent = pending.pop()
            children = [join(parent, name) for name in self.new_children(parent)]
            yield from (self.new[child] for child in children if child in self.new)
            pending += children
