"""Garbage collection over 10,000 dead objects or nothing, and expiration of 500 commits."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

FAR = datetime(2100, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _new(implementation: Implementation, folder: Path) -> Any:
    """Create a repository whose chunks are all objects."""
    import icechunk

    shutil.rmtree(folder, ignore_errors=True)
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    return open_repository(implementation, folder, config, create=True)


def _name(number: int) -> str:
    """Return the text of an id."""
    text = ""
    for _ in range(19):
        number, digit = divmod(number, 32)
        text += _DIGITS[digit]
    return text + "0"


def _collect(implementation: Implementation, folder: Path, objects: int) -> Sample:
    """Delete dead chunks of 1 KiB, beside a live array of 100 chunks and 10 commits."""
    import zarr

    repository = _new(implementation, folder)
    for commit in range(10):
        session = repository.writable_session("main")
        group = zarr.open_group(session.store, mode="w-" if commit == 0 else "r+")
        if commit == 0:
            group.create_array("a", shape=(100,), chunks=(1,), dtype="int64", fill_value=0)
        group["a"][:] = commit + 1
        session.commit(f"{commit}")
    chunks = folder / "chunks"
    for number in range(objects):
        with open(chunks / _name(number * 7_919), "wb", buffering=0) as file:
            file.write(bytes(1024))
    os.sync()
    repository = open_repository(implementation, folder)
    with stopwatch() as watch:
        summary = repository.garbage_collect(FAR)
    if summary.chunks_deleted != objects:
        raise SystemExit(f"{summary.chunks_deleted} of {objects} objects deleted")
    shutil.rmtree(folder)
    return watch.sample()


def _grow(implementation: Implementation, folder: Path, commits: int) -> None:
    """Write a history of small commits, once."""
    import zarr

    repository = _new(implementation, folder)
    session = repository.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(1,), chunks=(1,), dtype="int64")
    session.commit("first")
    for number in range(commits):
        session = repository.writable_session("main")
        zarr.open_array(session.store, path="a", mode="r+")[:] = number + 1
        session.commit(f"{number}")


def _collect_nothing(implementation: Implementation, folder: Path, commits: int) -> Sample:
    """Collect garbage in a copy of a history without any."""
    copy = _copied(folder)
    repository = open_repository(implementation, copy)
    with stopwatch() as watch:
        summary = repository.garbage_collect(FAR)
    if summary.snapshots_deleted or summary.chunks_deleted:
        raise SystemExit("something was deleted")
    shutil.rmtree(copy)
    return watch.sample()


def _copied(folder: Path) -> Path:
    """Return a fresh copy of a folder, beside it."""
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def _expire(implementation: Implementation, folder: Path, commits: int, collect: bool) -> Sample:
    """Expire all but the last commit of a copy, and collect the garbage; one is measured."""
    copy = _copied(folder)
    repository = open_repository(implementation, copy)
    with stopwatch() as expiring:
        expired = repository.expire_snapshots(FAR)
    with stopwatch() as collecting:
        summary = repository.garbage_collect(FAR)
    if len(expired) != commits or summary.snapshots_deleted != commits:
        raise SystemExit(f"{len(expired)} of {commits} commits expired")
    shutil.rmtree(copy)
    return (collecting if collect else expiring).sample()


CASES = (
    Case(
        name="collect",
        title="garbage_collect over 10,000 dead objects of 1 KiB, tmpfs",
        state="fresh handle, local files on tmpfs, not synced (ours: durable=False)",
        place="memory",
        size=10_000,
        implementations=("ours", "reference"),
        measure=_collect,
        goal=1.0,
    ),
    *(
        Case(
            name=name,
            title=f"{title}, tmpfs",
            state="local files on tmpfs, not synced (ours: durable=False)",
            place="memory",
            size=500,
            implementations=("ours", "reference"),
            measure=measure,
            prepare=_grow,
            goal=1.2,
            clock="cpu",
        )
        for name, title, measure in (
            ("expire", "expire_snapshots of 500 commits", partial(_expire, collect=False)),
            ("collect-expired", "garbage_collect after it", partial(_expire, collect=True)),
            ("collect-nothing", "garbage_collect with nothing to do", _collect_nothing),
        )
    ),
)
