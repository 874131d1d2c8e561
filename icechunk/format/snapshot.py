"""Snapshot files: bytes to `Snapshot` and back, in both dialects.

Icechunk spec, table ``Snapshot``: 0 id, 1 parent_id, 2 nodes, 3 flushed_at, 4 message, 5 metadata,
6 manifest_files, 7 manifest_files_v2, 8 extra.  Which fields a dialect fills is in `Dialect`.
Files are read in the dialect of their own version byte.  Node order is not relied on: some
writers sorted paths by segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.format.dialect import V2, Dialect, dialect_for
from icechunk.format.envelope import FileType, pack, unpack
from icechunk.format.flat_read import Body
from icechunk.format.flat_write import Builder, ref, struct, u8, u32, u64
from icechunk.ground.errors import ErrorKind, FormatError, InvalidInputError
from icechunk.ground.ids import INITIAL_SNAPSHOT_ID, NODE_ID_SIZE, OBJECT_ID_SIZE, NodeId, ObjectId
from icechunk.model.nodes import ArrayData, ManifestRef, NodeSnapshot, NodeTable
from icechunk.model.snapshot import ManifestInfo, Snapshot
from icechunk.model.snapshot_table import LATEST_US, SnapshotRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icechunk.format.flat_read import Table

INITIAL_MESSAGE = "Repository initialized"

_ARRAY, _GROUP = 1, 2
_MAX_U32 = 2**32 - 1
_INFO = np.dtype([("id", "V12"), ("pad", "<u4"), ("size", "<u8"), ("refs", "<u4"), ("tail", "<u4")])


def initial_snapshot(at: int) -> Snapshot:
    """First snapshot of every repository: no nodes, no parent.

    Parameters
    ----------
    at : int
        Its time, microseconds since 1970, UTC.
    """
    metadata = {"__icechunk": {"is_root": True}}
    return Snapshot(INITIAL_SNAPSHOT_ID, None, at, INITIAL_MESSAGE, metadata)


def decode_snapshot(data: bytes, *, name: str) -> Snapshot:
    """Content of a snapshot file.

    Parameters
    ----------
    data : bytes
        The whole object.
    name : str
        Its name, for error messages.

    Returns
    -------
    Snapshot
        `parent_id` is None in files of spec 2, whatever is stored there.

    Raises
    ------
    FormatError
        When the bytes are damaged, of another file type or of a newer spec version.
    """
    root, dialect = _open(data, name)
    record = _read_record(root, dialect)
    return Snapshot(
        id=record.id,
        parent_id=record.parent_id,
        flushed_at=record.flushed_at,
        message=record.message,
        metadata=record.metadata,
        nodes=_read_nodes(root),
        manifests={info.id: info for info in _read_infos(root)},
    )


def decode_record(data: bytes, *, name: str) -> SnapshotRecord:
    """What a snapshot file says of its commit, without its nodes; see `decode_snapshot`."""
    return _read_record(*_open(data, name))


def _open(data: bytes, name: str) -> tuple[Table, Dialect]:
    envelope = unpack(data, FileType.SNAPSHOT, name=name)
    return Body(envelope.body, name).root(), dialect_for(envelope.spec_version)


def _read_record(root: Table, dialect: Dialect) -> SnapshotRecord:
    parent = root.opt_struct(1, OBJECT_ID_SIZE) if dialect.parent_in_snapshot else None
    flushed_at = root.u64(3)
    if flushed_at > LATEST_US:
        root.fail("invalid timestamp in file")
    return SnapshotRecord(
        id=ObjectId(root.struct(0, OBJECT_ID_SIZE)),
        parent_id=None if parent is None else ObjectId(parent),
        flushed_at=flushed_at,
        message=root.string(4),
        metadata={
            item.string(0): dialect.decode_value(item.bytes_vector(1), name=root.body.name)
            for item in root.vector_of_tables(5)
        },
        pruned=(),
    )


def _read_nodes(root: Table) -> NodeTable:
    nodes = [_read_node(node) for node in root.vector_of_tables(2)]
    table = NodeTable(nodes)
    if len(table) != len(nodes):
        root.fail("two nodes have one path")
    if len({node.id for node in nodes}) != len(nodes):
        root.fail("two nodes have one id")
    return table


def _read_node(node: Table) -> NodeSnapshot:
    data = node.table(4)
    kind = node.u8(3)
    if kind not in (_ARRAY, _GROUP):
        node.fail(f"unknown node type {kind}")
    path = node.string(1)
    if not path.startswith("/"):
        node.fail(f"node path {path!r} is not absolute")
    return NodeSnapshot(
        id=NodeId(node.struct(0, NODE_ID_SIZE)),
        path=path,
        user_data=node.bytes_vector(2),
        array=_read_array(data) if kind == _ARRAY else None,
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


def _read_infos(root: Table) -> list[ManifestInfo]:
    tables = root.opt_vector_of_tables(7)
    if tables is not None:
        return [
            ManifestInfo(ObjectId(info.struct(0, OBJECT_ID_SIZE)), info.u64(1), info.u32(2))
            for info in tables
        ]
    column = np.frombuffer(root.struct_vector(6, _INFO.itemsize), _INFO)
    sizes, refs = column["size"].tolist(), column["refs"].tolist()
    rows = zip(column["id"].tolist(), sizes, refs, strict=True)
    return [ManifestInfo(ObjectId(raw), size, count) for raw, size, count in rows]


def encode_snapshot(snapshot: Snapshot, *, dialect: Dialect = V2, level: int = 3) -> bytes:
    """Bytes of a snapshot file.

    Parameters
    ----------
    snapshot : Snapshot
        `parent_id` is only stored by spec 1.
    dialect : Dialect
        Spec version to write.
    level : int
        zstd compression level.

    Raises
    ------
    FormatError
        Kind ``manifest-info-not-found`` when a node refers to a manifest that is not listed.
    InvalidInputError
        Kind ``invalid-array-metadata`` for arrays that the format cannot describe.
    """
    builder = Builder()
    infos = [snapshot.manifests[key] for key in sorted(snapshot.manifests)]
    nodes = [_write_node(builder, node, snapshot, dialect) for node in snapshot.nodes]
    tables = _write_info_tables(builder, infos) if dialect.manifest_info_tables else None
    structs = b"" if dialect.manifest_info_tables else _info_structs(infos)
    root = builder.table(
        {
            0: struct(snapshot.id),
            1: struct(snapshot.parent_id if dialect.parent_in_snapshot else None),
            2: ref(builder.offset_vector(nodes)),
            3: u64(snapshot.flushed_at),
            4: ref(builder.string(snapshot.message)),
            5: ref(_write_metadata(builder, snapshot.metadata, dialect)),
            6: ref(builder.struct_vector(structs, len(structs) // _INFO.itemsize, 8)),
            7: ref(tables),
        }
    )
    return pack(FileType.SNAPSHOT, dialect.spec_version, builder.finish(root), level)


def _write_metadata(builder: Builder, metadata: dict[str, Any], dialect: Dialect) -> int:
    items = [
        (builder.string(name), builder.bytes_vector(dialect.encode_value(metadata[name])))
        for name in sorted(metadata, key=str.encode)
    ]
    return builder.offset_vector(
        [builder.table({0: ref(name), 1: ref(value)}) for name, value in items]
    )


def _info_structs(infos: Iterable[ManifestInfo]) -> bytes:
    rows = [(info.id, 0, info.size_bytes, info.num_chunk_refs, 0) for info in infos]
    return np.array(rows, _INFO).tobytes()


def _write_info_tables(builder: Builder, infos: Iterable[ManifestInfo]) -> int:
    return builder.offset_vector(
        [
            builder.table({0: struct(i.id), 1: u64(i.size_bytes), 2: u32(i.num_chunk_refs)})
            for i in infos
        ]
    )


def _write_node(builder: Builder, node: NodeSnapshot, snapshot: Snapshot, dialect: Dialect) -> int:
    if node.array is None:
        kind, data = _GROUP, builder.table({})
    else:
        _check_array(node.path, node.array, snapshot)
        kind, data = _ARRAY, _write_array(builder, node.array, dialect)
    return builder.table(
        {
            0: struct(node.id),
            1: ref(builder.string(node.path)),
            2: ref(builder.bytes_vector(node.user_data)),
            3: u8(kind),
            4: ref(data),
        }
    )


def _check_array(path: str, array: ArrayData, snapshot: Snapshot) -> None:
    """Refuse what other writers are known to store as a wrong number, or to fail on."""
    for manifest in array.manifests:
        if manifest.object_id not in snapshot.manifests:
            raise FormatError(
                f"array `{path}` refers to a manifest that the snapshot does not list. "
                "Commit again from a fresh session.",
                ErrorKind.MANIFEST_INFO_NOT_FOUND,
            )
    if max(array.num_chunks, default=0) > _MAX_U32:
        raise InvalidInputError(
            f"Invalid array metadata: array `{path}` has {max(array.num_chunks)} chunks along one "
            f"axis, the format allows {_MAX_U32}. Use larger chunks.",
            ErrorKind.INVALID_ARRAY_METADATA,
        )
    names = array.dimension_names
    if names is not None and len(names) > len(array.shape):
        raise InvalidInputError(
            f"Invalid array metadata: array `{path}` has {len(names)} dimension names for "
            f"{len(array.shape)} dimensions. Give one name per dimension.",
            ErrorKind.INVALID_ARRAY_METADATA,
        )


def _write_array(builder: Builder, array: ArrayData, dialect: Dialect) -> int:
    names = None
    if array.dimension_names is not None:
        texts = [builder.string(name) if name else None for name in array.dimension_names]
        names = builder.offset_vector([builder.table({0: ref(text)}) for text in texts])
    manifests = builder.offset_vector([_write_ref(builder, item) for item in array.manifests])
    axes = list(zip(array.shape, array.num_chunks, strict=True))
    counted, pairs = None, b""
    if dialect.counted_shapes:
        counted = builder.offset_vector(
            [builder.table({0: u64(length), 1: u32(chunks)}) for length, chunks in axes]
        )
    else:
        # Spec 1 stores a chunk length that gives back the number of chunks.
        lengths = [(length, -(-length // chunks) if chunks else 0) for length, chunks in axes]
        pairs = np.array(lengths, "<u8").tobytes()
    return builder.table(
        {
            0: ref(builder.struct_vector(pairs, len(pairs) // 16, 8)),
            1: ref(names),
            2: ref(manifests),
            3: ref(counted),
        }
    )


def _write_ref(builder: Builder, item: ManifestRef) -> int:
    extents = np.array(item.extents, "<u4").tobytes()
    boxes = builder.struct_vector(extents, len(item.extents), 4)
    return builder.table({0: struct(item.object_id), 1: ref(boxes)})
