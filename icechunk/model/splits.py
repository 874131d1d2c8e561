"""Where the chunk grid of an array is cut into the cells that manifests cover."""

from __future__ import annotations

from collections.abc import Sequence

from icechunk.config.manifests import SplitRules
from icechunk.config.resolve import Settings


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
