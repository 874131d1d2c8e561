"""Memory of this process."""

from __future__ import annotations

from icechunk.config.containers import ObjectStoreConfig
from icechunk.storage.base import Storage
from icechunk.storage.kinds.kind import StoreKind
from icechunk.storage.memory import MemoryStorage


def in_memory_storage() -> Storage:
    """Keep a repository in this process's memory.

    Every call makes a new, empty store. Pickling does not copy the contents: the copy is empty.
    """
    return MemoryStorage()


new_in_memory = in_memory_storage


class MemoryKind(StoreKind):
    """Memory: a store of its own for ``memory://``, else the shared one of fsspec."""

    name = "memory"
    schemes = ("memory",)
    configs = (ObjectStoreConfig.InMemory,)

    def open(self, url: str) -> Storage:
        if not url.partition("://")[2].strip("/"):
            return in_memory_storage()
        from icechunk.storage.kinds.fsspec import fsspec_storage

        return fsspec_storage(url)

    def advice(self, url: str) -> str:
        return "icechunk.in_memory_storage()"


KIND = MemoryKind()
