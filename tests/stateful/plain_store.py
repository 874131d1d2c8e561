"""Repositories with content that a dictionary models completely."""

from __future__ import annotations

import json
from typing import Any

from zarr.core.buffer import cpu, default_buffer_prototype
from zarr.core.sync import sync

import icechunk

Content = dict[str, bytes]
"""Bytes by store key."""

CHUNKS = 6

GROUP = b'{"zarr_format":3,"node_type":"group","attributes":{}}'


def array_document(revision: int = 0) -> bytes:
    """``zarr.json`` of an array of `CHUNKS` chunks of four bytes."""
    return json.dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [4 * CHUNKS],
            "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes"}],
            "attributes": {"revision": revision},
        }
    ).encode()


def write(session: icechunk.Session, key: str, value: bytes | None) -> None:
    """Set a key, or delete it."""
    if value is None:
        sync(session.store.delete(key))
    else:
        sync(session.store.set(key, cpu.Buffer.from_bytes(value)))


def content(session: icechunk.Session) -> Content:
    """Everything that a session sees."""

    async def collect() -> Content:
        store, held = session.store, {}
        async for key in store.list():
            found = await store.get(key, default_buffer_prototype())
            assert found is not None, key
            held[key] = found.to_bytes()
        return held

    return sync(collect())


def starting_content(arrays: int = 2) -> Content:
    """A root group and arrays ``a0``, ``a1``, … without chunks."""
    held = {"zarr.json": GROUP}
    held.update({f"a{number}/zarr.json": array_document() for number in range(arrays)})
    return held


def chunk_key(array: int, chunk: int) -> str:
    """Key of a chunk."""
    return f"a{array}/c/{chunk}"


def copy_storage(storage: icechunk.Storage) -> icechunk.Storage:
    """The same objects in a storage of their own."""
    twin = icechunk.in_memory_storage()
    for info in storage.list(""):
        twin.put(info.key, storage.get(info.key).data)
    return twin


def config(inline: int = 0, updates: int = 3, **settings: Any) -> icechunk.RepositoryConfig:
    """Chunks in objects of their own, a short operations log, few tries."""
    return icechunk.RepositoryConfig(
        inline_chunk_threshold_bytes=inline, num_updates_per_repo_info_file=updates, **settings
    )
