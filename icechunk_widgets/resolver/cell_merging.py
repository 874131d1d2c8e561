"""Decide conflicting chunks by merging their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.arrays.chunk_refs import in_runs, runs_of
from icechunk_widgets.arrays.merging import Chunks
from icechunk_widgets.resolver.chunk_search import UNREADABLE, ChunkSearch
from icechunk_widgets.resolver.conflict_entry import UNDECIDED, Entry
from icechunk_widgets.resolver.conflict_plan import ConflictPlan
from icechunk_widgets.resolver.conflict_scan import ConflictScan


def listed(entry: Entry, chunks: Sequence[Sequence[int]] | None) -> NDArray[np.int64]:
    """Rows of the conflicting chunks with some coordinates; by default of the undecided ones."""
    if chunks is None:
        return np.flatnonzero(entry.states == UNDECIDED)
    coords = {tuple(map(int, chunk)) for chunk in chunks}
    rows = enumerate(map(tuple, entry.coords.tolist()))
    return np.array([row for row, chunk in rows if chunk in coords], np.int64)


def within(entry: Entry, runs: Sequence[int] | None) -> NDArray[np.int64]:
    """Rows of the conflicting chunks in runs over the chunk grid; by default of all of them."""
    if runs is None:
        return np.arange(len(entry.states))
    return np.flatnonzero(in_runs(entry.positions, runs))


def search(scan: ConflictScan, entry: Entry, rows: NDArray[np.int64]) -> ChunkSearch:
    """Count, in each chunk, the cells that both sides changed to different values."""
    chunks = Chunks(scan.sessions, entry.path)
    return ChunkSearch(rows, lambda row: chunks.merged(entry.coords[row].tolist())[1].both)


def merge_clean(plan: ConflictPlan, entry: Entry, found: ChunkSearch) -> dict[str, int | bool]:
    """Merge the chunks without such cells; report how many chunks and cells are left."""
    clean = found.rows[found.answers == 0]
    if len(clean):
        plan.decide(entry, "merge-ours", runs=runs_of(entry.positions[np.sort(clean)]))
    return {
        "done": True,
        "merged": len(clean),
        "left": len(found.rows) - len(clean) - found.unreadable,
        "cells": int(found.answers[found.answers != UNREADABLE].sum()),
        "unreadable": found.unreadable,
    }


def merge_all(
    scan: ConflictScan, entry: Entry, rows: NDArray[np.int64], both: str
) -> dict[str, int | bool]:
    """Merge chunks without reading them; `both` is the side of cells that both changed."""
    Chunks(scan.sessions, entry.path)  # raises where the sides hold different kinds of arrays
    scan.plan.decide(entry, f"merge-{both}", runs=runs_of(entry.positions[np.sort(rows)]))
    return {"done": True, "merged": len(rows), "left": 0, "cells": 0, "unreadable": 0}


def counts(scan: ConflictScan, path: str, chunk: Sequence[int]) -> dict[str, Any]:
    """How many cells of a chunk each side changed."""
    cells = Chunks(scan.sessions, path).merged(chunk)[1]
    return {"ours": cells.ours, "theirs": cells.theirs, "both": cells.both, "alike": cells.alike}
