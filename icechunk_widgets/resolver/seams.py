"""Find discontinuities between neighbouring chunks of different sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.arrays.merging import Chunks
from icechunk_widgets.arrays.nodes import document
from icechunk_widgets.arrays.pictures import as_numbers
from icechunk_widgets.resolver.conflict_entry import (
    BASE,
    MERGES,
    NOT_HERE,
    ONLY_OURS,
    OURS,
    UNDECIDED,
    Entry,
)
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.outcome import side_of

MOST_BORDERS = 400
STEEP = 3.0
"""A border is reported when its mean step exceeds this multiple of that inside the chunks."""


def seams(scan: ConflictScan, entry: Entry) -> dict[str, Any]:
    """Compare steps across borders between chunks of different sides with those inside.

    Parameters
    ----------
    scan : ConflictScan
        The conflicts, with the three states.
    entry : Entry
        A conflict of chunks; borders of undecided chunks are skipped.

    Returns
    -------
    dict
        ``borders`` (number tested), ``more`` (number not tested), and ``steep``: the reported
        borders, steepest first, with ``chunk``, ``next``, ``axis``, ``step`` and
        ``inside``.
    """
    _, cells = scan.chunk_map(entry.path)
    sides = _sides(cells.reshape(entry.grid))
    chunks = Chunks(scan.sessions, entry.path)
    held = document(scan.sessions["base"], entry.path) or {}
    pairs = [pair for axis in range(len(entry.grid)) for pair in _borders(sides, axis)]
    steep: list[dict[str, Any]] = []
    for axis, chunk in pairs[:MOST_BORDERS]:
        after = [c + (k == axis) for k, c in enumerate(chunk)]
        one = _values(chunks, held, int(sides[tuple(chunk)]), chunk)
        two = _values(chunks, held, int(sides[tuple(after)]), after)
        step, inside = _steps(one, two, axis)
        if step is not None and inside is not None and step > STEEP * inside:
            steep.append(
                {"chunk": chunk, "next": after, "axis": axis, "step": step, "inside": inside}
            )
    steep.sort(key=lambda seam: seam["inside"] / seam["step"])
    return {
        "borders": min(len(pairs), MOST_BORDERS),
        "more": max(0, len(pairs) - MOST_BORDERS),
        "steep": steep[:20],
    }


def _sides(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Side of the values of every chunk: OURS, BASE, a merge, or NOT_HERE (theirs)."""
    sides = np.full(cells.shape, NOT_HERE, np.uint8)
    sides[(cells == OURS) | (cells == ONLY_OURS)] = OURS
    for code in (BASE, *MERGES, UNDECIDED):
        sides[cells == code] = code
    return sides


def _borders(sides: NDArray[np.uint8], axis: int) -> list[tuple[int, list[int]]]:
    """Chunks whose neighbour along an axis is from another side."""
    ahead = np.moveaxis(sides, axis, 0)
    known = (ahead[1:] != UNDECIDED) & (ahead[:-1] != UNDECIDED)
    apart = np.moveaxis(known & (ahead[1:] != ahead[:-1]), 0, axis)
    return [(axis, chunk) for chunk in np.argwhere(apart).tolist()]


def _values(
    chunks: Chunks, held: dict[str, Any], side: int, chunk: list[int]
) -> NDArray[np.float64]:
    if side in MERGES:
        values = chunks.merged(chunk, "ours" if MERGES[side] == "ours" else "theirs")[0]
    else:
        values = chunks.values(side_of(side) or "theirs", chunk)
    return as_numbers(values, held)


def _steps(
    one: NDArray[np.float64], two: NDArray[np.float64], axis: int
) -> tuple[float | None, float | None]:
    """Mean absolute step across the border, and between neighbouring cells in both chunks."""
    across = np.abs(np.take(two, 0, axis) - np.take(one, -1, axis))
    inner = [np.abs(np.diff(block, axis=axis)).reshape(-1) for block in (one, two)]
    within = np.concatenate(inner)
    across, within = across[~np.isnan(across)], within[~np.isnan(within)]
    if not across.size or not within.size:
        return None, None
    return float(across.mean()), float(within.mean())
