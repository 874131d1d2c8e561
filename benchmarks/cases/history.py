"""A long history: what a commit costs then, and how fast it is listed."""

from __future__ import annotations

import shutil
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
    """Commit to the long history; as extras to the short one, and what writing its file takes."""
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


CASES = (
    Case(
        name="history-commit",
        title="commit to a history of 10,000",
        state=(
            "local files on tmpfs, nobody syncs; short = the same with 10 commits; compress ="
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
