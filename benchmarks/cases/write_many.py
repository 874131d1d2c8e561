"""10,000 chunks written and committed: on tmpfs without syncing, on a disk with ours synced."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from case import Case, Implementation, Sample, stopwatch
from stores import new_array, new_store, values, write_files


def _write(implementation: Implementation, folder: Path, chunks: int, durable: bool) -> Sample:
    data = values(chunks)
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()  # what others left dirty is not on this bill
    if implementation == "floor":
        with stopwatch() as watch:
            write_files(folder, data)
    else:
        store, finish = new_store(implementation, folder, durable)
        array = new_array(store, chunks)
        with stopwatch() as watch:
            array[:] = data
            finish()
    # what an implementation that does not sync still owes the disk
    with stopwatch() as settle:
        os.sync()
    shutil.rmtree(folder)
    return watch.sample(settle=settle.wall)


CASES = (
    Case(
        name="write",
        title="arr[:] = data and commit, 10,000 chunks of 64 KiB, tmpfs",
        state="local files on tmpfs, not synced (ours: durable=False), uncompressed codec",
        place="memory",
        size=10_000,
        implementations=("ours", "ours-fast", "reference", "zarr", "floor"),
        measure=functools.partial(_write, durable=False),
        goal=1.0,
    ),
    Case(
        name="write-disk",
        title="arr[:] = data and commit, 10,000 chunks of 64 KiB, disk",
        state=(
            "local files on a disk; ours syncs before it returns (durable=True), the others never"
            " do; settle = seconds of a sync(2) afterwards"
        ),
        place="disk",
        size=10_000,
        implementations=("ours", "ours-fast", "reference", "zarr", "floor"),
        measure=functools.partial(_write, durable=True),
        goal=1.0,
    ),
)
