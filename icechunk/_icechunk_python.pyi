"""Names of the native module of the reference library: those of `icechunk`, and a few more."""

from typing import Any

from icechunk import *
from icechunk.config import RepoUpdateRetryConfig as RepoUpdateRetryConfig
from icechunk.core.streams import AsyncCloseableIterator as AsyncCloseableIterator
from icechunk.maintenance.storage_stats import ChunkStorageStats as ChunkStorageStats
from icechunk.storage import StorageObjectInfo as StorageObjectInfo
from icechunk.store.bytes_store import PyStore as PyStore
from icechunk.testing import LatencyStorage as LatencyStorage

PyAsyncSnapshotGenerator = AsyncCloseableIterator
PyAsyncStringGenerator = AsyncCloseableIterator
PyConflictError = ConflictError
PyRebaseFailedError = RebaseFailedError
PyRepository = Repository
PySession = Session

def _all_error_kinds() -> list[str]: ...
def _upgrade_icechunk_repository(
    repo: PyRepository,
    *,
    dry_run: bool = True,
    delete_unused_v1_files: bool = True,
    prefetch_concurrency: int | None = None,
) -> PyRepository: ...
def cli_entrypoint() -> Any: ...
