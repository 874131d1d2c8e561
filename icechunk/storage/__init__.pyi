from icechunk.config.containers import (
    AnyObjectStoreConfig as AnyObjectStoreConfig,
    ObjectStoreConfig as ObjectStoreConfig,
    azure_store as azure_store,
    fsspec_store as fsspec_store,
    gcs_store as gcs_store,
    http_store as http_store,
    local_filesystem_store as local_filesystem_store,
    s3_store as s3_store,
)
from icechunk.config.storage import (
    ChecksumAlgorithm as ChecksumAlgorithm,
    S3Options as S3Options,
    StorageConcurrencySettings as StorageConcurrencySettings,
    StorageRetriesSettings as StorageRetriesSettings,
    StorageSettings as StorageSettings,
    StorageTimeoutSettings as StorageTimeoutSettings,
)
from icechunk.spec.manifest.chunk_type import (
    ChunkType as ChunkType,
)
from icechunk.storage.base import (
    ConcurrentWriterWarning as ConcurrentWriterWarning,
    Storage as Storage,
    StorageObjectInfo as StorageObjectInfo,
)
from icechunk.storage.kinds.azure import (
    azure_storage as azure_storage,
)
from icechunk.storage.kinds.fsspec import (
    fsspec_storage as fsspec_storage,
)
from icechunk.storage.kinds.gcs import (
    gcs_storage as gcs_storage,
)
from icechunk.storage.kinds.http import (
    http_storage as http_storage,
)
from icechunk.storage.kinds.hugging_face import (
    hf_storage as hf_storage,
)
from icechunk.storage.kinds.local import (
    local_filesystem_storage as local_filesystem_storage,
)
from icechunk.storage.kinds.memory import (
    in_memory_storage as in_memory_storage,
)
from icechunk.storage.kinds.r2 import (
    r2_storage as r2_storage,
)
from icechunk.storage.kinds.redirect import (
    redirect_storage as redirect_storage,
)
from icechunk.storage.kinds.s3 import (
    s3_object_store_storage as s3_object_store_storage,
    s3_storage as s3_storage,
)
from icechunk.storage.kinds.tigris import (
    tigris_storage as tigris_storage,
)
