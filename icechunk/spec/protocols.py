"""Read-only interfaces to a hierarchy, for code below the packages that implement them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from icechunk.core.ids import NodeId
from icechunk.spec.manifest.chunk_table import ChunkTable, Location
from icechunk.spec.manifest.coordinates import ChunkIndex, Coords
from icechunk.spec.snapshot.nodes import NodeSnapshot


class NodeReader(Protocol):
    """A read-only hierarchy: a snapshot, or a snapshot seen through uncommitted changes."""

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path, or None."""
        ...

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        ...

    def __iter__(self) -> Iterator[NodeSnapshot]:
        """Every node."""
        ...


class ChangedReader(NodeReader, Protocol):
    """A hierarchy whose nodes before our changes can be looked up."""

    def former(self, node_id: NodeId) -> NodeSnapshot | None:
        """The node as it was before our changes, or None."""
        ...


class ChunkReader(ChangedReader, Protocol):
    """A hierarchy whose chunk references, too, can be looked up."""

    def chunk(self, node_id: NodeId, coords: ChunkIndex) -> Location | None:
        """Where a chunk is, or None where it was never written."""
        ...

    def references(self, node_id: NodeId, coords: Coords) -> ChunkTable:
        """Where many chunks of an array are; those never written have no row.

        Parameters
        ----------
        node_id : NodeId
            The array.
        coords : ndarray
            uint32, shape ``(n, d)``, in lexicographic order, each once.
        """
        ...
