"""Snapshot files: bytes to `Snapshot` and back, in both dialects.

Icechunk spec, table ``Snapshot``: 0 id, 1 parent_id, 2 nodes, 3 flushed_at, 4 message, 5 metadata,
6 manifest_files, 7 manifest_files_v2, 8 extra.  Which fields a dialect fills is in `Dialect`.
Files are read in the dialect of their own version byte.  Node order is not relied on: some
writers sorted paths by segments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, OBJECT_ID_SIZE, ObjectId
from icechunk.spec.dialect import V2, Dialect, dialect_for
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers.bulk import Records, table_vector
from icechunk.spec.flatbuffers.columns import TableColumn
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import MAX_BODY, Builder, ref, struct, u64
from icechunk.spec.repo.snapshot_table import LATEST_US, SnapshotRecord
from icechunk.spec.snapshot.node_rows import SMALL_FILE, StoredNodes, manifests_of_nodes
from icechunk.spec.snapshot.node_write import NodeWriter
from icechunk.spec.snapshot.nodes import NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icechunk.spec.flatbuffers.read import Table

INITIAL_MESSAGE = "Repository initialized"

_MANIFEST_BYTES = 64
"""About what a manifest takes in the list of its array and in that of the snapshot."""

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
        nodes=NodeTable.stored(StoredNodes.read(root, dialect.spec_version)),
        manifests={info.id: info for info in _read_infos(root)},
    )


def decode_record(data: bytes, *, name: str) -> SnapshotRecord:
    """What a snapshot file says of its commit, without its nodes; see `decode_snapshot`."""
    return _read_record(*_open(data, name))


def decode_manifest_infos(
    data: bytes, *, name: str
) -> tuple[ObjectId, dict[ObjectId, ManifestInfo]]:
    """Id of a snapshot, and the manifests that its file lists or that its arrays refer to.

    Nothing else is decoded, or checked; see `decode_snapshot`.  Of a manifest that only an array
    names, size and number of references are 0.
    """
    root, _ = _open(data, name)
    found = {info.id: info for info in _read_infos(root)}
    for manifest_id in manifests_of_nodes(root):
        if manifest_id not in found:
            found[manifest_id] = ManifestInfo(manifest_id, 0, 0)
    return ObjectId(root.struct(0, OBJECT_ID_SIZE)), found


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


def _read_infos(root: Table) -> list[ManifestInfo]:
    if root.presence(7):
        if root.body.size <= SMALL_FILE:
            return [
                ManifestInfo(ObjectId(info.struct(0, OBJECT_ID_SIZE)), info.u64(1), info.u32(2))
                for info in root.vector_of_tables(7)
            ]
        table = TableColumn.of_vector(root, 7)
        table.require(0)
        raw = table.structs(0, OBJECT_ID_SIZE).tobytes()
        ids = [raw[at : at + OBJECT_ID_SIZE] for at in range(0, len(raw), OBJECT_ID_SIZE)]
        sizes, refs = table.u64(1).tolist(), table.u32(2).tolist()
    else:
        column = np.frombuffer(root.struct_vector(6, _INFO.itemsize), _INFO)
        ids, sizes, refs = (column[name].tolist() for name in ("id", "size", "refs"))
    rows = zip(ids, sizes, refs, strict=True)
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
    return encode_and_keep(snapshot, dialect=dialect, level=level)[0]


def encode_and_keep(
    snapshot: Snapshot, *, dialect: Dialect = V2, level: int = 3
) -> tuple[bytes, Snapshot]:
    """Bytes of a snapshot file, and the same snapshot with its nodes encoded for the next one."""
    builder = Builder()
    infos = [snapshot.manifests[key] for key in sorted(snapshot.manifests)]
    nodes = NodeWriter(builder, snapshot, dialect).write()
    start = builder.size  # the nodes end before it, where they are the only thing there is
    tables = _write_info_tables(builder, infos) if dialect.manifest_info_tables else None
    structs = b"" if dialect.manifest_info_tables else _info_structs(infos)
    root = builder.table(
        {
            0: struct(snapshot.id),
            1: struct(snapshot.parent_id if dialect.parent_in_snapshot else None),
            2: ref(builder.offset_column(nodes.refs + (start - nodes.region.size))),
            3: u64(snapshot.flushed_at),
            4: ref(builder.string(snapshot.message)),
            5: ref(_write_metadata(builder, snapshot.metadata, dialect)),
            6: ref(builder.struct_vector(structs, len(structs) // _INFO.itemsize, 8)),
            7: ref(tables),
        }
    )
    data = pack(FileType.SNAPSHOT, dialect.spec_version, builder.finish_parts(root), level)
    return data, replace(snapshot, nodes=snapshot.nodes.kept_in(nodes))


def check_snapshot_size(
    base: NodeTable,
    kept: int,
    changed: Iterable[NodeSnapshot],
    manifests: int,
    message: str,
    metadata: dict[str, Any],
    dialect: Dialect,
) -> None:
    """Refuse a snapshot that could not be written, before anything else is.

    The size is an estimate that costs no more than the changes; `encode_snapshot` knows it exactly.

    Parameters
    ----------
    base : NodeTable
        The hierarchy before the changes.
    kept : int
        How many of its nodes are still there.
    changed : iterable of NodeSnapshot
        Nodes that are written.
    manifests : int
        How many are going to be written.
    message, metadata
        Of the commit.
    dialect : Dialect
        Spec version to write.

    Raises
    ------
    FormatError
        Kind ``serialization``.
    """
    own, source, _ = base.parts()
    before = sum(map(_node_bytes, own.values()))
    if isinstance(source, StoredNodes):
        before += source.region.live * (len(base) - len(own)) // max(len(source.paths), 1)
    size = before * kept // max(len(base), 1)
    size += sum(map(_node_bytes, changed)) + _MANIFEST_BYTES * manifests
    size += len(message) + sum(len(dialect.encode_value(value)) for value in metadata.values())
    if size > MAX_BODY:
        raise FormatError(
            f"the snapshot would need about {size} bytes, the format allows {MAX_BODY}. Keep fewer "
            "nodes or smaller attributes in one repository, or split arrays over fewer manifests",
            ErrorKind.SERIALIZATION,
        )


def _node_bytes(node: NodeSnapshot) -> int:
    """About what a node takes in the file, its manifests included."""
    manifests = () if node.array is None else node.array.manifests
    boxes = sum(len(item.extents) for item in manifests)
    return 40 + len(node.path) + len(node.user_data) + _MANIFEST_BYTES * len(manifests) + 8 * boxes


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
    listed = list(infos)
    ids = np.frombuffer(b"".join(info.id for info in listed), f"V{OBJECT_ID_SIZE}")
    block = table_vector(
        [
            Records(
                count=len(listed),
                stride=32,
                vtable=(10, 28, 4, 16, 24),
                scalars=[
                    (4, ids.dtype.str, ids),
                    (16, "<u8", np.array([info.size_bytes for info in listed], np.uint64)),
                    (24, "<u4", np.array([info.num_chunk_refs for info in listed], np.uint64)),
                ],
            )
        ]
    )
    return builder.block(block.raw, block.entry)
