"""2,000 virtual chunks of 64 KiB of one file, read in one selection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from case import CHUNK_BYTES, Case, Implementation, Sample, stopwatch
from stores import ARRAY, new_array, open_repository, values

HEAD = 4_096  # bytes before the first chunk


def _config(folder: Path) -> Any:
    import icechunk

    config = icechunk.RepositoryConfig.default()
    store = icechunk.local_filesystem_store(str(folder))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(_prefix(folder), store))
    return config


def _prefix(folder: Path) -> str:
    return f"{(folder / 'archive').resolve().as_uri()}/"


def _prepare(implementation: Implementation, folder: Path, chunks: int) -> None:
    import numpy as np

    archive = folder / "archive"
    archive.mkdir(parents=True, exist_ok=True)
    with open(archive / "data.bin", "wb") as file:
        file.write(bytes(HEAD))
        file.write(values(chunks).tobytes())
    if implementation == "floor":
        return
    repository = open_repository(implementation, folder / "repo", _config(folder), create=True)
    session = repository.writable_session("main")
    new_array(session.store, chunks)
    location = _prefix(folder) + "data.bin"
    offsets = (HEAD + np.arange(chunks) * CHUNK_BYTES).astype(np.uint64)
    lengths = np.full(chunks, CHUNK_BYTES, np.uint64)
    session.store.set_virtual_refs_arr(ARRAY, (chunks, 1), [location] * chunks, offsets, lengths)
    session.commit("references")


def _read(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    import numpy as np

    expected = values(chunks)[-1]
    if implementation == "floor":
        from case import CHUNK_ITEMS

        with stopwatch() as watch, open(folder / "archive/data.bin", "rb", buffering=0) as file:
            file.seek(HEAD)
            data = np.empty((chunks, CHUNK_ITEMS), dtype=np.float32)
            for chunk in range(chunks):
                file.readinto(data[chunk].data)
    else:
        import zarr

        import icechunk

        access = {_prefix(folder): icechunk.credentials.LocalFileSystemAccess}
        repository = open_repository(implementation, folder / "repo").reopen(
            authorize_virtual_chunk_access=access
        )
        store = repository.readonly_session("main").store
        array = zarr.open_array(store, path=ARRAY, mode="r")
        array[0]  # manifests are in memory from here on, as in a session at work
        with stopwatch() as watch:
            data = np.asarray(array[:])
    if not np.array_equal(data[-1], expected):
        raise SystemExit(f"{implementation}: read something else than was written")
    return watch.sample()


CASES = (
    Case(
        name="virtual",
        title="arr[:], 2,000 virtual chunks of 64 KiB of one local file (131 MB)",
        state="local file on tmpfs, page cache and manifest warm, uncompressed codec",
        place="memory",
        size=2_000,
        implementations=("ours", "ours-fast", "reference", "floor"),
        prepare=_prepare,
        measure=_read,
        goal=1.0,
    ),
)
