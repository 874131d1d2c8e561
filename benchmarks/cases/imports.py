"""Time that icechunk adds to `import zarr` until a program has read its first chunk."""

from __future__ import annotations

from pathlib import Path

from case import Case, Implementation, Sample, stopwatch


def _warm(implementation: Implementation, folder: Path, size: int) -> None:
    _import(implementation, folder, size)


def _import(implementation: Implementation, folder: Path, size: int) -> Sample:
    import zarr  # noqa: F401

    with stopwatch() as watch:
        import icechunk
    with stopwatch() as first:
        icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
    with stopwatch() as second:
        icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
    return watch.sample(first=first.wall, second=second.wall)


def _repository(implementation: Implementation, folder: Path, size: int) -> None:
    import zarr

    import icechunk

    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder / "repo")))
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(100,), chunks=(10,), dtype="i4")[:] = 7
    session.commit("sevens")
    _first_chunk(implementation, folder, size)


def _first_chunk(implementation: Implementation, folder: Path, size: int) -> Sample:
    import zarr

    with stopwatch() as watch:
        import icechunk

        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / "repo")))
        session = repo.readonly_session("main")
        array = zarr.open_array(session.store, path="a", mode="r")
        assert int(array[0]) == 7
    return watch.sample()


CASES = (
    Case(
        name="cold-start",
        title="import icechunk, open a repository and read a chunk, after import zarr",
        state=(
            "byte code compiled, files in the page cache; a fresh process each time; one array of"
            " 10 chunks"
        ),
        place="memory",
        size=1,
        implementations=("ours", "reference"),
        prepare=_repository,
        measure=_first_chunk,
        goal=None,
        limit=0.04,
        clock="cpu",
    ),
    Case(
        name="import",
        title="import icechunk, after import zarr",
        state=(
            "byte code compiled, files in the page cache; a fresh process each time; first, second"
            " = a repository in memory and a session, where what is used gets loaded"
        ),
        place="memory",
        size=1,
        implementations=("ours", "reference"),
        prepare=_warm,
        measure=_import,
        goal=1.0,
    ),
)
