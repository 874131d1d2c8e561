"""Nodes of the hierarchy as a snapshot holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from icechunk.ground.ids import NodeId, ObjectId
from icechunk.ground.paths import parent_and_name
from icechunk.model.extents import Extents


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """One manifest of an array, and the box of chunk coordinates it covers (half-open)."""

    object_id: ObjectId
    extents: Extents


@dataclass(frozen=True, slots=True)
class ArrayData:
    """What a snapshot records of an array besides its ``zarr.json``.

    Attributes
    ----------
    shape : tuple of int
        Length of each axis in elements.
    num_chunks : tuple of int
        Number of chunks along each axis.
    dimension_names : tuple of (str or None), or None
        None when ``zarr.json`` gives no names at all.
    manifests : tuple of ManifestRef
        Where the chunk references are; boxes do not overlap.
    """

    shape: tuple[int, ...]
    num_chunks: tuple[int, ...]
    dimension_names: tuple[str | None, ...] | None
    manifests: tuple[ManifestRef, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """A group or array in a snapshot.

    Attributes
    ----------
    id : NodeId
        Stable over the node's life, moves included.
    path : str
        Absolute, ``/`` for the root.
    user_data : bytes
        The node's ``zarr.json``, byte for byte.
    array : ArrayData or None
        None for a group.
    """

    id: NodeId
    path: str
    user_data: bytes
    array: ArrayData | None = None

    @property
    def is_array(self) -> bool:
        """Whether the node is an array."""
        return self.array is not None


class NodeTable:
    """The nodes of one snapshot, found by path, by id and by parent.

    Iteration is in the order of the paths' raw UTF-8 bytes (Icechunk spec, "Snapshot").
    """

    def __init__(self, nodes: Iterable[NodeSnapshot] = ()) -> None:
        ordered = sorted(nodes, key=lambda node: node.path.encode())
        self._by_path = {node.path: node for node in ordered}

    def __len__(self) -> int:
        return len(self._by_path)

    def __iter__(self) -> Iterator[NodeSnapshot]:
        return iter(self._by_path.values())

    def __contains__(self, path: str) -> bool:
        return path in self._by_path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeTable) and self._by_path == other._by_path

    __hash__ = None  # type: ignore[assignment]

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path, or None."""
        return self._by_path.get(path)

    @cached_property
    def _by_id(self) -> dict[NodeId, NodeSnapshot]:
        return {node.id: node for node in self._by_path.values()}

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        return self._by_id.get(node_id)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for path in self._by_path:
            if path != "/":
                parent, name = parent_and_name(path)
                children.setdefault(parent, []).append(name)
        return children

    def children(self, path: str) -> list[str]:
        """Names of the nodes directly below a path."""
        return self._children.get(path, [])

    def below(self, path: str) -> Iterator[NodeSnapshot]:
        """Every proper descendant of a path."""
        prefix = path if path == "/" else path + "/"
        return (
            node
            for candidate, node in self._by_path.items()
            if candidate.startswith(prefix) and candidate != path
        )
