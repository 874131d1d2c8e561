"""One of the three states of a merge: a hierarchy, and the chunk references of its arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.tree_view import TreeView
from icechunk.core.ids import NodeId
from icechunk.core.paths import ROOT, parent_and_name
from icechunk.engine.reader import ArrayReader
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.snapshot.nodes import ManifestRef, NodeSnapshot
from icechunk.spec.snapshot.snapshot import Snapshot

Place = tuple[NodeId | None, str]
"""Where a node is: the id of the nearest group above it, and its path from there.

The id is None where there is no group above. The path is a name, unless groups are only implied.
"""


class State:
    """A snapshot, with changes laid over it.

    Parameters
    ----------
    snapshot : Snapshot
        Base of the changes.
    changes : ChangeSet
        May be empty; read, never changed.
    files : RepositoryFiles
        Fetches manifests.
    unknown : collection of NodeId
        Nodes that are left out.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        changes: ChangeSet,
        files: RepositoryFiles,
        unknown: Collection[NodeId] = (),
    ) -> None:
        self.snapshot = snapshot
        self.changes = changes
        self.files = files
        self.tree = TreeView(snapshot.nodes, changes)
        self._by_id = {node.id: node for node in self.tree if node.id not in unknown}
        self._tables: dict[NodeId, ChunkTable] = {}

    def __iter__(self) -> Iterator[NodeSnapshot]:
        return iter(self._by_id.values())

    @property
    def ids(self) -> set[NodeId]:
        """Ids of all nodes."""
        return set(self._by_id)

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        return self._by_id.get(node_id)

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at a path, or None."""
        return self.tree.get(path)

    def place(self, node: NodeSnapshot) -> Place:
        """Where a node is, in terms that a move of its parent does not change."""
        path, below = node.path, ""
        while path != ROOT:
            path, name = parent_and_name(path)
            below = f"{name}/{below}" if below else name
            above = self.get(path)
            if above is not None:
                return above.id, below
        return None, below

    def manifests(self, node: NodeSnapshot) -> tuple[ManifestRef, ...] | None:
        """Manifests that hold all references of an array; None where changes lie over them."""
        assert node.array is not None
        if node.id in self.changes.chunks or node.id in self.changes.kept:
            return None
        return node.array.manifests

    def table(self, node: NodeSnapshot) -> ChunkTable:
        """All chunk references of an array."""
        if node.id not in self._tables:
            reader = ArrayReader(node, self.snapshot, self.changes, self.files)
            self._tables[node.id] = reader.table()
        return self._tables[node.id]
