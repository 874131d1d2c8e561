"""Storages: where the objects of a repository are kept; they know nothing of its format.

This is also the public module `icechunk.storage`. A name is imported when it is first used, so that
opening a local repository loads no object store. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "config.containers": (
        "AnyObjectStoreConfig ObjectStoreConfig azure_store fsspec_store gcs_store "
        "http_store local_filesystem_store s3_store"
    ),
    "config.storage": (
        "ChecksumAlgorithm S3Options StorageConcurrencySettings StorageRetriesSettings "
        "StorageSettings StorageTimeoutSettings"
    ),
    "spec.manifest.chunk_type": "ChunkType",
    "storage.base": "ConcurrentWriterWarning Storage StorageObjectInfo",
    "storage.kinds.azure": "azure_storage",
    "storage.kinds.fsspec": "fsspec_storage",
    "storage.kinds.gcs": "gcs_storage",
    "storage.kinds.http": "http_storage",
    "storage.kinds.hugging_face": "hf_storage",
    "storage.kinds.local": "local_filesystem_storage",
    "storage.kinds.memory": "in_memory_storage",
    "storage.kinds.r2": "r2_storage",
    "storage.kinds.redirect": "redirect_storage",
    "storage.kinds.s3": "s3_object_store_storage s3_storage",
    "storage.kinds.tigris": "tigris_storage",
}
"""Public names by their modules."""

_HOME_OF = {name: f"icechunk.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
