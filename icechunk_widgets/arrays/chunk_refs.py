"""Which chunks of an array are stored, which differ, and their positions on the chunk grid."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from icechunk import ChunkType, InvalidInputError, NodeNotFoundError, Repository, Session
from icechunk.session import ChunkReferences

MOST_REFERENCES = 1_000_000
"""References of an array that are loaded to find out how much one commit wrote."""

Coords: TypeAlias = NDArray[np.uint32]
"""Coordinates of several chunks, one row per chunk, shape ``(n, d)``."""


def references(session: Session, path: str) -> ChunkReferences | None:
    """References of an array, uncommitted changes included; None where there is no array."""
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


def same_repository(session: Session, repo: Repository) -> bool:
    """Whether a session belongs to the repository in the same storage."""
    return session.repository.storage.identity == repo.storage.identity


def written(repo: Repository, snapshot_id: str) -> dict[str, int | None] | None:
    """How much a commit wrote, according to its log and its manifests; no chunk is read.

    Returns
    -------
    dict or None
        ``chunks`` written or removed, and ``bytes`` of those that are stored in the repository
        (None where an array has too many references to look).  None for the first snapshot.
    """
    parent = repo.lookup_snapshot(snapshot_id).parent_id
    if parent is None:
        return None
    diff = repo.diff(from_snapshot_id=parent, to_snapshot_id=snapshot_id, any_states=True)
    chunks = diff.chunk_coordinates
    session = repo.readonly_session(snapshot_id=snapshot_id)
    total = sum(map(len, chunks.values()))
    if _large_arrays(repo, session) & chunks.keys():
        return {"chunks": total, "bytes": None}
    size = 0
    for path, coords in chunks.items():
        table = references(session, path)
        if table is None or coords.shape[1] != table.coords.shape[1]:
            continue
        rows = table.find(coords)
        rows = rows[rows >= 0]
        size += int(table.length[rows[table.kind[rows] != ChunkType.VIRTUAL]].sum())
    return {"chunks": total, "bytes": size}


def _large_arrays(repo: Repository, session: Session) -> set[str]:
    """Paths of the arrays with more references than are loaded."""
    counts = {
        info.id: info.num_chunk_refs for info in repo.list_manifest_files(session.snapshot_id)
    }
    if sum(counts.values()) <= MOST_REFERENCES:
        return set()  # the usual case, without a look at each node
    return {
        node.path
        for node in session.nodes()
        if sum(counts[id] for id in node.manifest_ids) > MOST_REFERENCES
    }


def sizes(session: Session, path: str, grid: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Stored bytes of every chunk of a grid, from the references; NaN for a missing chunk.

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
    """Whether each row is on a grid, bool of shape ``(n,)``."""
    if coords.shape[1] != len(grid):
        return np.zeros(len(coords), np.bool_)
    on: NDArray[np.bool_] = np.all(coords < np.array(grid, np.uint64), axis=1)
    return on


def flat(coords: Coords, grid: tuple[int, ...]) -> NDArray[np.int64]:
    """Row-major positions of coordinates on a grid, int64 of shape ``(n,)``."""
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
    """Whether each position is in one of the runs ``[start, length, ...]``, in any order.

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
