"""The content of metadata files as dictionaries for JSON."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from icechunk.changes.moves import composed
from icechunk.core.clock import to_datetime
from icechunk.core.ids import NodeId, ObjectId, id_text
from icechunk.engine.commit_logs import pruned_logs
from icechunk.engine.context import RepoContext
from icechunk.files.layout import REPO, log_key, manifest_key, snapshot_key
from icechunk.refs.capabilities import Capability
from icechunk.spec.envelope import Envelope, FileType, unpack
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable
from icechunk.spec.manifest.decode import decode_manifest
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.codec import decode_repo
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.snapshot.codec import decode_snapshot
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.spec.transaction_log.codec import decode_transaction_log

_LABELS = {
    FileType.SNAPSHOT: "snapshot",
    FileType.MANIFEST: "manifest",
    FileType.TRANSACTION_LOG: "transaction-log",
    FileType.REPO_INFO: "repo-info",
}
# slots of Manifest, ArrayManifest and ChunkRef
_ARRAYS, _DICTIONARY, _ALGORITHM, _REFS, _COMPRESSED_LOCATION = 1, 2, 3, 1, 8


def inspect_snapshot(ctx: RepoContext, snapshot_id: ObjectId) -> dict[str, Any]:
    """A snapshot file: its commit, manifests and nodes.

    Raises
    ------
    StorageError
        Kind ``object-not-found``.
    """
    key = snapshot_key(snapshot_id)
    data = ctx.storage.get(key).data
    envelope = unpack(data, FileType.SNAPSHOT, name=key)
    snapshot = decode_snapshot(data, name=key)
    return {
        "id": id_text(snapshot.id),
        "header": _header(envelope, FileType.SNAPSHOT),
        "flushed_at": _time(snapshot.flushed_at),
        "commit_message": snapshot.message,
        "metadata": _sorted(snapshot.metadata),
        "manifests": [
            {
                "id": id_text(info.id),
                "size_bytes": info.size_bytes,
                "num_chunk_refs": info.num_chunk_refs,
            }
            for _, info in sorted(snapshot.manifests.items())
        ],
        "nodes": [_node(node) for node in snapshot.nodes],
    }


def inspect_repo_info(ctx: RepoContext) -> dict[str, Any]:
    """The repo object: refs, snapshots and the latest changes.

    Raises
    ------
    FormatError
        Kind ``unsupported-spec-version`` where there is none (spec 1).
    """
    ctx.ref_store.require(Capability.REPO_OBJECT)
    data = ctx.storage.get(REPO).data
    envelope = unpack(data, FileType.REPO_INFO, name=REPO)
    state = decode_repo(data, name=REPO)
    return {
        "header": _header(envelope, FileType.REPO_INFO),
        "spec_version": f"{state.spec_version}.0",
        "branches": {name: id_text(state.branches[name]) for name in _by_bytes(state.branches)},
        "tags": {name: id_text(state.tags[name]) for name in _by_bytes(state.tags)},
        "deleted_tags": _by_bytes(state.deleted_tags),
        "snapshots": [_record(record) for record in state.snapshots],
        "metadata": _sorted(state.metadata),
        **_updates(state),
    }


def inspect_manifest(ctx: RepoContext, manifest_id: ObjectId) -> dict[str, Any]:
    """A manifest: how many references of which kind each array has in it.

    Raises
    ------
    StorageError
        Kind ``object-not-found``.
    """
    key = manifest_key(manifest_id)
    data = ctx.storage.get(key).data
    envelope = unpack(data, FileType.MANIFEST, name=key)
    manifest = decode_manifest(data, name=key)
    arrays = [_array_refs(node_id, table) for node_id, table in sorted(manifest.arrays.items())]
    return {
        "id": id_text(manifest.id),
        "header": _header(envelope, FileType.MANIFEST),
        "size_bytes": len(envelope.body),
        "num_arrays": len(arrays),
        **{
            f"total_{kind}": sum(array[f"num_{kind}"] for array in arrays)
            for kind in ("chunk_refs", "inline", "native", "virtual")
        },
        "arrays": arrays,
        "compression": _location_compression(envelope, key),
    }


def inspect_transaction_log(ctx: RepoContext, snapshot_id: ObjectId) -> dict[str, Any]:
    """A transaction log: the nodes and chunks that a commit touched.

    Where expiration removed ancestors, their logs are merged into it, as rebases and differences
    take them; ``synthetic_composite`` says so.

    Raises
    ------
    StorageError
        Kind ``object-not-found``.
    """
    key = log_key(snapshot_id)
    data = ctx.storage.get(key).data
    header = _header(unpack(data, FileType.TRANSACTION_LOG, name=key), FileType.TRANSACTION_LOG)
    logs, missing = pruned_logs(ctx, snapshot_id)
    merged = [id_text(log.id) for log in logs]
    logs.append(decode_transaction_log(data, name=key))
    chunks: dict[NodeId, set[tuple[int, ...]]] = {}
    for log in logs:
        for node_id, coords in log.updated_chunks.items():
            chunks.setdefault(node_id, set()).update(map(tuple, np.asarray(coords).tolist()))
    shown = {
        "header": header,
        **{
            f"{what}_{kind}": _ids(getattr(log, f"{what}_{kind}") for log in logs)
            for what in ("new", "deleted", "updated")
            for kind in ("groups", "arrays")
        },
        "updated_chunks": [
            {"node_id": id_text(node_id), "chunks": list(map(list, sorted(chunks[node_id])))}
            for node_id in sorted(chunks)
        ],
        "moved_nodes": [
            {"from": move.source, "to": move.target}
            for move in functools.reduce(composed, [log.moved for log in logs])
        ],
    }
    if merged or missing:
        shown["synthetic_composite"] = {
            "note": _COMPOSITE,
            "merged_pruned_ancestor_tx_logs": merged,
            "missing_tx_logs": [id_text(each) for each in missing],
        }
    return shown


_COMPOSITE = (
    "Synthetic composite: expiration removed ancestors of this snapshot; what their logs hold is "
    "merged below with its own. `header` describes its own log only."
)


def _ids(sets: Iterable[frozenset[NodeId]]) -> list[str]:
    return [id_text(node) for node in sorted(frozenset[NodeId]().union(*sets))]


def _header(envelope: Envelope, file_type: FileType) -> dict[str, str]:
    written_by = envelope.writer
    app_name, _, app_version = written_by.partition("-")
    return {
        "written_by": written_by,
        "app_name": app_name,
        "app_version": app_version,
        "spec_version": f"{envelope.spec_version}.0",
        "file_type": _LABELS[file_type],
        "compression": "zstd",
    }


def _time(us: int) -> str:
    """A time as RFC 3339 text, with as many groups of three decimals as it needs."""
    text = to_datetime(us).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.removesuffix("000").removesuffix(".000") + "Z"


def _sorted(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: metadata[name] for name in sorted(metadata)}


def _by_bytes(names: Any) -> list[str]:
    return sorted(names, key=str.encode)


def _node(node: NodeSnapshot) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": id_text(node.id),
        "path": node.path,
        "node_type": "array" if node.is_array else "group",
    }
    array = node.array
    if array is None:
        return content
    names = array.dimension_names or (None,) * len(array.shape)
    content["shape"] = [
        {
            **({} if name is None else {"name": name}),
            "array_length": length,
            "num_chunks": chunks,
        }
        for name, length, chunks in zip(names, array.shape, array.num_chunks, strict=True)
    ]
    content["manifest_refs"] = [
        {"id": id_text(ref.object_id), "extents": [list(axis) for axis in ref.extents]}
        for ref in array.manifests
    ]
    return content


def _record(record: SnapshotRecord) -> dict[str, Any]:
    return {
        "id": id_text(record.id),
        **({} if record.parent_id is None else {"parent_id": id_text(record.parent_id)}),
        "flushed_at": _time(record.flushed_at),
        "message": record.message,
        "metadata": _sorted(record.metadata),
    }


def _updates(state: RepoState) -> dict[str, Any]:
    content: dict[str, Any] = {
        "latest_updates": [
            {
                "update_type": _update(update.kind),
                "updated_at": _time(update.updated_at),
                **({} if update.backup_path is None else {"backup_path": update.backup_path}),
            }
            for update in state.updates
        ]
    }
    if state.updates_before is not None:
        content["repo_before_updates"] = state.updates_before
    return content


def _update(kind: u.UpdateKind) -> dict[str, Any]:
    """Type and fields of an update; the names are those of the reference library."""
    if isinstance(kind, u.FeatureFlagChanged):
        return {"type": "FeatureFlagChanged", "id": kind.id, "new_value": kind.new_value}
    content: dict[str, Any] = {"type": f"{type(kind).__name__}Update"}
    if isinstance(kind, u.RepoMigrated):
        content["from_version"] = f"{kind.from_version}.0"
        content["to_version"] = f"{kind.to_version}.0"
    elif isinstance(kind, u.RepoStatusChanged):
        content["status"] = _status(kind.status)
    elif isinstance(kind, u.UnknownUpdate):
        content["tag"] = kind.tag
    else:
        for name in ("name", "branch", "new_snap_id", "previous_snap_id"):
            value = getattr(kind, name, None)
            if value is not None:
                content[name] = id_text(value) if isinstance(value, bytes) else value
    return content


def _status(status: u.RepoStatusValue) -> dict[str, Any]:
    return {
        "availability": "Online" if status.writable else "ReadOnly",
        "limited_availability_reason": status.reason,
        "set_at": _time(status.set_at),
    }


def _array_refs(node_id: NodeId, table: ChunkTable) -> dict[str, Any]:
    kinds = table.kind
    return {
        "node_id": id_text(node_id),
        "num_chunk_refs": len(table),
        "num_inline": int((kinds == INLINE).sum()),
        "num_native": int((kinds == NATIVE).sum()),
        "num_virtual": int((kinds == VIRTUAL).sum()),
    }


def _location_compression(envelope: Envelope, name: str) -> dict[str, Any]:
    """Whether locations may be compressed, how many are, and how large their dictionary is."""
    root = Body(envelope.body, name).root()
    dictionary = root.opt_bytes_vector(_DICTIONARY)
    content: dict[str, Any] = {
        "uses_location_compression": root.u8(_ALGORITHM, 1) != 0,
        "num_compressed_refs": 0,
    }
    if dictionary is not None:
        content["dictionary_size_bytes"] = len(dictionary)
        content["num_compressed_refs"] = sum(
            ref.opt_bytes_vector(_COMPRESSED_LOCATION) is not None
            for array in root.vector_of_tables(_ARRAYS)
            for ref in array.vector_of_tables(_REFS)
        )
    return content
