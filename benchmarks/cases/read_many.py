"""A whole array of 10,000 chunks, read in one selection."""

from __future__ import annotations

from pathlib import Path

from case import Case, Implementation, Sample, stopwatch
from stores import ARRAY, file_of, fill, stored, values


def _read(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    import numpy as np

    expected = values(chunks)[-1]
    if implementation == "floor":
        from case import CHUNK_ITEMS

        with stopwatch() as watch:
            data = np.empty((chunks, CHUNK_ITEMS), dtype=np.float32)
            for chunk in range(chunks):
                with open(file_of(folder, chunk), "rb", buffering=0) as file:
                    file.readinto(data[chunk].data)
    else:
        import zarr

        array = zarr.open_array(stored(implementation, folder), path=ARRAY, mode="r")
        array[0]  # manifests are in memory from here on, as in a session at work
        with stopwatch() as watch:
            data = np.asarray(array[:])
    if not np.array_equal(data[-1], expected):
        raise SystemExit(f"{implementation}: read something else than was written")
    return watch.sample()


CASES = (
    Case(
        name="read",
        title="arr[:], 10,000 chunks of 64 KiB (655 MB)",
        state="local files on tmpfs, page cache and manifests warm, uncompressed codec",
        place="memory",
        size=10_000,
        implementations=("ours", "ours-fast", "reference", "zarr", "floor"),
        prepare=fill,
        measure=_read,
        goal=3.0,
    ),
)
