"""Decide which manifests a commit keeps, patches and replaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import NamedTuple

from icechunk.changes.change_set import ChangeSet
from icechunk.core.ids import NodeId, ObjectId
from icechunk.core.runtime import map_parallel
from icechunk.engine.context import RepoContext
from icechunk.engine.reader import ArrayReader
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.extents import Extents, covers, overlaps
from icechunk.spec.manifest.patch import SMALLEST, ManifestPatch, plan_patch
from icechunk.spec.manifest.splits import MAX_MANIFEST_REFS, split_edges, within_limits
from icechunk.spec.snapshot.nodes import ManifestRef, NodeSnapshot
from icechunk.spec.snapshot.snapshot import Snapshot


class Part(NamedTuple):
    """References of one array, or of a part of its chunk grid, for a new manifest.

    Attributes
    ----------
    node_id : NodeId
        The array.
    extents : Extents
        Box around the chunks.
    content : ChunkTable or ManifestPatch
        All references, or the changes of an existing manifest.
    """

    node_id: NodeId
    extents: Extents
    content: ChunkTable | ManifestPatch

    @property
    def refs(self) -> int:
        """Number of references."""
        content = self.content
        return len(content) if isinstance(content, ChunkTable) else content.num_chunk_refs


class ManifestPlan(NamedTuple):
    """Manifests of the changed arrays: those that stay, and the content of new ones.

    Attributes
    ----------
    kept : dict of NodeId to tuple of ManifestRef
        Manifests that stay as they are, for each of these arrays.
    parts : list of Part
        Content of new manifests.
    """

    kept: dict[NodeId, tuple[ManifestRef, ...]]
    parts: list[Part]


def plan_manifests(
    ctx: RepoContext, base: Snapshot, changed: Iterable[NodeSnapshot], changes: ChangeSet
) -> ManifestPlan:
    """Plan the manifests of every array that changed.

    Parameters
    ----------
    ctx : RepoContext
        The repository handle.
    base : Snapshot
        What the changes are laid over.
    changed : iterable of NodeSnapshot
        Nodes that are new, or differ from the base in metadata or chunks.
    changes : ChangeSet
        Not modified.
    """
    arrays = [node for node in changed if node.array is not None]

    def planned(node: NodeSnapshot) -> tuple[list[ManifestRef], list[Part]]:
        parts: list[Part] = []
        return _ArrayPlan(ctx, base, changes, node).run(parts), parts

    limit = ctx.settings.max_concurrent_manifest_fetches_during_commit
    plan = ManifestPlan({}, [])
    for node, (stay, parts) in zip(arrays, map_parallel(planned, arrays, limit), strict=True):
        plan.kept[node.id] = tuple(stay)
        plan.parts.extend(parts)
    return plan


class _ArrayPlan:
    """Plan of one array by the present split rules: a new manifest for every changed cell."""

    def __init__(
        self, ctx: RepoContext, base: Snapshot, changes: ChangeSet, node: NodeSnapshot
    ) -> None:
        assert node.array is not None
        self._ctx = ctx
        self._base = base
        self._changes = changes
        self._node = node
        self._array = node.array
        self._shrunk = changes.kept.get(node.id)
        self._tables: dict[ObjectId, ChunkTable] = {}

    def run(self, parts: list[Part]) -> list[ManifestRef]:
        """Append the parts to write; return the manifests that stay."""
        edits = self._changes.chunks.get(self._node.id)
        table = ChunkTable.empty(len(self._array.shape)) if edits is None else edits.table()
        if not self._array.manifests and not len(table):
            return []
        stay: list[ManifestRef] = []
        for cell in self._cells():
            inside = [ref for ref in self._array.manifests if overlaps(ref.extents, cell)]
            changed = table.within(cell)
            fits = all(self._fits(ref, cell) for ref in inside)
            if fits and not len(changed):
                stay.extend(inside)
            elif fits and (split := self._by_manifest(inside, changed)) is not None:
                for ref, its_own in split:
                    if len(its_own):
                        parts.extend(self._changed(ref.extents, [ref], its_own, fits=True))
                    else:
                        stay.append(ref)
            else:
                parts.extend(self._changed(cell, inside, changed, fits=fits))
        return stay

    def _cells(self) -> Iterator[Extents]:
        """Split cells of the array, row-major; one cell without splitting."""
        array = self._array
        edges = split_edges(
            self._ctx.settings, self._node.path, array.num_chunks, array.dimension_names
        )
        # An axis without chunks still has position 0: a 0-d array has one chunk, others none.
        ranges: Iterable[list[tuple[int, int]]] = [
            list(pairwise(axis)) or [(0, 1)] for axis in edges
        ]
        return (tuple(cell) for cell in product(*ranges))

    def _fits(self, ref: ManifestRef, cell: Extents) -> bool:
        """Whether a manifest can stay: it lies in one cell, and no resize cuts it."""
        if not covers(cell, ref.extents):
            return False
        shrunk = self._shrunk
        return shrunk is None or covers(tuple((0, max(s, 1)) for s in shrunk), ref.extents)

    def _by_manifest(
        self, refs: Sequence[ManifestRef], edits: ChunkTable
    ) -> list[tuple[ManifestRef, ChunkTable]] | None:
        """Edits by manifest, for a cell with too many references for one; None to join all."""
        if len(refs) < 2 or sum(map(self._weight, refs)) <= MAX_MANIFEST_REFS:
            return None
        split = [(ref, edits.within(ref.extents)) for ref in refs]
        return split if sum(len(part) for _, part in split) == len(edits) else None

    def _weight(self, ref: ManifestRef) -> int:
        info = self._base.manifests.get(ref.object_id)
        return 0 if info is None else info.num_chunk_refs

    def _changed(
        self, cell: Extents, refs: Sequence[ManifestRef], edits: ChunkTable, *, fits: bool
    ) -> Iterator[Part]:
        """Parts to write for a cell whose references are in some manifests so far."""
        if fits and len(refs) == 1 and self._weight(refs[0]) >= SMALLEST:
            manifest = self._ctx.files.manifest(refs[0].object_id, self._weight(refs[0]))
            patch = plan_patch(manifest, self._node.id, edits)
            if patch is not None:
                yield Part(self._node.id, refs[0].extents, patch)
                return
        former = ChunkTable.concat(
            [self._table(ref).within(cell) for ref in refs], ndim=len(self._array.shape)
        )
        for table in within_limits(ChunkTable.merge(former, edits)):
            yield Part(self._node.id, table.extents(), table)

    def _table(self, ref: ManifestRef) -> ChunkTable:
        """References of one manifest that no resize removed."""
        table = self._tables.get(ref.object_id)
        if table is None:
            alone = self._node
            if len(self._array.manifests) > 1:
                alone = replace(self._node, array=replace(self._array, manifests=(ref,)))
            reader = ArrayReader(alone, self._base, self._changes, self._ctx.files)
            table = self._tables[ref.object_id] = reader.base_table()
        return table
