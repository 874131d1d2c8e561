"""From a base and its changes to the files of a new snapshot; nothing becomes visible here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

from icechunk.assets.assets import Assets
from icechunk.assets.layout import chunk_key, log_key, manifest_key, snapshot_key
from icechunk.changes.change_set import ChangeSet
from icechunk.changes.overlay import TreeView
from icechunk.changes.to_log import transaction_log
from icechunk.engine.context import RepoContext
from icechunk.engine.reader import ArrayReader
from icechunk.ground.clock import MAX_SKEW_US, now_us
from icechunk.ground.errors import ErrorKind, FormatError
from icechunk.ground.ids import NodeId, ObjectId, id_text, new_object_id
from icechunk.ground.runtime import map_parallel
from icechunk.model.chunk_table import ChunkTable
from icechunk.model.extents import Extents, covers, overlaps
from icechunk.model.nodes import ManifestRef, NodeSnapshot, NodeTable
from icechunk.model.snapshot import ManifestInfo, Snapshot
from icechunk.model.splits import split_edges
from icechunk.model.txlog import TransactionLog

SHARED_MANIFEST_REFS = 1024
"""Arrays with fewer references than this share manifests, up to this many references each.

A dataset has many small arrays (coordinates, scalars); one file for all of them costs one request
to write and one to read.
"""


@dataclass(frozen=True, slots=True)
class Flushed:
    """Files written for a snapshot that no ref points to yet."""

    snapshot: Snapshot
    keys: tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """References of one array (or one split cell of it) that need a new manifest."""

    node_id: NodeId
    table: ChunkTable


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
    FormatError
        Kind ``snapshot-timestamp`` when this machine's clock is far behind the base's time.
    """
    at = _commit_time(base)
    snapshot_id = new_object_id()
    tree = TreeView(base.nodes, changes)
    kept, parts = _plan(ctx, base, tree, changes)
    written = _write_manifests(ctx.assets, parts)
    refs: dict[NodeId, list[ManifestRef]] = {node_id: list(r) for node_id, r in kept.items()}
    for part, info in written:
        refs.setdefault(part.node_id, []).append(ManifestRef(info.id, part.table.extents()))
    nodes = NodeTable(_with_manifests(node, refs) for node in tree)
    manifests = _referenced(nodes, base, [info for _, info in written])
    snapshot = Snapshot(snapshot_id, base.id, at, message, metadata, nodes, manifests)
    log = transaction_log(snapshot_id, changes) if log is None else replace(log, id=snapshot_id)
    ctx.assets.write_snapshot_and_log(snapshot, log)
    keys = [
        *(chunk_key(object_id) for object_id in changes.objects),
        *(manifest_key(manifest_id) for manifest_id in {info.id for _, info in written}),
        snapshot_key(snapshot_id),
        log_key(snapshot_id),
    ]
    return Flushed(snapshot, tuple(keys))


def _commit_time(base: Snapshot) -> int:
    """Now, or just after the base where clocks differ a little: times must increase."""
    at = now_us()
    if at <= base.flushed_at:
        if base.flushed_at - at > MAX_SKEW_US:
            raise FormatError(
                f"snapshot {id_text(base.id)} was written {(base.flushed_at - at) // 1_000_000} "
                "seconds in the future of this machine's clock; set the clock and try again",
                ErrorKind.SNAPSHOT_TIMESTAMP,
            )
        at = base.flushed_at + 1
    return at


def _plan(
    ctx: RepoContext, base: Snapshot, tree: TreeView, changes: ChangeSet
) -> tuple[dict[NodeId, tuple[ManifestRef, ...]], list[_Part]]:
    """Manifest references that stay as they are, and the tables that need a manifest."""
    kept: dict[NodeId, tuple[ManifestRef, ...]] = {}
    parts: list[_Part] = []
    touched = changes.updated.keys() | changes.chunks.keys()
    new = {node.id for node in changes.new.values()}
    for node in tree:
        if node.array is None:
            continue
        if node.id not in touched and node.id not in new:
            kept[node.id] = node.array.manifests
            continue
        reader = ArrayReader(node, base, changes, ctx.assets)
        stay, tables = _plan_array(ctx, node, reader, changes)
        kept[node.id] = stay
        parts.extend(_Part(node.id, table) for table in tables)
    return kept, parts


