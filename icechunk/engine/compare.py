"""Compare two snapshots by what they hold, whatever their history."""

from __future__ import annotations

import numpy as np

from icechunk.engine.context import RepoContext
from icechunk.engine.reader import SnapshotView
from icechunk.ground.ids import ObjectId
from icechunk.model.diff import ChunkCoords, Diff
from icechunk.model.nodes import NodeSnapshot
from icechunk.model.references import changed


def compare(ctx: RepoContext, before: ObjectId, after: ObjectId) -> Diff:
    """Difference of any two snapshots: siblings, in reverse, or equal.

    Nodes are matched by id; a node that was removed and made again is both deleted and new.
    Chunks differ when their references do.
    """
    old = SnapshotView(ctx.assets.snapshot(before), ctx.assets)
    new = SnapshotView(ctx.assets.snapshot(after), ctx.assets)
    result = Diff()
    for node in old.nodes:
        if new.by_id(node.id) is None:
            (result.deleted_arrays if node.is_array else result.deleted_groups).add(node.path)
    for node in new.nodes:
        former = old.by_id(node.id)
        if former is None:
            (result.new_arrays if node.is_array else result.new_groups).add(node.path)
        else:
            if former.user_data != node.user_data:
                updated = result.updated_arrays if node.is_array else result.updated_groups
                updated.add(node.path)
            if former.path != node.path:
                result.moved_nodes.append((former.path, node.path))
        if node.array is not None:
            coords = _changed_chunks(old, former, new, node)
            if len(coords):
                result.chunk_coordinates[node.path] = coords
    return result


def _changed_chunks(
    old: SnapshotView, former: NodeSnapshot | None, new: SnapshotView, node: NodeSnapshot
) -> ChunkCoords:
    """Coordinates whose references differ, row-major."""
    assert node.array is not None
    theirs = new.reader(node)
    if former is None or former.array is None:
        return theirs.table().coords()
    if former.array.manifests == node.array.manifests:
        return np.empty((0, len(node.array.num_chunks)), np.uint32)
    return changed(old.reader(former).table(), theirs.table())
