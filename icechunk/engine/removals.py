"""List the chunks that a resize removed by metadata alone."""

from __future__ import annotations

from math import prod

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.engine.reader import ArrayReader
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.manifest.coordinates import inside
from icechunk.spec.manifest.references import deletions
from icechunk.spec.snapshot.snapshot import Snapshot


def with_removals(changes: ChangeSet, base: Snapshot, files: RepositoryFiles) -> ChangeSet:
    """The changes with a deletion for every chunk of the base that a resize removed.

    Zarr deletes the chunks outside of a smaller array before it writes the metadata; others write
    the metadata alone.  Logs and merges must see those chunks go, too.

    Parameters
    ----------
    changes : ChangeSet
        Not modified, and returned when nothing is missing in them.
    base : Snapshot
        What they lie over.
    files : RepositoryFiles
        Fetches the manifests of arrays whose removed chunks are not named yet.
    """
    result = changes
    for node_id, kept in changes.kept.items():
        node = base.nodes.by_id(node_id)
        if node is None or node.array is None or node_id not in changes.updated:
            continue
        grid = node.array.num_chunks
        if len(grid) != len(kept) or all(k >= n for k, n in zip(kept, grid, strict=True)):
            continue
        former, rest = (tuple((0, max(n, 1)) for n in counts) for counts in (grid, kept))
        edits = changes.chunks.get(node_id)
        named = np.empty((0, len(grid)), np.uint32) if edits is None else edits.coords()
        if named.shape[1] != len(grid):
            continue
        removed = prod(high for _, high in former) - prod(
            min(one[1], two[1]) for one, two in zip(former, rest, strict=True)
        )
        if np.count_nonzero(inside(named, former) & ~inside(named, rest)) == removed:
            continue
        coords = ArrayReader(node, base, None, files).base_table().coords()
        coords = coords[~inside(coords, rest)]
        if edits is not None:
            coords = coords[~edits.table().contains(coords)]
        if len(coords):
            result = changes.copy() if result is changes else result
            # The array as it is now, whose grid the edits follow.
            result.edits(changes.updated[node_id]).extend(deletions(coords))
    return result
