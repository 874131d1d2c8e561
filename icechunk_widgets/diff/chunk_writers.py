"""Find the commits that wrote a chunk in the transaction logs; no manifest or chunk is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from icechunk import IcechunkError, Session
from icechunk_widgets.arrays.nodes import array_shape
from icechunk_widgets.commits.columns import commit_row
from icechunk_widgets.kernel.failures import one_line

MOST_SECONDS = 0.3
MOST_FOUND = 50


def writers(
    session: Session,
    path: str,
    chunk: Sequence[int],
    after: str | None = None,
    seconds: float = MOST_SECONDS,
) -> dict[str, Any]:
    """Search the history of a state for the commits that wrote or removed a chunk.

    Parameters
    ----------
    session : Session
        The state.
    path : str
        The array.
    chunk : sequence of int
        Coordinates.
    after : str, optional
        Continue before this snapshot, the ``last`` of an earlier call.
    seconds : float
        Stop after this time.

    Returns
    -------
    dict
        ``commits`` (newest first; each with ``made``, true where it made the array),
        ``uncommitted`` (whether the session changed the chunk itself), ``looked`` (commits looked
        at), ``last`` (the snapshot to continue after; None at the end) and ``note`` (why the
        search ended early, or "").
    """
    result: dict[str, Any] = {"commits": [], "uncommitted": False, "looked": 0, "note": ""}
    if array_shape(session, path) is None:
        return {**result, "last": None}
    node_id, sought = session.get_node_id(path), np.array(chunk, np.uint32)
    if after is None:
        result["uncommitted"] = _has(session.status().chunk_coordinates.get(path), sought)
    repo = session.repository
    start = session.snapshot_id if after is None else after
    end = time.monotonic() + seconds
    for info in repo.ancestry(snapshot_id=start):
        if info.id == after:
            continue
        result["last"] = info.id
        result["looked"] += 1
        if info.parent_id is None:
            break
        try:
            log = repo.transaction_log(info.id)
        except IcechunkError as error:
            result["note"] = one_line(error)
            break
        made = node_id in log.new_arrays
        wrote = _has(log.updated_chunks.get(node_id), sought)
        if wrote or made:
            result["commits"].append({**commit_row(info), "made": made, "wrote": wrote})
        if made:
            break
        if log.missing:
            result["note"] = "what expired commits before this one wrote is no longer recorded"
            break
        if time.monotonic() > end or len(result["commits"]) >= MOST_FOUND:
            return result
    return {**result, "last": None}


def _has(coords: Any, chunk: np.ndarray[Any, np.dtype[np.uint32]]) -> bool:
    """Whether a chunk is among coordinates, shape ``(n, d)``."""
    if coords is None or coords.shape[1] != len(chunk):
        return False
    return bool(np.all(coords == chunk, axis=1).any())
