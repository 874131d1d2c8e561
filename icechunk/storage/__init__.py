"""Floor 3: bytes in and out of places; knows no format.

This is also the public module `icechunk.storage`.
"""

from __future__ import annotations

from icechunk.config.containers import (
    AnyObjectStoreConfig,
    ObjectStoreConfig,
    azure_store,
    fsspec_store,
    gcs_store,
    http_store,
    local_filesystem_store,
    s3_store,
)
from icechunk.config.storage import (
    ChecksumAlgorithm,
    S3Options,
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)
from icechunk.spec.manifest.chunk_type import ChunkType
from icechunk.storage.base import ConcurrentWriterWarning, Storage, StorageObjectInfo
from icechunk.storage.factories import (
    azure_storage,
    gcs_storage,
    http_storage,
    in_memory_storage,
    local_filesystem_storage,
    redirect_storage,
)
from icechunk.storage.fsspec import fsspec_storage
from icechunk.storage.s3_family import (
    hf_storage,
    r2_storage,
    s3_object_store_storage,
    s3_storage,
    tigris_storage,
)

__all__ = [
    "AnyObjectStoreConfig",
    "ChecksumAlgorithm",
    "ChunkType",
    "ConcurrentWriterWarning",
    "ObjectStoreConfig",
    "S3Options",
    "Storage",
    "StorageConcurrencySettings",
    "StorageObjectInfo",
    "StorageRetriesSettings",
    "StorageSettings",
    "StorageTimeoutSettings",
    "azure_storage",
    "azure_store",
    "fsspec_store",
    "fsspec_storage",
    "gcs_storage",
    "gcs_store",
    "hf_storage",
    "http_storage",
    "http_store",
    "in_memory_storage",
    "local_filesystem_storage",
    "local_filesystem_store",
    "r2_storage",
    "redirect_storage",
    "s3_object_store_storage",
    "s3_storage",
    "s3_store",
    "tigris_storage",
]
