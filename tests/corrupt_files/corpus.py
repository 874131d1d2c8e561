"""One intact file of every kind, and what a program does with it after opening it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import zstandard

from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.dialect import V1, V2, Dialect
from icechunk.spec.envelope import FileType, pack
from icechunk.spec.flatbuffers.write import Builder, Field, ref, struct, u8, u32, u64
from icechunk.spec.manifest import decode as manifest_module
from icechunk.spec.manifest import patch as manifest_patch
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location
from icechunk.spec.manifest.decode import decode_manifest, encode_manifest
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp, UpdateLog
from icechunk.spec.repo.updates import RepoStatusValue, Update
from icechunk.spec.snapshot.codec import decode_snapshot, encode_snapshot
from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot
from icechunk.spec.transaction_log.codec import decode_transaction_log, encode_transaction_log
from icechunk.spec.transaction_log.log import Move, TransactionLog

NODE, OTHER = NodeId(b"node-id!"), NodeId(b"other-id")
IDS = [ObjectId(bytes([k]) * 12) for k in (3, 5, 8, 9, 12, 200)]


@dataclass(frozen=True)
class Specimen:
    """An intact file.

    Attributes
    ----------
    name : str
        Object name, which errors have to mention.
    kind : FileType
    data : bytes
        The whole object.
    use : callable
        Reads it (given damaged bytes and the name) as deeply as the library ever does.
    """

    name: str
    kind: FileType
    data: bytes
    use: Callable[[bytes, str], None]


def use_manifest(data: bytes, name: str) -> None:
    """Look chunks up in the file itself, decode everything, change a chunk and encode again."""
    cold = decode_manifest(data, name=name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_module, "_COLD_REFS", 0)
        patch.setattr(manifest_patch, "SMALLEST", 0)
        for node in cold.arrays:
            for coords in ((1, 4), (9,), (0, 0), (0,), ()):
                cold.peek(node, coords)
                place = Location(NATIVE, IDS[0], 0, 1, None, None, None, 0)
                edit = ChunkTable.from_locations(len(coords), [(coords, place)])
                plan = manifest_patch.plan_patch(cold, node, edit)
                if plan is not None:
                    plan.encode(IDS[1], dialect=V2, level=1)
            cold.locate(node, (1, 4))
            cold.locate(node, (9,))
    manifest = decode_manifest(data, name=name)
    tables = {node: manifest.arrays[node] for node in manifest.arrays}
    assert manifest.num_chunk_refs == sum(map(len, tables.values()))
    for node, table in tables.items():
        table.native_ids()
        for row, coords in enumerate(table.coords().tolist()):
            assert table.find(coords) == row
            table.location(row)
        edit = ChunkTable.from_locations(
            table.ndim,
            [([0] * table.ndim, Location(NATIVE, IDS[0], 0, 1, None, None, None, 0))],
        )
        tables[node] = ChunkTable.merge(table, edit)
    encode_manifest(manifest.id, tables)


def use_snapshot(data: bytes, name: str) -> None:
    """Walk the hierarchy, and write it again with one node more."""
    snapshot = decode_snapshot(data, name=name)
    nodes = list(snapshot.nodes)
    for node in nodes:
        assert snapshot.nodes.get(node.path) == node
        snapshot.nodes.by_id(node.id)
        snapshot.nodes.children(node.path)
    list(snapshot.nodes.below("/"))
    more = NodeTable([*nodes, NodeSnapshot(NodeId(b"addition"), "/~", b"{}")])
    for dialect in (V1, V2):
        encode_snapshot(replace(snapshot, nodes=more), dialect=dialect)


def use_log(data: bytes, name: str) -> None:
    """Read the log, and write it again."""
    encode_transaction_log(decode_transaction_log(data, name=name))


def use_repo(data: bytes, name: str) -> None:
    """Read all of the state, commit to it, and write it again."""
    state = decode_repo(data, name=name)
    for target in {*state.branches.values(), *state.tags.values()}:
        list(state.ancestry(target))
    list(state.snapshots)
    list(state.updates)
    record = SnapshotRecord(ObjectId(b"new-snapshot"), None, 2**50, "more")
    stamp = Stamp(2**50 + 1, "b", 3)
    for branch, tip in state.branches.items():
        changed = state.with_commit(branch, tip, record, stamp)
        decode_repo(encode_repo(changed), name=name)


def _table() -> ChunkTable:
    places = [
        Location(NATIVE, ObjectId(b"chunk-id-123"), 0, 9, None, None, None, 0),
        Location(VIRTUAL, None, 5, 9, None, "s3://bucket/key", '"tag"', 0),
        Location(VIRTUAL, None, 5, 9, None, "s3://bucket/key2", None, 77),
        Location(INLINE, None, 0, 4, b"data", None, None, 0),
    ]
    return ChunkTable.from_locations(2, [((k // 3, k), places[k % 4]) for k in range(12)])


def _manifests() -> dict[str, bytes]:
    table = _table()
    kinds = {"native": NATIVE, "virtual": VIRTUAL, "inline": INLINE}
    tables = {name: table.select(table.kind == kind) for name, kind in kinds.items()}
    files = {name: encode_manifest(IDS[0], {NODE: part}) for name, part in tables.items()}
    files["mixed"] = encode_manifest(IDS[0], {NODE: table, OTHER: table.select([0])}, dialect=V1)
    return files | {"compressed": _compressed_manifest()}


def _compressed_manifest() -> bytes:
    """References as another writer lays them out: table by table, compressed locations."""
    dictionary = b"s3://bucket/a/long/common/prefix/file-0000.nc"
    compressor = zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(dictionary))
    b = Builder()
    tables = []
    for k in range(8):
        fields: dict[int, Field] = {
            0: ref(b.struct_vector(np.array([k], "<u4").tobytes(), 1, 4)),
            2: u64(k),
            3: u64(1),
        }
        if k % 4 == 3:
            fields |= {5: ref(b.string("s3://plain")), 6: ref(b.string("tag")), 7: u32(k)}
        else:
            url = b"s3://bucket/a/long/common/prefix/file-%d.nc" % (k % 3)
            fields[8] = ref(b.bytes_vector(compressor.compress(url)))
        tables.append(b.table(fields))
    array = b.table({0: struct(NODE), 1: ref(b.offset_vector(tables))})
    root = {
        0: struct(IDS[0]),
        1: ref(b.offset_vector([array])),
        2: ref(b.bytes_vector(dictionary)),
        3: u8(1),
    }
    return pack(FileType.MANIFEST, 2, b.finish(b.table(root)))


def _snapshot(dialect: Dialect) -> bytes:
    infos = {key: ManifestInfo(key, 1000 + k, 10 * k) for k, key in enumerate(IDS[:3])}
    box = ((0, 3), (0, 4))
    refs = (ManifestRef(IDS[0], ((0, 2), (0, 4))), ManifestRef(IDS[1], ((2, 3), (0, 4))))
    arrays = {
        "/a": ArrayData((30, 40), (3, 4), ("time", None), refs),
        "/g/b": ArrayData((30, 40), (3, 4), None, (ManifestRef(IDS[2], box),)),
        "/g/scalar": ArrayData((), (), (), (ManifestRef(IDS[2], ()),)),
    }
    nodes = [
        NodeSnapshot(NodeId(bytes([k]) * 8), path, b'{"zarr_format":3}', arrays.get(path))
        for k, path in enumerate(["/", "/a", "/g", "/g/b", "/g/scalar"])
    ]
    metadata = {"author": "me", "numbers": [1, 2.5, None, {"deep": [True]}]}
    snapshot = Snapshot(
        IDS[3], IDS[4], 1_700_000_000_000_000, "a commit", metadata, NodeTable(nodes), infos
    )
    return encode_snapshot(snapshot, dialect=dialect)


def _log() -> bytes:
    nodes = [NodeId(bytes([k]) * 8) for k in range(6)]
    log = TransactionLog(
        IDS[3],
        new_groups=frozenset(nodes[:2]),
        new_arrays=frozenset(nodes[2:]),
        deleted_arrays=frozenset(nodes[:1]),
        updated_arrays=frozenset(nodes[:1]),
        updated_chunks={
            nodes[0]: np.arange(12, dtype=np.uint32).reshape(6, 2),
            nodes[1]: np.arange(3, dtype=np.uint32).reshape(3, 1),
        },
        moved=(Move("/a", "/b", nodes[1], True), Move("/c", "/d/e", nodes[2], False)),
    )
    return encode_transaction_log(log)


def _repo() -> bytes:
    history = [
        SnapshotRecord(key, parent, 10**15 + 1000 * k, f"commit {k}", {"k": [k]}, pruned)
        for k, (key, parent, pruned) in enumerate(
            [
                (IDS[4], None, ()),
                (IDS[0], IDS[4], (IDS[5],)),
                (IDS[2], IDS[0], ()),
                (IDS[1], IDS[0], ()),
            ]
        )
    ]
    kinds: list[u.UpdateKind] = [
        u.NewCommit("main", IDS[2]),
        u.CommitAmended("main", IDS[0], IDS[2]),
        u.TagCreated("v1"),
        u.TagDeleted("v0", IDS[0]),
        u.BranchReset("dev", IDS[0]),
        u.FeatureFlagChanged(3, False),
        u.RepoStatusChanged(RepoStatusValue(0, 10**15, "back")),
        u.RepoMigrated(1, 2),
    ]
    updates = [
        Update(kind, 10**15 + 1000 - k, f"repo.{k}" if k else None) for k, kind in enumerate(kinds)
    ]
    state = RepoState(
        branches=Refs({"main": IDS[2], "dev": IDS[1]}),
        tags=Refs({"v1": IDS[0], "größe": IDS[4]}),
        deleted_tags=frozenset({"v0"}),
        snapshots=SnapshotTable.from_records(history),
        status=RepoStatusValue(0, 10**15, None),
        updates=UpdateLog.from_updates(updates),
        metadata={"title": "x", "n": {"a": [1, 2, 3]}},
        updates_before="repo.0",
        config={"inline_chunk_threshold_bytes": 512, "manifest": None},
        flags_enabled=frozenset({3}),
        flags_disabled=frozenset({4, 900}),
        extra=b"later",
    )
    return encode_repo(state)


def specimens() -> Mapping[str, Specimen]:
    """Every kind of metadata file, by a short name."""
    name = "manifests/0C1G60R30C1G60R30C1G"
    made = {
        f"manifest-{kind}": Specimen(name, FileType.MANIFEST, data, use_manifest)
        for kind, data in _manifests().items()
    }
    name = "snapshots/14GJ28H54GJ28H54GJ28"
    for version, dialect in ((1, V1), (2, V2)):
        data = _snapshot(dialect)
        made[f"snapshot-{version}"] = Specimen(name, FileType.SNAPSHOT, data, use_snapshot)
    name = "transactions/14GJ28H54GJ28H54GJ28"
    made["log"] = Specimen(name, FileType.TRANSACTION_LOG, _log(), use_log)
    made["repo"] = Specimen("repo", FileType.REPO_INFO, _repo(), use_repo)
    return made
