"""Consecutive commits, and a long history: time of a commit and of listing."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

_SHORT = 10  # commits of the history to compare with


def _make(implementation: Implementation, folder: Path, commits: int) -> None:
    """Write histories without content: a long one and a short one."""
    for name, count in (("long", commits), ("short", _SHORT)):
        shutil.rmtree(folder / name, ignore_errors=True)
        repository = open_repository(implementation, folder / name, create=True)
        for number in range(count):
            _commit(repository, number)


def _commit(repository: Any, number: int) -> None:
    session = repository.writable_session("main")
    session.commit(f"commit {number} of many", {"number": number}, allow_empty=True)


def _grow(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """Commit to the long history; as extras to the short one, and the time of writing its file."""
    walls = {}
    for name in ("short", "long"):
        repository = open_repository(implementation, folder / name)
        _commit(repository, 0)
        with stopwatch() as watch:
            for number in range(10):
                _commit(repository, number)
        walls[name] = watch.wall / 10
    return watch.sample(10, short=walls["short"], compress=_compressing(folder / "long" / "repo"))


def _compressing(path: Path) -> float:
    """Seconds to compress the content of the repo object and to write it twice (with its copy)."""
    from numcodecs import Zstd

    body = Zstd().decode(path.read_bytes()[39:])
    with stopwatch() as watch:
        packed = Zstd(level=3).encode(body)
        for copy in ("one", "two"):
            (path.parent / copy).write_bytes(packed)
    for copy in ("one", "two"):
        (path.parent / copy).unlink()
    return watch.wall


def _list(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """List the history; as extras once more, looking at every message, at all metadata."""
    repository = open_repository(implementation, folder / "long")
    with stopwatch() as watch:
        count = sum(1 for _ in repository.ancestry(branch="main"))
    with stopwatch() as reading:
        found = sum(bool(commit.message) for commit in repository.ancestry(branch="main"))
    with stopwatch() as packed:
        numbers = sum("number" in commit.metadata for commit in repository.ancestry(branch="main"))
    if not count == found == numbers + 1 > commits:
        raise SystemExit(f"{count}, {found} and {numbers} commits listed")
    return watch.sample(messages=reading.wall, metadata=packed.wall)


def _in_a_row(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """Commit one small chunk again and again, local files; seconds of the commits alone."""
    shutil.rmtree(folder, ignore_errors=True)
    sample = _repeat(open_repository(implementation, folder, create=True), commits)
    shutil.rmtree(folder)
    return sample


def _in_memory(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """The same in memory."""
    import icechunk

    return _repeat(icechunk.Repository.create(icechunk.in_memory_storage()), commits)


def _repeat(repository: Any, commits: int) -> Sample:
    """Change one chunk and commit, again and again; `first` and `last` are means of ten."""
    import zarr

    session = repository.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(10,), chunks=(1,), dtype="int64")[:] = 1
    session.commit("first")
    walls, cpu = [], 0.0
    for number in range(commits):
        session = repository.writable_session("main")
        zarr.open_array(session.store, path="a", mode="r+")[number % 10] = number
        with stopwatch() as watch:
            session.commit(f"commit {number} of many")
        walls.append(watch.wall)
        cpu += watch.cpu
    ten = min(10, commits)
    return Sample(
        statistics.median(walls),
        cpu / commits,
        commits,
        extra={"first": sum(walls[:ten]) / ten, "last": sum(walls[-ten:]) / ten},
    )


CASES = (
    Case(
        name="commits",
        title="1,000 commits of one small change each",
        state=(
            "local files on tmpfs, not synced; median of the commits, without the write;"
            " first and last = means of ten"
        ),
        place="memory",
        size=1_000,
        implementations=("ours", "reference"),
        measure=_in_a_row,
        goal=1.0,
    ),
    Case(
        name="commits-memory",
        title="1,000 commits of one small change each, storage in memory",
        state="median of the commits, without the write; first and last = means of ten",
        place="memory",
        size=1_000,
        implementations=("ours", "reference"),
        measure=_in_memory,
        goal=1.0,
    ),
    Case(
        name="commits-disk",
        title="100 commits of one small change each, on a disk",
        state="local files, not synced; median of the commits, without the write",
        place="disk",
        size=100,
        implementations=("ours", "reference"),
        measure=_in_a_row,
        goal=1.0,
    ),
    Case(
        name="history-commit",
        title="commit to a history of 10,000",
        state=(
            "local files on tmpfs, not synced; short = the same with 10 commits; compress ="
            " compressing and writing the repo object alone"
        ),
        place="memory",
        size=10_000,
        implementations=("ours", "reference"),
        prepare=_make,
        measure=_grow,
        goal=1.0,
    ),
    Case(
        name="history-list",
        title="list a history of 10,000",
        state="local files on tmpfs; the repo object is read once more",
        place="memory",
        size=10_000,
        implementations=("ours", "reference"),
        prepare=_make,
        measure=_list,
        goal=0.5,
    ),
)
