"""Write the files of a new snapshot: manifests, snapshot, transaction log.

Nothing becomes visible here.  After a crash the files stay until garbage collection deletes them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.to_log import transaction_log
from icechunk.changes.tree_view import TreeView
from icechunk.core.clock import MAX_SKEW_US, now_us
from icechunk.core.errors import ErrorKind, FormatError, SessionStateError
from icechunk.core.ids import NodeId, ObjectId, id_text, new_object_id
from icechunk.core.runtime import map_parallel
from icechunk.engine.context import RepoContext
from icechunk.engine.manifest_plan import Part, plan_manifests
from icechunk.engine.removals import with_removals
from icechunk.files.layout import chunk_key, log_key, manifest_key, snapshot_key
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.patch import ManifestPatch
from icechunk.spec.snapshot.codec import check_snapshot_size
from icechunk.spec.snapshot.nodes import ManifestRef, NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot
from icechunk.spec.transaction_log.codec import check_log_size
from icechunk.spec.transaction_log.log import TransactionLog

SHARED_MANIFEST_REFS = 1024
"""Arrays with fewer references than this share manifests, up to this many references each.

A dataset has many small arrays (coordinates, scalars); one file for all of them costs one request
to write and one to read.
"""


class Flushed(NamedTuple):
    """Files written for a snapshot that no ref points to yet."""

    snapshot: Snapshot
    keys: tuple[str, ...]


def flush(
    ctx: RepoContext,
    base: Snapshot,
    changes: ChangeSet,
    message: str,
    metadata: dict[str, Any],
    log: TransactionLog | None = None,
) -> Flushed:
    """Write the manifests, snapshot and transaction log of a new snapshot.

    Parameters
    ----------
    ctx : RepoContext
        The repository handle.
    base : Snapshot
        What the changes are laid over.
    changes : ChangeSet
        Not modified.
    message, metadata
        Of the commit.
    log : TransactionLog, optional
        Instead of the one that follows from the changes; its id is replaced.

    Raises
    ------
    SessionStateError
        Kind ``clock-skew`` when this machine's clock is far behind the base's time.
    FormatError
        Kind ``serialization`` for more changed chunks than one commit can have, or more nodes
        than a snapshot.
    """
    at = _commit_time(base)
    snapshot_id = new_object_id()
    changes = with_removals(changes, base, ctx.files)
    tree = TreeView(base.nodes, changes)
    log = transaction_log(snapshot_id, changes) if log is None else replace(log, id=snapshot_id)
    check_log_size(log)
    changed = tree.changed()
    plan = plan_manifests(ctx, base, changed, changes)
    kept = len(tree.base) - len(changes.deleted) - len(changed) + len(changes.new)
    check_snapshot_size(
        tree.base, kept, changed, len(plan.parts), message, metadata, ctx.files.dialect
    )
    written = _write_manifests(ctx.files, plan.parts, shared=ctx.settings.share_manifests)
    refs: dict[NodeId, list[ManifestRef]] = {node_id: list(r) for node_id, r in plan.kept.items()}
    for part, info in written:
        refs.setdefault(part.node_id, []).append(ManifestRef(info.id, part.extents))
    changed = [_with_manifests(node, refs) for node in changed]
    nodes = tree.base.edited(changed, changes.deleted)
    known = {**base.manifests, **{info.id: info for _, info in written}}
    manifests = _referenced(nodes, known)
    snapshot = Snapshot(snapshot_id, base.id, at, message, metadata, nodes, manifests)
    ctx.files.write_snapshot_and_log(snapshot, log)
    keys = [
        *(chunk_key(object_id) for object_id in changes.objects),
        *(manifest_key(manifest_id) for manifest_id in {info.id for _, info in written}),
        snapshot_key(snapshot_id),
        log_key(snapshot_id),
    ]
    return Flushed(snapshot, tuple(keys))


def _commit_time(base: Snapshot) -> int:
    """Time of the new snapshot: now, but after the base even where clocks differ a little."""
    at = now_us()
    if at <= base.flushed_at:
        if base.flushed_at - at > MAX_SKEW_US:
            raise SessionStateError(
                f"the clocks differ: snapshot {id_text(base.id)} was written "
                f"{(base.flushed_at - at) // 1_000_000} seconds in the future of this machine's "
                "clock, and times must increase along a branch. Set this machine's clock, or wait "
                "that long if the clock of the other was wrong; the session keeps its changes",
                ErrorKind.CLOCK_SKEW,
            )
        at = base.flushed_at + 1
    return at


def _write_manifests(
    files: RepositoryFiles, parts: list[Part], *, shared: bool
) -> list[tuple[Part, ManifestInfo]]:
    """Write the manifests; where manifests are shared, one holds several small arrays."""
    groups = _shared_groups(parts) if shared else [[part] for part in parts]

    def write(group: list[Part]) -> ManifestInfo:
        if isinstance(group[0].content, ManifestPatch):
            return files.write_patch(group[0].content)
        tables = {p.node_id: p.content for p in group if isinstance(p.content, ChunkTable)}
        return files.write_manifest(tables)

    infos = map_parallel(write, groups)
    return [(part, info) for group, info in zip(groups, infos, strict=True) for part in group]


def _shared_groups(parts: list[Part]) -> list[list[Part]]:
    """Assign parts to manifests; small arrays share them."""
    groups: list[list[Part]] = []
    shared: list[Part] = []
    per_node: dict[NodeId, int] = {}
    for part in parts:
        per_node[part.node_id] = per_node.get(part.node_id, 0) + 1
    room = 0
    for part in parts:
        if part.refs >= SHARED_MANIFEST_REFS or per_node[part.node_id] > 1:
            groups.append([part])
            continue
        if part.refs > room:
            shared = []
            groups.append(shared)
            room = SHARED_MANIFEST_REFS
        shared.append(part)
        room -= part.refs
    return groups


def _with_manifests(node: NodeSnapshot, refs: dict[NodeId, list[ManifestRef]]) -> NodeSnapshot:
    if node.array is None:
        return node
    manifests = tuple(refs.get(node.id, ()))
    if manifests == node.array.manifests:
        return node
    return replace(node, array=replace(node.array, manifests=manifests))


def _referenced(
    nodes: NodeTable, known: dict[ObjectId, ManifestInfo]
) -> dict[ObjectId, ManifestInfo]:
    """Infos of the manifests that the nodes refer to."""
    used = nodes.manifest_ids()
    if used == known.keys():
        return known
    for manifest_id in used:
        if manifest_id not in known:
            raise FormatError(
                f"an array refers to manifest {id_text(manifest_id)}, which its snapshot does not "
                "list; the repository is damaged, start from another snapshot",
                ErrorKind.MANIFEST_INFO_NOT_FOUND,
            )
    return {manifest_id: known[manifest_id] for manifest_id in used}