def _plan_array(
    ctx: RepoContext, node: NodeSnapshot, reader: ArrayReader, changes: ChangeSet
) -> tuple[tuple[ManifestRef, ...], list[ChunkTable]]:
    """Apply the present split rules to one array (spec: a new manifest per changed cell)."""
    assert node.array is not None
    edits_of = changes.chunks.get(node.id)
    edits = ChunkTable.empty(len(node.array.shape)) if edits_of is None else edits_of.table()
    old = node.array.manifests
    if not old and not len(edits):
        return (), []
    stay: list[ManifestRef] = []
    tables: list[ChunkTable] = []
    base: ChunkTable | None = None
    shrunk = changes.kept.get(node.id)
    for cell in _cells(ctx, node):
        changed = edits.within(cell)
        inside = [ref for ref in old if overlaps(ref.extents, cell)]
        if not len(changed) and all(_fits(ref, cell, shrunk) for ref in inside):
            stay.extend(inside)
            continue
        if base is None:
            base = reader.base_table() if old else ChunkTable.empty(len(node.array.shape))
        table = ChunkTable.merge(base.within(cell), changed)
        if len(table):
            tables.append(table)
    return tuple(stay), tables


def _fits(ref: ManifestRef, cell: Extents, shrunk: tuple[int, ...] | None) -> bool:
    """Whether a manifest can serve a cell as it is."""
    if not covers(cell, ref.extents):
        return False
    return shrunk is None or covers(tuple((0, max(s, 1)) for s in shrunk), ref.extents)


def _cells(ctx: RepoContext, node: NodeSnapshot) -> Iterator[Extents]:
    """Split cells of an array, row-major; one cell without splitting."""
    assert node.array is not None
    edges = split_edges(ctx.settings, node.path, node.array.num_chunks, node.array.dimension_names)
    # An axis without chunks still has position 0: a 0-d array has one chunk, others none to keep.
    ranges: Iterable[list[tuple[int, int]]] = [list(pairwise(axis)) or [(0, 1)] for axis in edges]
    return (tuple(cell) for cell in product(*ranges))


def _write_manifests(assets: Assets, parts: list[_Part]) -> list[tuple[_Part, ManifestInfo]]:
    """Write the tables, small arrays together."""
    groups: list[list[_Part]] = []
    shared: list[_Part] = []
    per_node: dict[NodeId, int] = {}
    for part in parts:
        per_node[part.node_id] = per_node.get(part.node_id, 0) + 1
    room = 0
    for part in parts:
        size = len(part.table)
        if size >= SHARED_MANIFEST_REFS or per_node[part.node_id] > 1:
            groups.append([part])
            continue
        if size > room:
            shared = []
            groups.append(shared)
            room = SHARED_MANIFEST_REFS
        shared.append(part)
        room -= size

    def write(group: list[_Part]) -> ManifestInfo:
        return assets.write_manifest({part.node_id: part.table for part in group})

    infos = map_parallel(write, groups)
    return [(part, info) for group, info in zip(groups, infos, strict=True) for part in group]


def _with_manifests(node: NodeSnapshot, refs: dict[NodeId, list[ManifestRef]]) -> NodeSnapshot:
    if node.array is None:
        return node
    manifests = tuple(refs.get(node.id, ()))
    if manifests == node.array.manifests:
        return node
    return replace(node, array=replace(node.array, manifests=manifests))


def _referenced(
    nodes: NodeTable, base: Snapshot, written: Iterable[ManifestInfo]
) -> dict[ObjectId, ManifestInfo]:
    """Every manifest that a node refers to."""
    known = {**base.manifests, **{info.id: info for info in written}}
    used = {
        ref.object_id for node in nodes if node.array is not None for ref in node.array.manifests
    }
    return {manifest_id: known[manifest_id] for manifest_id in sorted(used)}
