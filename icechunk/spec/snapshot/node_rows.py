"""The nodes of a snapshot file, decoded one by one when they are asked for, copied as bytes.

Opening a hierarchy of thousands of arrays to read one of them has to cost little more than finding
it: paths, ids and what the format demands of every node are read for all nodes at once, as numpy
columns; the rest of a node waits.  A commit copies the bytes of the nodes that did not change.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from operator import lt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from icechunk.core.ids import NODE_ID_SIZE, OBJECT_ID_SIZE, NodeId, ObjectId
from icechunk.spec.flatbuffers.columns import TableColumn, gather
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.repo.snapshot_rows import spread
from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAY, GROUP = 1, 2
"""Type byte of the union that holds what a node is."""

_NODES = 2  # slot of the vector of nodes in the root table
_ID, _PATH, _USER_DATA, _TYPE, _DATA = range(5)
_MANIFESTS = 2  # slot of an array's manifests
# Distance, table and its four required fields.
_SMALLEST_NODE = 32

_FEW = 16
SMALL_FILE = 2**13
"""Payloads of fewer bytes are read table by table: numpy takes longer to begin."""
_MOST_PARTS = 16

_NOTE = struct.Struct("<8sQQ")
_MARK = b"ic-nodes"
NOTE_SIZE = _NOTE.size


class Region(NamedTuple):
    """Encoded nodes, as they are copied from file to file: the end of a payload.

    Nothing in it refers to what is before it, so that it can be put behind other things.  Objects
    in it are named by their distance from its end, which stays when more is put in front.

    Attributes
    ----------
    parts : tuple of bytes
        The oldest first, which is the last in the file; each a multiple of 8 bytes.
    size : int
        Bytes in all.
    live : int
        About how many of them are in use.
    """

    parts: tuple[bytes | memoryview, ...]
    size: int
    live: int

    def longer(self, part: bytes, live: int) -> Region:
        """The region with one more part, and with the small ones joined when there are many."""
        parts = self.parts
        if len(parts) >= _MOST_PARTS:
            parts = (parts[0], b"".join(reversed(parts[1:])))
        return Region((*parts, part) if part else parts, self.size + len(part), live)


class StoredNodes:
    """Nodes in the form of a snapshot file; implements `NodeSource`.

    Attributes
    ----------
    spec_version : int
        Version of the file.
    paths : list of str
        Path of each row, increasing.
    ids : list of NodeId
        Id of each row.
    region : Region
        Where the rows are.
    refs : int64 array, shape (n,)
        Distance of each row's table from the end of the region.

    Parameters
    ----------
    body : Body
        A payload whose end is the oldest part of the region.
    end : int
        Position of the end of the region in it.
    known : dict of int to NodeSnapshot
        Nodes that are decoded already, by their distance from the end; all of those that are not
        in the body.
    """

    def __init__(
        self,
        spec_version: int,
        paths: list[str],
        ids: list[NodeId],
        region: Region,
        refs: NDArray[np.int64],
        body: Body,
        end: int,
        known: dict[int, NodeSnapshot],
    ) -> None:
        self.spec_version = spec_version
        self.paths = paths
        self.ids = ids
        self.region = region
        self.refs = refs
        self.body = body
        self.end = end
        # Kept, so that the payload's budget is spent once per node: many nodes may share parts.
        self.known = known

    @classmethod
    def read(cls, root: Table, spec_version: int) -> StoredNodes:
        """Nodes of a snapshot file.

        Parameters
        ----------
        root : Table
            The `Snapshot` table.
        spec_version : int
            Version of the file.

        Raises
        ------
        FormatError
            For nodes outside the payload, missing fields, paths or ids that repeat, relative
            paths.  What else may be wrong with a node shows when it is decoded.
        """
        body = root.body
        span = root.vector(_NODES, 4)
        if span is None:
            root.fail("a snapshot without a list of nodes")
        if span[1] * _SMALLEST_NODE > body.size:
            root.fail("the nodes overlap each other")
        table = TableColumn.of_vector(root, _NODES)
        for slot in (_ID, _PATH, _USER_DATA, _DATA):
            table.require(slot)
        kinds = table.u8(_TYPE)
        if not ((kinds == ARRAY) | (kinds == GROUP)).all():
            root.fail("a node of unknown type")
        positions = table.positions
        raw = table.structs(_ID, NODE_ID_SIZE).tobytes()
        ids = [NodeId(raw[at : at + NODE_ID_SIZE]) for at in range(0, len(raw), NODE_ID_SIZE)]
        starts, lengths = table.vectors(_PATH, 1)
        paths = _texts(body, starts, lengths)
        if len(set(ids)) != len(ids):
            root.fail("two nodes have one id")
        for path in paths:
            if not path.startswith("/"):
                root.fail(f"node path {path!r} is not absolute")
        low = min(int(column.min(initial=body.size)) for column in (positions, starts))
        region, end = _region_of(body, low)
        if not all(map(lt, paths, paths[1:])):  # some writers sort them by their segments
            if len(set(paths)) != len(paths):
                root.fail("two nodes have one path")
            order = sorted(range(len(paths)), key=paths.__getitem__)
            paths, ids = [paths[row] for row in order], [ids[row] for row in order]
            positions = positions[order]
        return cls(spec_version, paths, ids, region, end - positions, body, end, {})

    def node(self, row: int) -> NodeSnapshot:
        """Node of a row.

        Raises
        ------
        FormatError
            When its part of the file is damaged.
        """
        distance = int(self.refs[row])
        node = self.known.get(distance)
        if node is None:
            table = Table(self.body, self.end - distance)
            node = self.known[distance] = _read_node(table, self.body.name)
        return node

    def manifest_uses(self, rows: NDArray[np.int64]) -> Counter[ObjectId]:
        """Manifests that some rows refer to, and how often."""
        in_body = self.refs[rows] <= len(self.region.parts[0])
        if len(rows) <= _FEW:  # decoding them takes less time than numpy does to begin
            in_body[:] = False
        uses = Counter(
            ref.object_id
            for row in rows[~in_body].tolist()
            for ref in getattr(self.node(row).array, "manifests", ())
        )
        if not in_body.any():
            return uses
        uses.update(_manifests_in(TableColumn(self.body, self.end - self.refs[rows[in_body]])))
        return uses


def manifests_of_nodes(root: Table) -> Iterable[ObjectId]:
    """Manifests that the arrays of a snapshot file refer to, without decoding the nodes.

    Parameters
    ----------
    root : Table
        The `Snapshot` table.

    Raises
    ------
    FormatError
        For anything outside the payload, and for nodes of unknown type, which may have manifests.
    """
    if root.body.size > SMALL_FILE:
        rows = TableColumn.of_vector(root, _NODES)
        kinds, found = set(rows.u8(_TYPE).tolist()), _manifests_in(rows)
    else:
        nodes = root.vector_of_tables(_NODES)
        kinds = {node.u8(_TYPE) for node in nodes}
        found = [
            ObjectId(ref.struct(0, OBJECT_ID_SIZE))
            for node in nodes
            if node.u8(_TYPE) == ARRAY
            for ref in node.table(_DATA).vector_of_tables(_MANIFESTS)
        ]
    if not kinds <= {ARRAY, GROUP}:
        root.fail("a node of unknown type")
    return found


def _manifests_in(nodes: TableColumn) -> Iterable[ObjectId]:
    """Manifests that many nodes refer to, each as often as it is referred to."""
    body = nodes.body
    arrays = TableColumn(body, nodes.targets(_DATA)[nodes.u8(_TYPE) == ARRAY])
    arrays.require(_MANIFESTS)
    start, count = arrays.vectors(_MANIFESTS, 4)
    if int(count.sum()) * 4 > body.size:
        body.fail("the manifests of its arrays overlap each other")
    at = spread(start // 4, count) * 4 + np.repeat(start % 4, count)
    refs = TableColumn(body, at + _u32(body, at))
    refs.require(0)
    ids = refs.structs(0, OBJECT_ID_SIZE)
    raw = np.ascontiguousarray(ids).view(f"V{OBJECT_ID_SIZE}").reshape(-1).tolist()
    return (ObjectId(bytes(id)) for id in raw)


def region_note(region: Region) -> bytes:
    """What is written behind the nodes, so that the next writer need not copy what is in front."""
    return _NOTE.pack(_MARK, region.size, region.live)


def _region_of(body: Body, low: int) -> tuple[Region, int]:
    """The region of nodes that a payload ends with, and the position of its end.

    Parameters
    ----------
    low : int
        Position of the first thing that is known to belong to a node.
    """
    end, size, live = body.size, body.size, body.size
    if end > NOTE_SIZE:
        mark, noted, used = _NOTE.unpack_from(body.data, end - NOTE_SIZE)
        if mark == _MARK and noted % 8 == 0 and end - NOTE_SIZE - noted <= low and used <= noted:
            end -= NOTE_SIZE
            size, live = noted, used
    start = max(end - size, 0)
    pad = bytes(-(end - start) % 8)
    raw = memoryview(body.data)[start:end]
    part = b"".join((raw, pad)) if pad else raw
    return Region((part,), len(part), live), end + len(pad)


def _u32(body: Body, at: NDArray[np.int64]) -> NDArray[np.uint32]:
    return gather(body, at, np.dtype("<u4"))


def _texts(body: Body, start: NDArray[np.int64], length: NDArray[np.int64]) -> list[str]:
    """Texts at some spans."""
    if int(length.sum()) > body.size:
        body.fail("the paths of its nodes overlap each other")
    try:
        return [
            str(body.data[at:end], "utf-8")
            for at, end in zip(start.tolist(), (start + length).tolist(), strict=True)
        ]
    except UnicodeDecodeError:
        body.fail("a path is not valid UTF-8")


def _read_node(node: Table, file: str) -> NodeSnapshot:
    data = node.table(4)
    kind = node.u8(3)
    if kind not in (ARRAY, GROUP):
        node.fail(f"unknown node type {kind}")
    path = node.string(1)
    if not path.startswith("/"):
        node.fail(f"node path {path!r} is not absolute")
    return NodeSnapshot(
        id=NodeId(node.struct(0, NODE_ID_SIZE)),
        path=path,
        user_data=node.bytes_vector(2),
        array=_read_array(data) if kind == ARRAY else None,
        file=file,
    )


def _read_array(array: Table) -> ArrayData:
    dimensions = array.opt_vector_of_tables(3)
    if dimensions is not None:
        shape = tuple(axis.u64(0) for axis in dimensions)
        num_chunks = tuple(axis.u32(1) for axis in dimensions)
    else:
        pairs = np.frombuffer(array.struct_vector(0, 16), "<u8").reshape(-1, 2).tolist()
        if any(length and not chunk for length, chunk in pairs):
            array.fail("an axis has a chunk length of 0")
        shape = tuple(length for length, _ in pairs)
        num_chunks = tuple(-(-length // chunk) if chunk else 0 for length, chunk in pairs)
    names = array.opt_vector_of_tables(1)
    return ArrayData(
        shape=shape,
        num_chunks=num_chunks,
        dimension_names=None if names is None else tuple(n.opt_string(0) for n in names),
        manifests=tuple(_read_ref(item, num_chunks) for item in array.vector_of_tables(2)),
    )


def _read_ref(item: Table, num_chunks: tuple[int, ...]) -> ManifestRef:
    extents = np.frombuffer(item.struct_vector(1, 8), "<u4").reshape(-1, 2).tolist()
    boxes = tuple((low, high) for low, high in extents)
    if not boxes:  # stands for the whole array
        boxes = tuple((0, max(count, 1)) for count in num_chunks)
    if len(boxes) != len(num_chunks):
        item.fail("the extents of a manifest have another rank than their array")
    if any(low > high for low, high in boxes):
        item.fail("the extents of a manifest end before they start")
    return ManifestRef(ObjectId(item.struct(0, OBJECT_ID_SIZE)), boxes)
