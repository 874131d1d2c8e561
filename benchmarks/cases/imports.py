"""What `import icechunk` adds to `import zarr`."""

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


CASES = (
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
