"""Many changed chunks: rebase, diff, status, and decisions about conflicts."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

_SIDE = 1000  # chunks per row of the grid
_PAYLOAD = b"0123456789abcdef"  # small enough to stay in the manifest


def _new(implementation: Implementation, folder: Path, chunks: int) -> Any:
    """Create a repository with one array of `chunks` chunks, none of them written."""
    import zarr

    shutil.rmtree(folder, ignore_errors=True)
    repository = open_repository(implementation, folder, create=True)
    session = repository.writable_session("main")
    rows = -(-chunks // _SIDE)
    for name in ("a", "b"):
        zarr.create_array(
            session.store,
            name=name,
            shape=(rows, _SIDE * 4),
            chunks=(1, 4),
            dtype="float32",
            compressors=None,
            fill_value=0.0,
        )
    session.commit("arrays")
    return repository


def _write(store: Any, array: str, chunks: int) -> None:
    """Write chunks one by one, as Zarr does."""
    from zarr.core.buffer import default_buffer_prototype

    value = default_buffer_prototype().buffer.from_bytes(_PAYLOAD)

    async def run() -> None:
        for number in range(chunks):
            await store.set(f"{array}/c/{number // _SIDE}/{number % _SIDE}", value)

    asyncio.run(run())


def _prepare(implementation: Implementation, folder: Path, chunks: int) -> None:
    repository = _new(implementation, folder, chunks)
    session = repository.writable_session("main")
    _write(session.store, "a", chunks)
    session.commit("many chunks")


def _rebase(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    """Rebase one chunk of another array; as extra half of the same chunks, which conflict."""
    import icechunk

    _new(implementation, folder, chunks)
    # separate handles, so that none has cached the files of another
    alone, clash, theirs = (
        open_repository(implementation, folder).writable_session("main") for _ in range(3)
    )
    _write(alone.store, "b", 1)
    _write(clash.store, "a", chunks // 2)
    _write(theirs.store, "a", chunks)
    theirs.commit("theirs")
    keep = icechunk.BasicConflictSolver(on_chunk_conflict=icechunk.VersionSelection.UseOurs)
    with stopwatch() as solving:
        clash.rebase(keep)
    with stopwatch() as watch:
        alone.rebase(icechunk.ConflictDetector())
    return watch.sample(clashing=solving.wall)


def _diff(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    """Diff of the last commit with a fresh handle; as extra its chunks as lists."""
    repository = open_repository(implementation, folder)
    after, before = (commit.id for commit in list(repository.ancestry(branch="main"))[:2])
    with stopwatch() as watch:
        found = repository.diff(from_snapshot_id=before, to_snapshot_id=after)
    with stopwatch() as listing:
        count = len(found.updated_chunks["/a"])
    if count != chunks:
        raise SystemExit(f"{count} chunks in the diff")
    return watch.sample(lists=listing.wall)


def _status(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    """Status of a session; as extras once more, and its chunks as lists."""
    repository = _new(implementation, folder, chunks)
    session = repository.writable_session("main")
    _write(session.store, "a", chunks)
    with stopwatch() as watch:
        found = session.status()
    with stopwatch() as again:
        session.status()
    with stopwatch() as listing:
        count = len(found.updated_chunks["/a"])
    if count != chunks:
        raise SystemExit(f"{count} chunks in the status")
    return watch.sample(again=again.wall, lists=listing.wall)


def _references(count: int, where: int) -> Any:
    """References of `count` chunks into one file, for the whole grid."""
    import numpy as np

    from icechunk.spec.manifest.chunk_table import VIRTUAL, ChunkTable, TextColumn

    rows = np.arange(count)
    url = b"file:///data/%d.bin" % where
    return ChunkTable.from_columns(
        np.stack((rows // _SIDE, rows % _SIDE), axis=1),
        np.full(count, VIRTUAL, np.uint8),
        None,
        (rows * 1000).astype(np.uint64),
        np.full(count, 1000, np.uint64),
        text=TextColumn(url, np.zeros(count, np.int64), np.full(count, len(url), np.uint32)),
    )


def _change_all(repository: Any, where: int, chunks: int) -> Any:
    """Return a session that changed every chunk."""
    session = repository.writable_session("main")
    transaction = session._transaction
    transaction.set_references(transaction.node("/a"), _references(chunks, where))
    return session


def _solve(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    """Decide about chunks that both sides changed: a third ours, a third theirs, a third base."""
    import icechunk

    if implementation == "floor":
        return _copying(chunks)
    repository = _new(implementation, folder, chunks)
    _change_all(repository, 0, chunks).commit("base")
    ours, theirs = (_change_all(repository, number, chunks) for number in (1, 2))
    theirs.commit("theirs")
    with stopwatch() as detecting:
        found = ours.conflicts().conflicts[0].num_chunks
    third = chunks // 3
    clash = {"path": "/a", "type": "ChunkDoubleUpdate"}
    solver = icechunk.DecisionSolver(
        [
            clash | {"choice": "ours", "runs": [0, third]},
            clash | {"choice": "theirs", "runs": [third, third]},
            clash | {"choice": "base", "boxes": [[[0, 2**32], [0, _SIDE // 2]]]},
            clash | {"choice": "base", "runs": [2 * third, chunks]},
        ]
    )
    with stopwatch() as watch:
        ours.rebase(solver)
    if found != chunks:
        raise SystemExit(f"{found} conflicts")
    return watch.sample(detecting=detecting.wall)


def _copying(chunks: int) -> Sample:
    """Copy the columns of as many references."""
    import numpy as np

    columns = [np.ones((chunks, width), np.uint8) for width in (8, 1, 8, 8, 8, 4)]
    with stopwatch() as watch:
        for column in columns:
            column.copy()
    return watch.sample()


_STATE = "local files on tmpfs, not synced; fresh handles"

CASES = (
    Case(
        name="rebase",
        title="rebase over 10,000 foreign chunks",
        state=f"{_STATE}; clashing = 5,000 of the same chunks are ours, solved by UseOurs",
        place="memory",
        size=10_000,
        implementations=("ours", "reference"),
        measure=_rebase,
        goal=2.0,
    ),
    Case(
        name="diff",
        title="diff of 100,000 changed chunks",
        state=f"{_STATE}; lists = `updated_chunks` of it, counted",
        place="memory",
        size=100_000,
        implementations=("ours", "reference"),
        prepare=_prepare,
        measure=_diff,
        goal=2.0,
    ),
    Case(
        name="status",
        title="status of 100,000 changed chunks",
        state=f"{_STATE}; again = once more; lists = `updated_chunks` of it, counted",
        place="memory",
        size=100_000,
        implementations=("ours", "reference"),
        measure=_status,
        goal=2.0,
    ),
    Case(
        name="solve",
        title="1,000,000 chunks that both sides changed, decided",
        state=(
            f"{_STATE}; a third ours, a third theirs, a third base, by runs and boxes;"
            " detecting = `Session.conflicts`; floor = copying as many columns"
        ),
        place="memory",
        size=1_000_000,
        implementations=("ours", "floor"),
        measure=_solve,
        limit=1.0,
    ),
)
