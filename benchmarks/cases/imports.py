"""What `import icechunk` adds to `import zarr`."""

from __future__ import annotations

from pathlib import Path

from case import Case, Implementation, Sample, stopwatch


def _warm(implementation: Implementation, folder: Path, size: int) -> None:
    _import(implementation, folder, size)


def _import(implementation: Implementation, folder: Path, size: int) -> Sample:
    import zarr  # noqa: F401

    with stopwatch() as watch:
        import icechunk  # noqa: F401
    return watch.sample()


CASES = (
    Case(
        name="import",
        title="import icechunk, after import zarr",
        state="byte code compiled, files in the page cache; a fresh process each time",
        place="memory",
        size=1,
        implementations=("ours", "reference"),
        prepare=_warm,
        measure=_import,
        limit=0.1,
    ),
)
