"""Time of a commit, a log and an opening with much metadata and little change.

The repositories are large in one way each (nodes, branches, commits) and are made once, by this
project's engine, which writes them in one step; every implementation gets a copy of them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

_COMMITS = 20  # measured in a row
_OPENINGS = 50
_FIRST = 10  # commits listed from a log


def _document() -> bytes:
    """`zarr.json` of a small array."""
    codec = {"name": "bytes", "configuration": {"endian": "little"}}
    return json.dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [10],
            "data_type": "int64",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [codec],
            "attributes": {"units": "K", "long_name": "a temperature"},
            "dimension_names": ["x"],
        }
    ).encode()


def _with_nodes(folder: Path, nodes: int, implementation: Implementation = "ours") -> Any:
    """Create a repository with `count` arrays, of which array 0 has chunks."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype

    repository = open_repository(implementation, folder, create=True)
    session = repository.writable_session("main")
    zarr.create_group(session.store)
    document = default_buffer_prototype().buffer.from_bytes(_document())

    async def fill() -> None:
        for number in range(nodes):
            await session.store.set(f"a{number:05d}/zarr.json", document)

    asyncio.run(fill())
    zarr.open_array(session.store, path="a00000", mode="r+")[:] = 1
    session.commit("arrays")
    return repository


def _seed_nodes(folder: Path, nodes: int) -> None:
    _with_nodes(folder, nodes)


def _seed_branches(folder: Path, branches: int) -> None:
    from icechunk.spec.repo.refs import Refs

    repository = _with_nodes(folder, 1)

    def add(state: Any, stamp: Any) -> Any:
        tip = state.branches["main"]
        state = replace(state, branches=Refs({"main": tip} | dict.fromkeys(_names(branches), tip)))
        return state.with_branch("last", tip, stamp)

    repository._ctx.ref_store.update(add)


def _names(count: int) -> list[str]:
    return [f"user-{number * 7919 % count:06d}/experiment" for number in range(count)]


def _seed_history(folder: Path, commits: int) -> None:
    """Make a long history, only the newest of whose snapshots exists as a file."""
    from icechunk.core.ids import new_object_id
    from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable

    repository = _with_nodes(folder, 1)

    def lengthen(state: Any, stamp: Any) -> Any:
        tip = state.snapshot(state.branches["main"])
        ids = [new_object_id() for _ in range(commits)]
        records = [
            SnapshotRecord(
                own,
                parent,
                tip.flushed_at - 1_000_000 * (commits - number),
                f"commit {number} of many",
                {"number": number},
            )
            for number, (own, parent) in enumerate(zip(ids, [None, *ids], strict=False))
        ]
        newest = SnapshotRecord(
            tip.id, ids[-1], tip.flushed_at, tip.message, dict(tip.metadata), tip.pruned
        )
        state = replace(state, snapshots=SnapshotTable.from_records([*records, newest]))
        return state.with_tag("first", ids[0], stamp)

    repository._ctx.ref_store.update(lengthen)


def _commit(implementation: Implementation, folder: Path, size: int) -> Sample:
    """Change one chunk and commit, by one handle; medians of the commits alone."""
    return _repeat(open_repository(implementation, folder))


def _commit_own(implementation: Implementation, folder: Path, nodes: int) -> Sample:
    """The same by the handle that made the nodes."""
    shutil.rmtree(folder, ignore_errors=True)
    return _repeat(_with_nodes(folder, nodes, implementation))


def _repeat(repository: Any) -> Sample:
    import zarr

    walls, cpus = [], []
    for number in range(_COMMITS + 1):
        session = repository.writable_session("main")
        zarr.open_array(session.store, path="a00000", mode="r+")[number % 10] = number
        with stopwatch() as watch:
            session.commit("one chunk")
        walls.append(watch.wall)
        cpus.append(watch.cpu)
    return Sample(statistics.median(walls[1:]), statistics.median(cpus[1:]), _COMMITS)


def _log(implementation: Implementation, folder: Path, size: int) -> Sample:
    """Look at the newest commits of a long log, by a handle that has read the history."""
    repository = open_repository(implementation, folder)
    walls, cpus = [], []
    for _ in range(_OPENINGS):
        with stopwatch() as watch:
            found = [
                (commit.id, commit.message)
                for commit in islice(repository.ancestry(branch="main"), _FIRST)
            ]
        walls.append(watch.wall)
        cpus.append(watch.cpu)
    assert len(found) == min(_FIRST, size + 1)
    return Sample(statistics.median(walls), statistics.median(cpus), _OPENINGS)


def _reopen(implementation: Implementation, folder: Path, size: int) -> Sample:
    """Open a repository with a history again and again, and a session of it."""
    open_repository(implementation, folder).readonly_session("main")
    with stopwatch() as watch:
        for _ in range(_OPENINGS):
            open_repository(implementation, folder).readonly_session("main")
    return watch.sample(_OPENINGS)


_SIDES: tuple[Implementation, ...] = ("ours", "reference")
_WHERE = "local files on tmpfs, not synced"
_SAME = f"{_WHERE}; the handle has committed before; the commit alone, median of {_COMMITS}"

CASES = (
    *(
        Case(
            name=f"nodes-{nodes}",
            title=f"commit one chunk to {nodes:,} arrays",
            state=_SAME,
            place="memory",
            size=nodes,
            implementations=_SIDES,
            seed=_seed_nodes,
            measure=_commit,
            goal=2.0,
            clock="cpu",
        )
        for nodes in (1_000, 10_000)
    ),
    *(
        Case(
            name=f"own-nodes-{nodes}",
            title=f"commit one chunk to {nodes:,} arrays that the handle made",
            state=_SAME,
            place="memory",
            size=nodes,
            implementations=_SIDES,
            measure=_commit_own,
            goal=2.0,
            clock="cpu",
        )
        for nodes in (1_000, 10_000)
    ),
    Case(
        name="branches",
        title="commit where there are 10,000 branches",
        state=_SAME,
        place="memory",
        size=10_000,
        implementations=_SIDES,
        seed=_seed_branches,
        measure=_commit,
        goal=3.0,
        clock="cpu",
    ),
    Case(
        name="long-commit",
        title="commit to a history of 100,000",
        state=_SAME,
        place="memory",
        size=100_000,
        implementations=_SIDES,
        seed=_seed_history,
        measure=_commit,
        limit=0.003,
        clock="cpu",
    ),
    Case(
        name="long-log",
        title=f"the first {_FIRST} of a log of 100,000",
        state=f"{_WHERE}; by a handle that has read the history",
        place="memory",
        size=100_000,
        implementations=_SIDES,
        seed=_seed_history,
        measure=_log,
        goal=1.0,
        clock="cpu",
    ),
    Case(
        name="reopen",
        title="open again in a running process, 100 commits",
        state=f"{_WHERE}; open and readonly_session, the page cache warm",
        place="memory",
        size=100,
        implementations=_SIDES,
        seed=_seed_history,
        measure=_reopen,
        goal=1.2,
        clock="cpu",
    ),
)
