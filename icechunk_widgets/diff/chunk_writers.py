"""Which commits wrote a chunk, told by the transaction logs; no manifest and no chunk is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from icechunk import IcechunkError, Session
from icechunk.core.ids import id_text, parse_object_id
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk_widgets.arrays.nodes import array_shape
from icechunk_widgets.commits import details
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
    """Look back through the history of a state for the commits that wrote or removed a chunk.

    Parameters
    ----------
    session : Session
        The state.
    path : str
        The array.
    chunk : sequence of int
        Coordinates.
    after : str, optional
        Go on below this snapshot, the ``last`` of an earlier answer.
    seconds : float
        Stop when this has passed.

    Returns
    -------
    dict
        ``commits`` (newest first; each with ``made``, true where it made the array),
        ``uncommitted`` (whether the session changed the chunk itself), ``looked`` (commits looked
        at), ``last`` (the snapshot to go on after; None at the end) and ``note`` (why it ended
        early, or "").
    """
    transaction = session._transaction
    node = transaction.node(path)
    told: dict[str, Any] = {"commits": [], "uncommitted": False, "looked": 0, "note": ""}
    if node is None or array_shape(session, path) is None:
        return {**told, "last": None}
    wanted = np.array(chunk, np.uint32)
    if after is None:
        edits = transaction.changes.chunks.get(node.id)
        place = tuple(int(c) for c in chunk)
        told["uncommitted"] = edits is not None and edits.find(place) is not None
    files = transaction.ctx.files
    start = transaction.base_id if after is None else parse_object_id(after)
    end = time.monotonic() + seconds
    for record in transaction.ctx.ref_store.ancestry(start):
        if after is not None and record.id == start:
            continue
        told["last"] = id_text(record.id)
        told["looked"] += 1
        if record.parent_id is None:
            break
        try:
            logs = [files.log(id) for id in (*record.pruned, record.id)]
        except IcechunkError as error:
            told["note"] = one_line(error)
            break
        made = any(node.id in log.new_arrays for log in logs)
        wrote = any(_has(log.updated_chunks.get(node.id), wanted) for log in logs)
        if wrote or made:
            row = details.row(SnapshotInfo.of(record))
            told["commits"].append({**row, "made": made, "wrote": wrote})
        if made:
            break
        if time.monotonic() > end or len(told["commits"]) >= MOST_FOUND:
            return told
    return {**told, "last": None}


def _has(coords: Any, wanted: np.ndarray[Any, np.dtype[np.uint32]]) -> bool:
    """Whether a chunk is among coordinates, shape ``(n, d)``."""
    if coords is None or coords.shape[1] != len(wanted):
        return False
    return bool(np.all(coords == wanted, axis=1).any())
