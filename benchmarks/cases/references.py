"""1,000,000 virtual references: set, committed, looked up, listed, one of them changed."""

from __future__ import annotations

import asyncio
import functools
import shutil
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

PREFIX = "s3://bucket/some/longer/path/"
FEW = 100  # files, where there are few


def _grid(references: int) -> tuple[int, int, int]:
    side = max(round(references ** (1 / 3)), 2)
    return side, side, side


def _config() -> Any:
    import icechunk

    config = icechunk.RepositoryConfig.default()
    store = icechunk.s3_store(region="us-east-1")
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(PREFIX, store))
    return config


def _columns(references: int, files: int) -> tuple[list[str], Any, Any]:
    """Locations (as many Python strings), offsets and lengths."""
    import numpy as np

    each = max(references // files, 1)
    locations = [f"{PREFIX}file-{k // each:07d}.nc" for k in range(references)]
    offsets = (np.arange(references) % each * 65_536 + 4_000).astype(np.uint64)
    lengths = np.random.default_rng(7).integers(60_000, 66_000, references).astype(np.uint64)
    return locations, offsets, lengths


def _write(implementation: Implementation, folder: Path, references: int, files: int) -> Sample:
    """Set the references in one call, and commit."""
    import zarr

    grid = _grid(references)
    count = grid[0] ** 3
    locations, offsets, lengths = _columns(count, min(files, count))
    shutil.rmtree(folder, ignore_errors=True)
    repository = open_repository(implementation, folder, _config(), create=True)
    session = repository.writable_session("main")
    group = zarr.create_group(session.store)
    group.create_array("a", shape=grid, chunks=(1, 1, 1), dtype="float32")
    session.commit("empty")
    session = repository.writable_session("main")
    store = session.store
    with stopwatch() as watch:
        rejected = store.set_virtual_refs_arr("/a", grid, locations, offsets, lengths)
        with stopwatch() as committing:
            session.commit("references")
    if rejected is not None:
        raise SystemExit(f"{len(rejected)} references rejected")
    return watch.sample(commit=committing.wall)


def _prepare(implementation: Implementation, folder: Path, references: int, files: int) -> None:
    _write(implementation, folder, references, files)


def _open(implementation: Implementation, folder: Path, references: int) -> Sample:
    """Open the repository and look up one chunk; the import is a separate case."""
    from icechunk import IcechunkStore, Repository, local_filesystem_storage  # noqa: F401

    middle = _grid(references)[0] // 2
    with stopwatch() as watch:
        store = open_repository(implementation, folder).readonly_session("main").store
        found = asyncio.run(store.exists(f"a/c/{middle}/{middle}/{middle}"))
    if not found:
        raise SystemExit("the reference is gone")
    return watch.sample()


def _list(implementation: Implementation, folder: Path, references: int) -> Sample:
    """Columns of all references; ours as numpy columns, the reference's from its iterator."""
    store = open_repository(implementation, folder).readonly_session("main").store
    with stopwatch() as watch:
        if implementation == "ours":
            table = store._transaction.array_reader("/a").table()
            count = len(table.coords())
            used = table.kind, table.offset, table.length, table.text
            assert all(column is not None for column in used)
        else:
            count = sum(len(batch[0]) for batch in store.array_chunk_iterator("/a"))
    if count != _grid(references)[0] ** 3:
        raise SystemExit(f"{count} references listed")
    return watch.sample()


def _locations(implementation: Implementation, folder: Path, references: int) -> Sample:
    """URLs of all virtual chunks."""
    session = open_repository(implementation, folder, _config()).readonly_session("main")
    with stopwatch() as watch:
        found = session.all_virtual_chunk_locations()
    if len(found) != _grid(references)[0] ** 3:
        raise SystemExit(f"{len(found)} locations listed")
    return watch.sample()


def _iterate(implementation: Implementation, folder: Path, references: int) -> Sample:
    """Batches of all references, as the iterator gives them."""
    store = open_repository(implementation, folder, _config()).readonly_session("main").store
    with stopwatch() as watch:
        count = sum(len(batch[0]) for batch in store.array_chunk_iterator("/a"))
    if count != _grid(references)[0] ** 3:
        raise SystemExit(f"{count} references listed")
    return watch.sample()


def _change(implementation: Implementation, folder: Path, references: int) -> Sample:
    """Change one chunk of the array and commit; a new session, nothing in memory."""
    session = open_repository(implementation, folder, _config()).writable_session("main")
    middle = _grid(references)[0] // 2
    key = f"a/c/{middle}/{middle}/{middle}"
    with stopwatch() as watch:
        session.store.set_virtual_ref(key, PREFIX + "other.nc", offset=1, length=5)
        session.commit("one chunk")
    return watch.sample()


_SIDES: tuple[Implementation, ...] = ("ours", "reference")
_FILES = {"": FEW, "-urls": 1_000_000}
_WHERE = "local files on tmpfs, not synced"


def _words(suffix: str) -> str:
    return f"{FEW} files" if suffix == "" else "a file for each"


CASES = tuple(
    case
    for suffix, files in _FILES.items()
    for case in (
        Case(
            name=f"refs-write{suffix}",
            title=f"set 1,000,000 virtual references and commit ({_words(suffix)})",
            state=f"{_WHERE}; set_virtual_refs_arr from a list of str; commit = the commit alone",
            place="memory",
            size=1_000_000,
            implementations=_SIDES,
            measure=functools.partial(_write, files=files),
            goal=5.0 if suffix == "" else 1.5,
        ),
        Case(
            name=f"refs-open{suffix}",
            title=f"open and look up one of 1,000,000 virtual references ({_words(suffix)})",
            state=f"{_WHERE}; the library imported, the page cache warm, nothing else",
            place="memory",
            size=1_000_000,
            implementations=_SIDES,
            prepare=functools.partial(_prepare, files=files),
            measure=_open,
            goal=2.0,
        ),
        Case(
            name=f"refs-list{suffix}",
            title=f"all columns of 1,000,000 virtual references ({_words(suffix)})",
            state=f"{_WHERE}; snapshot in memory, manifest not; array_chunk_iterator there",
            place="memory",
            size=1_000_000,
            implementations=_SIDES,
            prepare=functools.partial(_prepare, files=files),
            measure=_list,
            goal=4.0 if suffix == "" else 2.0,
        ),
        Case(
            name=f"refs-change{suffix}",
            title=f"change one chunk of an array of 1,000,000 and commit ({_words(suffix)})",
            state=f"{_WHERE}; manifest not in memory, no manifest splitting",
            place="memory",
            size=1_000_000,
            implementations=_SIDES,
            prepare=functools.partial(_prepare, files=files),
            measure=_change,
            goal=10.0 if suffix == "" else 8.0,
        ),
        *(
            Case(
                name=f"refs-{name}{suffix}",
                title=f"{title} of 1,000,000 virtual references ({_words(suffix)})",
                state=f"{_WHERE}; snapshot in memory, manifest not",
                place="memory",
                size=1_000_000,
                implementations=_SIDES,
                prepare=functools.partial(_prepare, files=files),
                measure=measure,
                goal=5.0,
                clock="cpu",
            )
            for name, title, measure in (
                ("locations", "all_virtual_chunk_locations", _locations),
                ("iterate", "array_chunk_iterator", _iterate),
            )
        ),
    )
)
