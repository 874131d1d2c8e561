"""Small repositories for the tests to work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import cpu
from zarr.core.sync import sync

import icechunk


def storage_of(kind: str, folder: Path) -> icechunk.Storage:
    """A fresh storage: ``memory``, or ``local`` below a folder."""
    if kind == "memory":
        return icechunk.in_memory_storage()
    return icechunk.local_filesystem_storage(folder / "repo", durable=False)


def grid_array(
    store: Any, path: str = "a", shape: tuple[int, ...] = (6, 8), chunks: tuple[int, ...] = (2, 4)
) -> Any:
    """An array without compression whose cells count up from 0 (float32)."""
    array = zarr.create_array(
        store, name=path, shape=shape, chunks=chunks, dtype="f4", compressors=None, fill_value=-1
    )
    array[...] = np.arange(int(np.prod(shape)), dtype="f4").reshape(shape)
    return array


def with_grid(
    storage: icechunk.Storage, config: icechunk.RepositoryConfig | None = None, **array: Any
) -> tuple[icechunk.Repository, str]:
    """A repository with one commit of a root group and the array ``/a``; and that commit's id."""
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    grid_array(session.store, **array)
    return repo, session.commit("a grid")


def read(session: icechunk.Session, path: str = "a") -> Any:
    """All cells of an array."""
    return zarr.open_array(session.store, path=path, mode="r")[...]


def edit(session: icechunk.Session, where: Any, value: Any, path: str = "a") -> None:
    """Write cells of an array."""
    zarr.open_array(session.store, path=path, mode="r+")[where] = value


def put(session: icechunk.Session, key: str, data: bytes) -> None:
    """Set a key of a session's store, such as ``g/zarr.json``."""
    session.store.set_sync(key, cpu.Buffer.from_bytes(data))


def remove(session: icechunk.Session, path: str) -> None:
    """Delete a node and what is below it, or a chunk given by its key."""
    store = session.store
    sync(store.delete(path) if "/c/" in path else store.delete_dir(path))
