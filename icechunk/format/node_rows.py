"""The nodes of a snapshot file, decoded one by one when somebody asks for them.

Opening a hierarchy of thousands of arrays to read one of them has to cost little more than finding
it: paths, ids and what the format demands of every node are read for all nodes at once, as numpy
columns; the rest of a node waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from icechunk.format.flat_columns import TableColumn, gather
from icechunk.format.flat_read import Body, Table
from icechunk.format.snapshot_rows import spread
from icechunk.ground.ids import NODE_ID_SIZE, OBJECT_ID_SIZE, NodeId, ObjectId
from icechunk.model.nodes import ArrayData, ManifestRef, NodeSnapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAY, GROUP = 1, 2
"""Type byte of the union that holds what a node is."""

_NODES = 2  # slot of the vector of nodes in the root table
_ID, _PATH, _USER_DATA, _TYPE, _DATA = range(5)
_MANIFESTS = 2  # slot of an array's manifests
# Distance, table and its four required fields.
_SMALLEST_NODE = 32


class StoredNodes:
    """Nodes in the payload of a snapshot file; implements `NodeSource`.

    Parameters
    ----------
    root : Table
        The `Snapshot` table.
    spec_version : int
        Version of the file.

    Raises
    ------
    FormatError
        For nodes outside the payload, missing fields, paths or ids that repeat, relative paths.
        What else may be wrong with a node shows when it is decoded.
    """

    def __init__(self, root: Table, spec_version: int) -> None:
        self.body = root.body
        self.spec_version = spec_version
        span = root.vector(_NODES, 4)
        if span is None:
            root.fail("a snapshot without a list of nodes")
        if span[1] * _SMALLEST_NODE > root.body.size:
            root.fail("the nodes overlap each other")
        table = TableColumn.of_vector(root, _NODES)
        for slot in (_ID, _PATH, _USER_DATA, _DATA):
            table.require(slot)
        self._kinds = table.u8(_TYPE)
        if len(self._kinds) and not np.isin(self._kinds, (ARRAY, GROUP)).all():
            root.fail("a node of unknown type")
        self.positions = table.positions
        self._nodes: dict[int, NodeSnapshot] = {}
        self._data = table.targets(_DATA)
        raw = table.structs(_ID, NODE_ID_SIZE).tobytes()
        self._ids = [NodeId(raw[at : at + NODE_ID_SIZE]) for at in range(0, len(raw), NODE_ID_SIZE)]
        self._paths = _texts(root.body, *table.vectors(_PATH, 1))
        if len(set(self._paths)) != len(self._paths):
            root.fail("two nodes have one path")
        if len(set(self._ids)) != len(self._ids):
            root.fail("two nodes have one id")
        for path in self._paths:
            if not path.startswith("/"):
                root.fail(f"node path {path!r} is not absolute")

    @property
    def paths(self) -> Sequence[str]:
        """Path of each row."""
        return self._paths

    @property
    def ids(self) -> Sequence[NodeId]:
        """Id of each row."""
        return self._ids

    def node(self, row: int) -> NodeSnapshot:
        """Node of a row.

        Raises
        ------
        FormatError
            When its part of the file is damaged.
        """
        # Kept, so that the payload's budget is spent once per node: many nodes may share parts.
        node = self._nodes.get(row)
        if node is None:
            node = self._nodes[row] = _read_node(Table(self.body, int(self.positions[row])))
        return node

    def manifest_ids(self, rows: Sequence[int]) -> set[ObjectId]:
        """Manifests that some rows refer to."""
        index = np.asarray(rows, np.int64)
        index = index[self._kinds[index] == ARRAY]
        arrays = TableColumn(self.body, self._data[index])
        arrays.require(_MANIFESTS)
        start, count = arrays.vectors(_MANIFESTS, 4)
        if int(count.sum()) * 4 > self.body.size:
            self.body.fail("the manifests of its arrays overlap each other")
        at = spread(start // 4, count) * 4 + np.repeat(start % 4, count)
        refs = TableColumn(self.body, at + _u32(self.body, at))
        refs.require(0)
        ids = refs.structs(0, OBJECT_ID_SIZE)
        raw = np.ascontiguousarray(ids).view(f"V{OBJECT_ID_SIZE}").reshape(-1).tolist()
        return {ObjectId(bytes(id)) for id in raw}


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


def _read_node(node: Table) -> NodeSnapshot:
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
