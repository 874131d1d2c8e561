"""A small repository in memory, and writers that change it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.to_log import transaction_log
from icechunk.changes.tree_view import TreeView
from icechunk.core.ids import NodeId, ObjectId, new_node_id, new_object_id
from icechunk.spec.manifest.chunk_table import INLINE, ChunkTable, Location
from icechunk.spec.manifest.coordinates import Coords
from icechunk.spec.snapshot.nodes import NodeSnapshot, NodeTable
from icechunk.spec.snapshot.zarr_metadata import parse_node
from icechunk.spec.transaction_log.log import TransactionLog

GROUP = json.dumps({"zarr_format": 3, "node_type": "group"}).encode()


def group_document(**attributes: Any) -> bytes:
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}).encode()


def array_document(
    shape: tuple[int, ...],
    chunks: tuple[int, ...] | None = None,
    *,
    data_type: str = "int32",
    **attributes: Any,
) -> bytes:
    meta = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": data_type,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(chunks or (1,) * len(shape))},
        },
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": attributes,
    }
    return json.dumps(meta).encode()


def node(path: str, document: bytes) -> NodeSnapshot:
    return NodeSnapshot(new_node_id(), path, document, parse_node(document))


def payload(place: Location | None) -> bytes | None:
    """Bytes of an inline reference; None where there is none or it is deleted."""
    if place is None or place.inline is None:
        return None
    return bytes(place.inline)


class Writer:
    """A writer with a session: a hierarchy, uncommitted changes, and the base's chunks."""

    def __init__(self, base: NodeTable, chunks: dict[NodeId, dict[tuple[int, ...], bytes]]) -> None:
        self.changes = ChangeSet()
        self.view = TreeView(base, self.changes)
        self._chunks = chunks

    # the protocols of a solver

    def get(self, path: str) -> NodeSnapshot | None:
        return self.view.get(path)

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        return self.view.by_id(node_id)

    def former(self, node_id: NodeId) -> NodeSnapshot | None:
        return self.view.former(node_id)

    def chunk(self, node_id: NodeId, coords: tuple[int, ...]) -> Location | None:
        data = self._chunks.get(node_id, {}).get(coords)
        if data is None:
            return None
        return Location(INLINE, None, 0, len(data), memoryview(data), None, None, 0)

    def references(self, node_id: NodeId, coords: Coords) -> ChunkTable:
        rows = [tuple(row) for row in coords.tolist()]
        found = [(row, place) for row in rows if (place := self.chunk(node_id, row)) is not None]
        return ChunkTable.from_locations(coords.shape[1], found)

    # what writers do

    def node(self, path: str) -> NodeSnapshot:
        found = self.get(path)
        assert found is not None, path
        return found

    def make(self, path: str, document: bytes = GROUP) -> NodeSnapshot:
        return self.changes.add(path, document, parse_node(document))

    def describe(self, path: str, document: bytes) -> None:
        self.changes.update(self.node(path), document, parse_node(document))

    def delete(self, path: str) -> None:
        for below in self.view.below(path):
            self.changes.remove(below)
        self.changes.remove(self.node(path))

    def write(self, path: str, *coords: tuple[int, ...], data: bytes = b"ours") -> None:
        edits = self.changes.edits(self.node(path))
        for chunk in coords:
            edits.set_inline(chunk, data)

    def erase(self, path: str, *coords: tuple[int, ...]) -> None:
        edits = self.changes.edits(self.node(path))
        for chunk in coords:
            edits.delete(chunk)

    def commit(self) -> tuple[TransactionLog, NodeTable]:
        """The log and the hierarchy of a commit of the changes."""
        return transaction_log(new_object_id(), self.changes), NodeTable(list(self.view))

    def edited(self, path: str) -> set[tuple[int, ...]]:
        """Coordinates with uncommitted edits."""
        edits = self.changes.chunks.get(self.node(path).id)
        return set() if edits is None else coordinates(edits.table())


def coordinates(table: ChunkTable) -> set[tuple[int, ...]]:
    return {tuple(row) for row in table.coords().tolist()}


def edited(changes: ChangeSet, node_id: NodeId) -> set[tuple[int, ...]]:
    return coordinates(changes.chunks[node_id].table()) if node_id in changes.chunks else set()


class Repository:
    """A committed hierarchy: groups ``/g``, ``/g/h``; arrays ``/a`` (4 × 4), ``/g/b`` (4)."""

    def __init__(self) -> None:
        nodes = [
            node("/", GROUP),
            node("/g", GROUP),
            node("/g/h", GROUP),
            node("/a", array_document((4, 4))),
            node("/g/b", array_document((4,))),
        ]
        self.nodes = NodeTable(nodes)
        self.chunks: dict[NodeId, dict[tuple[int, ...], bytes]] = {
            self.id("/a"): {(i, j): b"base" for i in range(4) for j in range(3)},
            self.id("/g/b"): {(i,): b"base" for i in range(4)},
        }

    def id(self, path: str) -> NodeId:
        found = self.nodes.get(path)
        assert found is not None
        return found.id

    def writer(self) -> Writer:
        return Writer(self.nodes, self.chunks)


def log_of_chunks(node_id: NodeId, coords: Sequence[tuple[int, ...]], rank: int) -> TransactionLog:
    rows = np.array(sorted(set(coords)), np.uint32).reshape(-1, rank)
    return TransactionLog(id=ObjectId(bytes(12)), updated_chunks={node_id: rows})
