"""Which chunks lose cells when an array becomes smaller."""

from __future__ import annotations

import numpy as np

from icechunk.spec.manifest.coordinates import Coords, inside
from icechunk.spec.snapshot.nodes import NodeSnapshot


def cut_off(
    coords: Coords,
    before: NodeSnapshot | None,
    writer: NodeSnapshot | None,
    smaller: NodeSnapshot | None,
) -> Coords:
    """Chunks that one side wrote and that are not whole in the array of the other side.

    A chunk that the new shape cuts stays in the array, but its cells beyond the shape are gone.
    Neither logs nor edits name the cells that were written, so every write of such a chunk counts.

    Parameters
    ----------
    coords : ndarray
        The written chunks, uint32 of shape ``(n, d)``.
    before : NodeSnapshot or None
        The array that both sides started from; chunks off its grid are left out.
    writer : NodeSnapshot or None
        The array of the side that wrote.
    smaller : NodeSnapshot or None
        The array of the other side; only axes that it made shorter count.

    Returns
    -------
    ndarray
        Rows of `coords`; none where one of the nodes is missing or has another rank.
    """
    nodes = before, writer, smaller
    old, its, new = (None if node is None else node.array for node in nodes)
    if old is None or its is None or new is None or smaller is None:
        return coords[:0]
    if not coords.shape[1] == len(old.shape) == len(its.shape) == len(new.shape):
        return coords[:0]
    lost = np.zeros(len(coords), np.bool_)
    for axis, size in enumerate(new.shape):
        if len(coords) and size < min(old.shape[axis], its.shape[axis]):
            lost |= coords[:, axis] >= whole_chunks(smaller, axis)
    return coords[lost & inside(coords, tuple((0, max(n, 1)) for n in old.num_chunks))]


def whole_chunks(node: NodeSnapshot, axis: int) -> int:
    """How many chunks along an axis the array's shape does not cut."""
    assert node.array is not None
    grid = node.document["chunk_grid"]
    if grid["name"] == "regular":
        return int(node.array.shape[axis] // grid["configuration"]["chunk_shape"][axis])
    # Rectilinear: the last chunk may be whole, but its edges would have to be decoded to know.
    return max(node.array.num_chunks[axis] - 1, 0)
