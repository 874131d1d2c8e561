"""One chunk of 64 KiB: through the store, and through an array."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from case import CHUNK_BYTES, Case, Implementation, Sample
from stores import ARRAY, file_of, fill, stored

STATE = "local files on tmpfs, page cache and manifests warm, uncompressed codec; median operation"


def _median(walls: list[float], cpu: float) -> Sample:
    return Sample(statistics.median(walls), cpu / len(walls), len(walls))


def _read_file(folder: Path, chunk: int) -> bytes:
    descriptor = os.open(file_of(folder, chunk), os.O_RDONLY)
    try:
        return os.pread(descriptor, CHUNK_BYTES, 0)
    finally:
        os.close(descriptor)


def _timed(read: Callable[[int], object], chunks: int) -> Sample:
    for chunk in range(chunks):
        read(chunk)
    walls = []
    cpu = time.process_time()
    for chunk in range(chunks):
        start = time.perf_counter()
        read(chunk)
        walls.append(time.perf_counter() - start)
    return _median(walls, time.process_time() - cpu)


def _get(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    if implementation == "floor":
        return _timed(lambda chunk: _read_file(folder, chunk), chunks)
    from zarr.core.buffer import default_buffer_prototype

    store = stored(implementation, folder)
    prototype = default_buffer_prototype()
    keys = [f"{ARRAY}/c/{chunk}/0" for chunk in range(chunks)]

    async def run() -> Sample:
        for key in keys:
            buffer = await store.get(key, prototype)
            if buffer is None or len(buffer) != CHUNK_BYTES:
                raise SystemExit(f"{implementation}: {key} is not there")
        walls = []
        cpu = time.process_time()
        for key in keys:
            start = time.perf_counter()
            await store.get(key, prototype)
            walls.append(time.perf_counter() - start)
        return _median(walls, time.process_time() - cpu)

    return asyncio.run(run())


def _item(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    if implementation == "floor":
        import numpy as np

        return _timed(
            lambda chunk: np.frombuffer(_read_file(folder, chunk), np.float32).copy(), chunks
        )
    import zarr

    array = zarr.open_array(stored(implementation, folder), path=ARRAY, mode="r")
    return _timed(lambda chunk: array[chunk], chunks)


CASES = (
    Case(
        name="get",
        title="await store.get(key), 64 KiB",
        state=STATE,
        place="memory",
        size=500,
        implementations=("ours", "reference", "zarr", "floor"),
        prepare=fill,
        measure=_get,
        goal=10.0,
    ),
    Case(
        name="item",
        title="arr[i], one chunk of 64 KiB",
        state=STATE,
        place="memory",
        size=500,
        implementations=("ours", "ours-fast", "reference", "zarr", "floor"),
        prepare=fill,
        measure=_item,
        goal=3.0,
    ),
)
