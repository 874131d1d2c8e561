"""Stores with the same array for each implementation, imported in its own environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from case import CHUNK_ITEMS, Implementation

if TYPE_CHECKING:
    import numpy as np
    from zarr.abc.store import Store

ARRAY = "a"


def _storage(implementation: Implementation, folder: Path, durable: bool) -> Any:
    import icechunk

    is_ours = "+jupyter" in icechunk.__version__
    if is_ours != implementation.startswith("ours"):
        raise SystemExit(f"{implementation}: found icechunk {icechunk.__version__} here")
    if implementation == "ours-fast":
        icechunk.fast_pipeline()
    if is_ours:
        return icechunk.local_filesystem_storage(str(folder), durable=durable)
    return icechunk.local_filesystem_storage(str(folder))  # never syncs


def open_repository(
    implementation: Implementation, folder: Path, config: Any = None, *, create: bool = False
) -> Any:
    """Open or create a repository whose writes are not synced."""
    import icechunk

    make = icechunk.Repository.create if create else icechunk.Repository.open
    return make(_storage(implementation, folder, durable=False), config)


def new_store(
    implementation: Implementation, folder: Path, durable: bool = False
) -> tuple[Store, Callable[[], object]]:
    """Create an empty store; return it with a function that commits its content."""
    if implementation == "zarr":
        from zarr.storage import LocalStore

        return LocalStore(folder), lambda: None
    import icechunk

    repository = icechunk.Repository.create(_storage(implementation, folder, durable))
    session = repository.writable_session("main")
    return session.store, lambda: session.commit("written")


def stored(implementation: Implementation, folder: Path) -> Store:
    """Open a store made by `new_store` for reading."""
    if implementation == "zarr":
        from zarr.storage import LocalStore

        return LocalStore(folder, read_only=True)
    import icechunk

    repository = icechunk.Repository.open(_storage(implementation, folder, durable=False))
    store: Store = repository.readonly_session("main").store
    return store


def new_array(store: Store, chunks: int) -> Any:
    """Return an empty array of `chunks` uncompressed chunks of 64 KiB."""
    import zarr

    return zarr.create_array(
        store,
        name=ARRAY,
        shape=(chunks, CHUNK_ITEMS),
        chunks=(1, CHUNK_ITEMS),
        dtype="float32",
        compressors=None,
        fill_value=0.0,
    )


def values(chunks: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the same incompressible values every time, one row per chunk."""
    import numpy as np

    return np.random.default_rng(7).random((chunks, CHUNK_ITEMS), dtype=np.float32)


def fill(implementation: Implementation, folder: Path, chunks: int) -> None:
    """Write the array that reading cases read."""
    if implementation == "floor":
        write_files(folder, values(chunks))
        return
    store, finish = new_store(implementation, folder)
    new_array(store, chunks)[:] = values(chunks)
    finish()


def file_of(folder: Path, chunk: int) -> str:
    """Return the plain file of a chunk."""
    return f"{folder}/{chunk}"


def write_files(folder: Path, data: np.ndarray[Any, Any]) -> None:
    """Write one plain file per chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    for chunk, row in enumerate(data):
        with open(file_of(folder, chunk), "wb", buffering=0) as file:
            file.write(row.data)
