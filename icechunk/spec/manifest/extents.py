"""Boxes of chunk coordinates: one half-open range per axis.

The empty tuple is the box of a 0-dimensional array and holds its only chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from icechunk.core.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Sequence

Extents: TypeAlias = tuple[tuple[int, int], ...]
"""``((from, to), ...)`` per axis, `to` exclusive (Icechunk spec, `ChunkIndexRange`)."""


def contains(extents: Extents, coords: Sequence[int]) -> bool:
    """Whether the box holds these chunk coordinates; a box of another rank does not."""
    return len(extents) == len(coords) and all(
        low <= c < high for c, (low, high) in zip(coords, extents, strict=True)
    )


def is_empty(extents: Extents) -> bool:
    """Whether some axis has no coordinate at all."""
    return any(low >= high for low, high in extents)


def overlaps(a: Extents, b: Extents) -> bool:
    """Whether two boxes of the same rank share coordinates."""
    return len(a) == len(b) and all(
        max(low_a, low_b) < min(high_a, high_b)
        for (low_a, high_a), (low_b, high_b) in zip(a, b, strict=True)
    )


def covers(outer: Extents, inner: Extents) -> bool:
    """Whether every coordinate of `inner` is in `outer` (true for an empty `inner`)."""
    if len(outer) != len(inner):
        return False
    return is_empty(inner) or all(
        low_o <= low_i and high_i <= high_o
        for (low_o, high_o), (low_i, high_i) in zip(outer, inner, strict=True)
    )


def union(a: Extents, b: Extents) -> Extents:
    """Smallest box holding both boxes.

    Raises
    ------
    InternalError
        If the ranks differ.
    """
    if len(a) != len(b):
        raise InternalError(
            f"boxes of rank {len(a)} and {len(b)} have no union. "
            "This is a bug in the calling code, please report it"
        )
    if is_empty(a):
        return b
    if is_empty(b):
        return a
    return tuple(
        (min(low_a, low_b), max(high_a, high_b))
        for (low_a, high_a), (low_b, high_b) in zip(a, b, strict=True)
    )


def intersection(a: Extents, b: Extents) -> Extents | None:
    """Box of the shared coordinates, None when there are none."""
    if not overlaps(a, b):
        return None
    return tuple(
        (max(low_a, low_b), min(high_a, high_b))
        for (low_a, high_a), (low_b, high_b) in zip(a, b, strict=True)
    )


def size(extents: Extents) -> int:
    """Return how many coordinates the box holds."""
    count = 1
    for low, high in extents:
        count *= max(high - low, 0)
    return count
