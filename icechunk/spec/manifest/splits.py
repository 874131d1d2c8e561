"""Where the chunk grid of an array is cut into the cells that manifests cover."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from icechunk.config.manifests import SplitRules
from icechunk.config.resolve import Settings
from icechunk.spec.manifest.chunk_table import ChunkTable

MAX_MANIFEST_REFS = 10_000_000
"""Most references in one manifest: verifiers of older readers give up at about 16 million."""

MAX_MANIFEST_BYTES = 2**30
"""About the largest content of one manifest; the offsets of the format end at twice as much."""


def split_sizes(
    rules: SplitRules, path: str, ndim: int, dimension_names: Sequence[str | None] | None
) -> tuple[int | None, ...]:
    """Return how many chunks a manifest holds along each dimension.

    Rules are walked in order. A rule whose array condition matches assigns to each dimension not
    yet assigned the size of its first matching dimension condition (Icechunk, "Manifests per
    array").

    Parameters
    ----------
    rules : SplitRules
        Array conditions with sizes per dimension condition.
    path : str
        Absolute path of the array.
    ndim : int
        Number of dimensions.
    dimension_names : sequence of (str or None), optional
        Their names; a list shorter than `ndim` leaves the rest without.

    Returns
    -------
    tuple of (int or None)
        One size per dimension, None where it is not split.
    """
    names = [*(dimension_names or ())][:ndim]
    names += [None] * (ndim - len(names))
    sizes: list[int | None] = [None] * ndim
    for condition, dims in rules:
        if None not in sizes:
            break
        if not condition.matches(path):
            continue
        for axis, name in enumerate(names):
            if sizes[axis] is None:
                sizes[axis] = next((size for dim, size in dims if dim.matches(axis, name)), None)
    return tuple(sizes)


def split_edges(
    settings: Settings,
    path: str,
    shape_num_chunks: Sequence[int],
    dimension_names: Sequence[str | None] | None,
) -> tuple[tuple[int, ...], ...]:
    """Return the edges of an array's split cells, per dimension.

    Parameters
    ----------
    settings : Settings
        The configuration in force.
    path : str
        Absolute path of the array.
    shape_num_chunks : sequence of int
        Number of chunks along each dimension.
    dimension_names : sequence of (str or None), optional
        Names of the dimensions.

    Returns
    -------
    tuple of tuple of int
        Per dimension ``(0, s, 2s, ..., num_chunks)``, increasing; consecutive edges bound a cell.
        A dimension without chunks has the single edge 0 and thus no cell; an array without
        dimensions has no edges and is one cell.
    """
    sizes = split_sizes(settings.splitting, path, len(shape_num_chunks), dimension_names)
    edges = []
    for count, size in zip(shape_num_chunks, sizes, strict=True):
        step = count if size is None else size
        edges.append((*range(0, count, max(step, 1)), count))
    return tuple(edges)


def within_limits(table: ChunkTable) -> Iterator[ChunkTable]:
    """Cut a table that is too large for one manifest, whatever the configuration says.

    Parameters
    ----------
    table : ChunkTable
        References without tombstones.

    Returns
    -------
    iterator of ChunkTable
        The table itself, or its halves along the longest axis of its box, and their halves; no two
        boxes overlap. Nothing for an empty table.
    """
    count = len(table)
    if count == 0:
        return
    texts = [column for column in (table.text, table.etag) if column is not None]
    size = count * (64 + 4 * table.ndim)
    size += sum(min(int(t.length.sum(dtype=np.int64)), memoryview(t.pool).nbytes) for t in texts)
    if count == 1 or (count <= MAX_MANIFEST_REFS and size <= MAX_MANIFEST_BYTES):
        yield table
        return
    box = table.extents()
    axis = max(range(len(box)), key=lambda axis: box[axis][1] - box[axis][0])
    column = table.coords()[:, axis]
    # the median leaves something on both sides: there are several positions along this axis
    middle = max(int(np.partition(column, count // 2)[count // 2]), box[axis][0] + 1)
    low, high = list(box), list(box)
    low[axis], high[axis] = (box[axis][0], middle), (middle, box[axis][1])
    yield from within_limits(table.within(tuple(low)))
    yield from within_limits(table.within(tuple(high)))
