"""Nodes of the hierarchy as a snapshot holds them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, KeysView
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.core.paths import parent_and_name
from icechunk.spec.manifest.extents import Extents

Rows: TypeAlias = npt.NDArray[np.int64]


class ManifestRef(NamedTuple):
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
    file : str
        Object name of the snapshot that it was read from, empty for nodes that a session made.
    """

    id: NodeId
    path: str
    user_data: bytes
    array: ArrayData | None = None
    file: str = field(default="", repr=False, compare=False)

    @property
    def document(self) -> dict[str, Any]:
        """Content of ``zarr.json``.

        Raises
        ------
        FormatError
            Kind ``deserialization`` when it is damaged: no JSON object, or not one of the kind of
            node that the snapshot describes.
        """
        wanted = "group" if self.array is None else "array"
        try:
            found = json.loads(self.user_data)
        except (ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from None
        if not isinstance(found, dict):
            raise self._damaged("it is not a JSON object")
        if found.get("zarr_format") != 3 or found.get("node_type") != wanted:
            raise self._damaged(
                f"it does not describe {'a' if wanted == 'group' else 'an'} {wanted}"
            )
        return found

    @property
    def sound_data(self) -> bytes:
        """``zarr.json`` as it is handed out: what comes from a file is checked, see `document`."""
        if self.file:
            _ = self.document
        return self.user_data

    def _damaged(self, why: str) -> FormatError:
        where = f" in the snapshot file `{self.file}`" if self.file else ""
        return FormatError(
            f"the metadata (zarr.json) of node `{self.path}`{where} is damaged: {why}. Restore the "
            "file from a backup, or use another snapshot",
            ErrorKind.DESERIALIZATION,
        )

    @property
    def is_array(self) -> bool:
        """Whether the node is an array."""
        return self.array is not None


def add_to_parents(children: dict[str, dict[str, None]], path: str) -> None:
    """Enter a path into the names below its parent, and the parent below its own, up to the root.

    A node need not have a parent node: `/a/b` may exist without `/a`.
    """
    while path != "/":
        parent, name = parent_and_name(path)
        names = children.setdefault(parent, {})
        if name in names:
            return
        names[name] = None
        path = parent


class NodeSource(Protocol):
    """Nodes kept in the form of a file and decoded one by one, sorted by path."""

    @property
    def paths(self) -> list[str]:
        """Path of each row, increasing."""
        ...

    @property
    def ids(self) -> list[NodeId]:
        """Id of each row, all different."""
        ...

    def node(self, row: int) -> NodeSnapshot:
        """Node of a row, the same one every time."""
        ...

    def manifest_uses(self, rows: Rows) -> Counter[ObjectId]:
        """Manifests that some rows refer to, and how often."""
        ...


class _Names:
    """Paths and ids of the rows of a table, shared by tables that differ in content only.

    Paths are in the order of their code points, which is that of their UTF-8 bytes (Icechunk spec,
    "Snapshot").
    """

    def __init__(self, paths: list[str], ids: list[NodeId]) -> None:
        self.paths = paths
        self.ids = ids

    def find(self, path: str) -> int:
        """Row of a path, -1 when there is none."""
        row = bisect_left(self.paths, path)
        return row if row < len(self.paths) and self.paths[row] == path else -1

    @cached_property
    def row_of(self) -> dict[NodeId, int]:
        """Row of each id."""
        return dict(zip(self.ids, range(len(self.ids)), strict=True))

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Names directly below each path, those that only lead to a node further down included."""
        children: dict[str, dict[str, None]] = {}
        for path in self.paths:
            add_to_parents(children, path)
        return {parent: list(names) for parent, names in children.items()}


class NodeTable:
    """The nodes of one snapshot, found by path, by id and by parent.

    Nodes that did not change since their file was read or written stay in its encoded form, the
    `source`; the others are objects.  Iteration is in the order of the paths.

    Parameters
    ----------
    nodes : iterable of NodeSnapshot
        With different paths; of equal ones the last counts.
    """

    def __init__(self, nodes: Iterable[NodeSnapshot] = ()) -> None:
        own = {node.path: node for node in nodes}
        paths = sorted(own)
        self._names = _Names(paths, [own[path].id for path in paths])
        self._own = own
        self._source: NodeSource | None = None
        self._rows: Rows = np.full(len(paths), -1)

    @classmethod
    def _of(
        cls,
        names: _Names,
        own: dict[str, NodeSnapshot],
        source: NodeSource | None,
        rows: Rows,
        uses: Counter[ObjectId] | None,
    ) -> NodeTable:
        table = cls.__new__(cls)
        table._names, table._own, table._source, table._rows = names, own, source, rows
        if uses is not None:
            table._uses = uses
        return table

    @classmethod
    def stored(cls, source: NodeSource) -> NodeTable:
        """Table of everything in a file."""
        names = _Names(source.paths, source.ids)
        return cls._of(names, {}, source, np.arange(len(source.paths)), None)

    def kept_in(self, source: NodeSource) -> NodeTable:
        """The same table once all of its nodes are in a file."""
        rows = np.arange(len(self))
        return self._of(self._names, {}, source, rows, self.__dict__.get("_uses"))

    def edited(self, changed: Iterable[NodeSnapshot], removed: Iterable[NodeId] = ()) -> NodeTable:
        """Table with other nodes at some paths; what did not change stays encoded.

        Parameters
        ----------
        changed : iterable of NodeSnapshot
            New nodes, and changed ones under their present path.
        removed : iterable of NodeId
            Nodes to leave out, unless one of `changed` has the same path.
        """
        names, own = self._names, dict(self._own)
        gone = {row for node_id in removed if (row := names.row_of.get(node_id)) is not None}
        uses = None if gone else self.__dict__.get("_uses")
        uses = None if uses is None else uses.copy()
        added: dict[str, NodeSnapshot] = {}
        for node in changed:
            row = names.find(node.path)
            if uses is not None:
                _recount(uses, [] if row < 0 else _manifests_of(self._at(row)), _manifests_of(node))
            gone.discard(row)
            if row >= 0 and names.ids[row] == node.id:
                own[node.path] = node
                continue
            added[node.path] = node
            if row >= 0:
                gone.add(row)
        if not gone and not added:
            return self._of(names, own, self._source, self._rows, uses)
        for row in gone:
            own.pop(names.paths[row], None)
        own |= added
        kept = [row for row in range(len(self)) if row not in gone]
        paths = [names.paths[row] for row in kept] + list(added)
        ids = [names.ids[row] for row in kept] + [node.id for node in added.values()]
        rows = np.concatenate([self._rows[kept], np.full(len(added), -1)])
        order = sorted(range(len(paths)), key=paths.__getitem__)
        names = _Names([paths[at] for at in order], [ids[at] for at in order])
        return self._of(names, own, self._source, rows[order], uses)

    def parts(self) -> tuple[dict[str, NodeSnapshot], NodeSource | None, Rows]:
        """What a writer needs.

        Returns
        -------
        dict of str to NodeSnapshot
            The nodes that are objects, by path.
        NodeSource or None
            Where the others are.
        int64 array, shape (n,)
            Row in the source of each node, in the order of the paths; without meaning for those
            that are objects.
        """
        return self._own, self._source, self._rows

    @property
    def paths(self) -> list[str]:
        """All paths, increasing."""
        return self._names.paths

    @property
    def ids(self) -> list[NodeId]:
        """Id of the node at each of `paths`."""
        return self._names.ids

    def row(self, path: str) -> int:
        """Place of a path among `paths`, -1 when there is none."""
        return self._names.find(path)

    def __len__(self) -> int:
        return len(self._names.paths)

    def __iter__(self) -> Iterator[NodeSnapshot]:
        return map(self._at, range(len(self)))

    def __contains__(self, path: str) -> bool:
        return self._names.find(path) >= 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeTable) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _at(self, row: int) -> NodeSnapshot:
        """Node of a row."""
        node = self._own.get(self._names.paths[row])
        if node is not None:
            return node
        assert self._source is not None
        return self._source.node(int(self._rows[row]))

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path, or None."""
        row = self._names.find(path)
        return None if row < 0 else self._at(row)

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        row = self._names.row_of.get(node_id)
        return None if row is None else self._at(row)

    def children(self, path: str) -> list[str]:
        """Names directly below a path, those that only lead to a node further down included."""
        return self._names.children.get(path, [])

    def below(self, path: str) -> Iterator[NodeSnapshot]:
        """Every proper descendant of a path."""
        paths = self._names.paths
        prefix = path if path == "/" else path + "/"
        row = bisect_left(paths, prefix)
        while row < len(paths) and paths[row].startswith(prefix):
            if paths[row] != path:
                yield self._at(row)
            row += 1

    @cached_property
    def _uses(self) -> Counter[ObjectId]:
        """How many references there are to each manifest."""
        uses = Counter(id for node in self._own.values() for id in _manifests_of(node))
        if self._source is not None:
            encoded = np.ones(len(self), np.bool_)
            encoded[[self._names.find(path) for path in self._own]] = False
            uses += self._source.manifest_uses(self._rows[encoded])
        return uses

    def manifest_ids(self) -> KeysView[ObjectId]:
        """Every manifest that a node refers to."""
        return self._uses.keys()


def _manifests_of(node: NodeSnapshot) -> list[ObjectId]:
    """Manifests that a node refers to."""
    return [] if node.array is None else [ref.object_id for ref in node.array.manifests]


def _recount(
    uses: Counter[ObjectId], former: Iterable[ObjectId], present: Iterable[ObjectId]
) -> None:
    """Count the manifests of a node instead of those it referred to formerly."""
    uses.update(present)
    for manifest_id in former:
        uses[manifest_id] -= 1
        if not uses[manifest_id]:
            del uses[manifest_id]
