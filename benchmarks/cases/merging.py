"""Merges of branches, the merge base of a long history, and who wrote which chunk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

_SIDE = 1000  # chunks per row of the grid
_BRANCHES = 64
_MERGES_EVERY = 1000  # commits of a long history


def _references(numbers: Any, where: int) -> Any:
    """Virtual references of some chunks of the grid, into one file."""
    import numpy as np

    from icechunk.spec.manifest.chunk_table import VIRTUAL, ChunkTable, TextColumn

    count, url = len(numbers), b"file:///data/%d.bin" % where
    return ChunkTable.from_columns(
        np.stack((numbers // _SIDE, numbers % _SIDE), axis=1),
        np.full(count, VIRTUAL, np.uint8),
        None,
        (numbers * 1000).astype(np.uint64),
        np.full(count, 1000, np.uint64),
        text=TextColumn(url, np.zeros(count, np.int64), np.full(count, len(url), np.uint32)),
    )


def _changed(repository: Any, branch: str, numbers: Any, where: int) -> Any:
    session = repository.writable_session(branch)
    transaction = session._transaction
    transaction.set_references(transaction.node("/a"), _references(numbers, where))
    return session


def _new(implementation: Implementation, folder: Path, chunks: int) -> Any:
    """Create a repository whose array has `chunks` chunks, all of them written."""
    import numpy as np
    import zarr

    shutil.rmtree(folder, ignore_errors=True)
    repository = open_repository(implementation, folder, create=True)
    session = repository.writable_session("main")
    shape, grid = (-(-chunks // _SIDE), _SIDE * 4), (1, 4)
    zarr.create_array(session.store, name="a", shape=shape, chunks=grid, dtype="f4", fill_value=0)
    session.commit("array")
    _changed(repository, "main", np.arange(chunks), 0).commit("base")
    return repository


def _merge(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    """Merge a branch that changed one chunk of a hundred; as extra a rebase and commit of it."""
    import numpy as np

    import icechunk

    repository = _new(implementation, folder, chunks)
    base = repository.lookup_branch("main")
    numbers = np.arange(0, chunks - 50, 100)
    repository.create_branch("f", base)
    _changed(repository, "f", numbers, 1).commit("source")
    # Handles of their own: no files are in memory.
    behind = _changed(open_repository(implementation, folder), "main", numbers, 1)
    _changed(repository, "main", numbers + 50, 2).commit("target")
    target = repository.lookup_branch("main")
    with stopwatch() as rebasing:
        behind.rebase(icechunk.ConflictDetector())
        behind.commit("rebased")
    fresh = open_repository(implementation, folder)
    fresh.reset_branch("main", target)
    with stopwatch() as watch:
        fresh.merge("f")
    return watch.sample(rebase=rebasing.cpu)


def _merge_many(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    """Merge 64 branches, each of which changed other chunks, with one commit."""
    import numpy as np

    repository = _new(implementation, folder, chunks)
    base = repository.lookup_branch("main")
    names = [f"worker-{number}" for number in range(_BRANCHES)]
    each = chunks // _BRANCHES
    for number, name in enumerate(names):
        repository.create_branch(name, base)
        numbers = np.arange(number * each, (number + 1) * each)
        _changed(repository, name, numbers, number + 1).commit(name)
    fresh = open_repository(implementation, folder)
    with stopwatch() as watch:
        fresh.merge(names)
    return watch.sample()


def _merge_base(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """The merge base of two branches that were merged again and again, and that are far apart."""
    from icechunk.core.ids import id_text, new_object_id
    from icechunk.merging.graph import CommitGraph
    from icechunk.refs.capabilities import Capability
    from icechunk.spec.repo.lineage import Lineage, with_lineage
    from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable

    ids = [new_object_id() for _ in range(commits)]
    records = [SnapshotRecord(ids[0], None, 0, "root")]
    for number in range(1, commits):
        parent = ids[max(number - 2, 0)]
        metadata: dict[str, Any] = {"number": number}
        if number % _MERGES_EVERY == 0:
            metadata = with_lineage(metadata, Lineage("merge", (parent, ids[number - 1])))
        records.append(SnapshotRecord(ids[number], parent, number, str(number), metadata))

    class State:
        snapshots = SnapshotTable.from_records(records)

    class Refs:
        capabilities = frozenset([Capability.REPO_OBJECT])

        def state(self) -> type[State]:
            return State

    with stopwatch() as watch:
        found = CommitGraph(Refs()).merge_bases(ids[-1], ids[-2])  # type: ignore[arg-type]
    if len(found) != 1:
        raise SystemExit(f"{[id_text(one) for one in found]} are merge bases")
    return watch.sample()


def _make_long(folder: Path, commits: int) -> None:
    """Write a history whose commits change ten chunks each."""
    import numpy as np

    repository = _new("ours", folder, commits * 10)
    chance = np.random.default_rng(1)
    for number in range(commits):
        chunks = np.sort(chance.choice(commits * 10, 10, replace=False))
        _changed(repository, "main", chunks, number).commit(str(number))


def _blame(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """Who wrote each chunk of an array."""
    repository = open_repository(implementation, folder)
    with stopwatch() as watch:
        found = repository.blame("/a")
    if len(found) != commits * 10:
        raise SystemExit(f"{len(found)} chunks")
    return watch.sample()


_STATE = "local files on tmpfs, not synced; fresh handles"

CASES = (
    Case(
        name="merge",
        title="merge a branch that changed 10,000 of 1,000,000 chunks",
        state=f"{_STATE}; rebase = CPU of a rebase and commit of the same changes",
        place="memory",
        size=1_000_000,
        implementations=("ours",),
        measure=_merge,
        clock="cpu",
    ),
    Case(
        name="merge-many",
        title="64 branches of 1,000 chunks merged by one commit",
        state=_STATE,
        place="memory",
        size=64_000,
        implementations=("ours",),
        measure=_merge_many,
        limit=3.0,
        clock="cpu",
    ),
    Case(
        name="merge-base",
        title="merge base in a history of 100,000 commits",
        state="the repo object is decoded already",
        place="memory",
        size=100_000,
        implementations=("ours",),
        measure=_merge_base,
        limit=0.1,
        clock="cpu",
    ),
    Case(
        name="blame",
        title="blame of 100,000 chunks over 10,000 commits",
        state=_STATE,
        place="memory",
        size=10_000,
        implementations=("ours",),
        seed=_make_long,
        measure=_blame,
        limit=2.0,
        clock="cpu",
    ),
)
