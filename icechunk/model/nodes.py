"""Nodes of the hierarchy as a snapshot holds them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

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


def add_to_parents(children: dict[str, dict[str, None]], path: str) -> None:
    """Enter a path into the names below its parent, and the parent below its own, up to the root.

    Nodes do not need a parent: a path that is none itself may lead to one.
    """
    while path != "/":
        parent, name = parent_and_name(path)
        names = children.setdefault(parent, {})
        if name in names:
            return
        names[name] = None
        path = parent


class NodeSource(Protocol):
    """Nodes kept in the form of a file, decoded one by one when somebody asks for them."""

    @property
    def paths(self) -> Sequence[str]:
        """Path of each row, all different."""
        ...

    @property
    def ids(self) -> Sequence[NodeId]:
        """Id of each row, all different."""
        ...

    def node(self, row: int) -> NodeSnapshot:
        """Node of a row, the same one every time."""
        ...

    def manifest_ids(self, rows: Sequence[int]) -> set[ObjectId]:
        """Manifests that some rows refer to."""
        ...


class NodeTable:
    """The nodes of one snapshot, found by path, by id and by parent.

    Iteration is in the order of the paths' raw UTF-8 bytes (Icechunk spec, "Snapshot").

    Parameters
    ----------
    nodes : iterable of NodeSnapshot
        With different paths; of equal ones the last counts.
    source : NodeSource, optional
        More nodes, not decoded yet.
    rows : dict of str to int, optional
        Rows of the source that belong to the table, by path; all by default.
    """

    def __init__(
        self,
        nodes: Iterable[NodeSnapshot] = (),
        source: NodeSource | None = None,
        rows: dict[str, int] | None = None,
    ) -> None:
        self._own = {node.path: node for node in nodes}
        self._source = source
        self._rows = rows or {}
        if source is not None and rows is None:
            self._rows = {path: row for row, path in enumerate(source.paths)}

    @classmethod
    def stored(cls, source: NodeSource) -> NodeTable:
        """Table of everything in a file."""
        return cls((), source)

    def edited(self, changed: Iterable[NodeSnapshot], removed: Iterable[NodeId] = ()) -> NodeTable:
        """Table with other nodes at some paths; what did not change stays undecoded.

        Parameters
        ----------
        changed : iterable of NodeSnapshot
            New nodes, and changed ones under their present path.
        removed : iterable of NodeId
            Nodes to leave out, unless one of `changed` has the same path.
        """
        own, rows = dict(self._own), dict(self._rows)
        for node_id in removed:
            path = self._path_of.get(node_id)
            if path is not None:
                own.pop(path, None)
                rows.pop(path, None)
        for node in changed:
            rows.pop(node.path, None)
            own[node.path] = node
        return NodeTable(own.values(), self._source, rows)

    def parts(self) -> tuple[list[NodeSnapshot], NodeSource | None, dict[str, int]]:
        """The nodes of this table's own, and where the others are: source and rows by path."""
        return list(self._own.values()), self._source, self._rows

    @cached_property
    def _order(self) -> list[str]:
        """Paths by their raw bytes."""
        return sorted((*self._own, *self._rows), key=str.encode)

    def __len__(self) -> int:
        return len(self._own) + len(self._rows)

    def __iter__(self) -> Iterator[NodeSnapshot]:
        return (self._at(path) for path in self._order)

    def __contains__(self, path: str) -> bool:
        return path in self._own or path in self._rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeTable) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _at(self, path: str) -> NodeSnapshot:
        """Node at a path that is in the table."""
        node = self._own.get(path)
        if node is not None:
            return node
        assert self._source is not None
        return self._source.node(self._rows[path])

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path, or None."""
        return self._at(path) if path in self else None

    @cached_property
    def _path_of(self) -> dict[NodeId, str]:
        paths: dict[NodeId, str] = {}
        if self._source is not None:
            ids = self._source.ids
            paths = {ids[row]: path for path, row in self._rows.items()}
        paths.update((node.id, path) for path, node in self._own.items())
        return paths

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        path = self._path_of.get(node_id)
        return None if path is None else self._at(path)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, dict[str, None]] = {}
        for path in self._order:
            add_to_parents(children, path)
        return {parent: list(names) for parent, names in children.items()}

    def children(self, path: str) -> list[str]:
        """Names directly below a path, those that only lead to a node further down included."""
        return self._children.get(path, [])

    def below(self, path: str) -> Iterator[NodeSnapshot]:
        """Every proper descendant of a path."""
        prefix = path if path == "/" else path + "/"
        raw = prefix.encode("utf-8", "surrogatepass")  # asking for what no file can hold is fine
        order = self._order
        for place in range(bisect_left(order, raw, key=str.encode), len(order)):
            if not order[place].startswith(prefix):
                return
            if order[place] != path:
                yield self._at(order[place])

    def manifest_ids(self) -> set[ObjectId]:
        """Every manifest that a node refers to."""
        arrays = [node.array for node in self._own.values() if node.array is not None]
        found = {ref.object_id for array in arrays for ref in array.manifests}
        if self._source is not None and self._rows:
            found |= self._source.manifest_ids(list(self._rows.values()))
        return found
