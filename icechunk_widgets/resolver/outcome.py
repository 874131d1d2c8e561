"""The values of a chunk after a rebase with the decisions so far."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.arrays.chunk_refs import flat
from icechunk_widgets.arrays.merging import Chunks
from icechunk_widgets.arrays.pictures import Side
from icechunk_widgets.resolver.conflict_entry import BASE, MERGES, ONLY_OURS, OURS, UNDECIDED, Entry
from icechunk_widgets.resolver.conflict_scan import ConflictScan

SIDES = ("ours", "theirs", "base", "result")
_SIDES = {OURS: "ours", ONLY_OURS: "ours", BASE: "base"}


def side_of(state: int) -> str | None:
    """The side of a chunk in a state; None if it is undecided or merged."""
    return None if state == UNDECIDED or state in MERGES else _SIDES.get(state, "theirs")


def result(scan: ConflictScan, path: str, chunk: Sequence[int]) -> Side | None:
    """The resulting values of one chunk, for pictures.

    Parameters
    ----------
    scan : ConflictScan
        The three states and the decisions.
    path : str
        An array in conflict.
    chunk : sequence of int
        Coordinates of the chunk.

    Returns
    -------
    Side or None
        None for a chunk that is undecided.
    """
    state = _state(scan, scan.plan.find(path, "ChunkDoubleUpdate"), chunk)
    if state == UNDECIDED:
        return None
    name = side_of(state)
    if name is not None:
        return Side("result", "Result", scan.sessions[name], path)
    merged = partial(_merged, Chunks(scan.sessions, path), MERGES[state])
    return Side("result", "Result", scan.sessions["theirs"], path, merged)


def _state(scan: ConflictScan, entry: Entry, chunk: Sequence[int]) -> int:
    """State of a chunk, in conflict or not."""
    place = flat(np.array([chunk], np.int64), entry.grid)
    row = int(np.searchsorted(entry.positions, place[0]))
    if row < len(entry.positions) and entry.positions[row] == place[0]:
        return int(scan.plan.shown(entry)[row])
    held = scan.ours.chunk_coordinates.get(entry.path)
    mine = held is not None and bool((held == np.asarray(chunk)).all(axis=1).any())
    return ONLY_OURS if mine else 0


def _merged(chunks: Chunks, side: str, where: tuple[slice, ...]) -> NDArray[Any]:
    return chunks.merged_at(where, "ours" if side == "ours" else "theirs")[0]
