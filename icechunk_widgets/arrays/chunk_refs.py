"""Which chunks of an array are stored, and which refer to other bytes than before.

It looks below the engine's public face: there, the references of an array are columns, and a
million of them are compared at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk import InvalidInputError, NodeNotFoundError, Repository, Session
from icechunk.core.ids import parse_object_id
from icechunk.engine.reader import SnapshotView
from icechunk.session import ChunkReferences
from icechunk.spec.manifest.chunk_table import VIRTUAL
from icechunk.spec.manifest.coordinates import Coords

MOST_REFERENCES = 1_000_000
"""References of an array that are looked at for the sake of a bar."""


def references(session: Session, path: str) -> ChunkReferences | None:
    """References of an array as a session sees them now; None where there is no array."""
    try:
        return session.chunk_references(path)
    except (InvalidInputError, NodeNotFoundError):
        return None


def stored(session: Session, path: str) -> Coords | None:
    """Coordinates of the chunks that exist, in row-major order; None where there is no array."""
    table = references(session, path)
    return None if table is None else table.coords


def differing(before: ChunkReferences | None, after: ChunkReferences | None) -> Coords | None:
    """Coordinates whose references differ; None when one side has no array."""
    if before is None or after is None:
        return None
    return before.differing(after)


def repository_of(session: Session) -> Repository:
    """The repository that a session belongs to."""
    return Repository(session._transaction.ctx)


def same_repository(session: Session, repo: Repository) -> bool:
    """Whether a session was opened in this repository."""
    return bool(session._transaction.ctx.storage.identity == repo.storage.identity)


def written(repo: Repository, snapshot_id: str) -> dict[str, int | None] | None:
    """How much a commit wrote, told by its log and its manifests; no chunk is read.

    Returns
    -------
    dict or None
        ``chunks`` written or removed, and ``bytes`` of those that are stored in the repository
        (None where that would take too long to find out).  None for the first snapshot.
    """
    files, id = repo._ctx.files, parse_object_id(snapshot_id)
    if repo.lookup_snapshot(snapshot_id).parent_id is None:
        return None
    log, snapshot = files.log(id), files.snapshot(id)
    view = SnapshotView(snapshot, files)
    size: int | None = 0
    for node_id, coords in log.updated_chunks.items():
        node = snapshot.nodes.by_id(node_id)
        if size is None or node is None or node.array is None:
            continue
        held = [snapshot.manifests[ref.object_id] for ref in node.array.manifests]
        if sum(manifest.num_chunk_refs for manifest in held) > MOST_REFERENCES:
            size = None
            continue
        table = view.reader(node).table()
        rows = table.find_many(coords)
        rows = rows[rows >= 0]
        size += int(table.length[rows[table.kind[rows] != VIRTUAL]].sum())
    return {"chunks": sum(map(len, log.updated_chunks.values())), "bytes": size}


def sizes(session: Session, path: str, grid: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Stored bytes of every chunk of a grid, straight from the references; NaN where none is.

    Returns
    -------
    float32 array, shape ``(prod(grid),)``
        Row-major.  None where there is no array.
    """
    table = references(session, path)
    if table is None:
        return None
    found = np.full(int(np.prod(grid, dtype=np.int64)), np.nan, np.float32)
    coords = table.coords
    on = inside(coords, grid)
    found[flat(coords[on], grid)] = table.length[on]
    return found


# -- positions on the chunk grid ---------------------------------------------------------------


def inside(coords: Coords, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which rows lie on a grid, bool of shape ``(n,)``."""
    if coords.shape[1] != len(grid):
        return np.zeros(len(coords), np.bool_)
    on: NDArray[np.bool_] = np.all(coords < np.array(grid, np.uint64), axis=1)
    return on


def flat(coords: Coords, grid: tuple[int, ...]) -> NDArray[np.int64]:
    """Row-major positions of coordinates that lie on a grid, int64 of shape ``(n,)``."""
    positions = np.zeros(len(coords), np.int64)
    for axis, count in enumerate(grid):
        positions = positions * count + coords[:, axis]
    return positions


def runs_of(positions: NDArray[np.int64]) -> list[int]:
    """Sorted positions as ``[start, length, start, length, ...]``."""
    if not len(positions):
        return []
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    starts = positions[np.concatenate(([0], breaks))]
    ends = positions[np.concatenate((breaks - 1, [len(positions) - 1]))]
    pairs: list[int] = np.stack((starts, ends - starts + 1), axis=1).reshape(-1).tolist()
    return pairs


def in_runs(positions: NDArray[np.int64], runs: Any) -> NDArray[np.bool_]:
    """Which positions lie in runs ``[start, length, ...]``, given in any order.

    Raises
    ------
    ValueError
        When `runs` is not a flat list of pairs of whole, non-negative numbers.
    """
    given = np.asarray(runs)
    if not given.size:
        return np.zeros(len(positions), np.bool_)
    if given.ndim != 1 or given.dtype.kind not in "iu" or len(given) % 2:
        raise ValueError("runs must be a flat list: start, length, start, length, ...")
    if given.min() < 0 or given.max() > 2**61:
        raise ValueError("runs must hold numbers from 0 to 2**61")
    pairs = given.astype(np.int64).reshape(-1, 2)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    ends = np.maximum.accumulate(pairs[:, 0] + pairs[:, 1])
    before = np.searchsorted(pairs[:, 0], positions, side="right") - 1
    hit: NDArray[np.bool_] = np.asarray(before >= 0) & (positions < ends[np.maximum(before, 0)])
    return hit
