"""The names of icechunk's native module, for code that reaches for it.

Everything here is public elsewhere; prefer `icechunk` and its public modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icechunk._version import __version__
from icechunk.about import user_agent
from icechunk.config import (
    Attribution,
    CachingConfig,
    CompressionAlgorithm,
    CompressionConfig,
    FeatureFlag,
    ManifestConfig,
    ManifestPreloadCondition,
    ManifestPreloadConfig,
    ManifestSplitCondition,
    ManifestSplitDimCondition,
    ManifestSplittingConfig,
    ManifestVirtualChunkLocationCompressionConfig,
    ObjectStoreConfig,
    RepositoryConfig,
    RepoUpdateRetryConfig,
    initialize_logs,
    set_logs_filter,
    shutdown_telemetry,
)
from icechunk.conflicts import (
    BasicConflictSolver,
    Conflict,
    ConflictDetector,
    ConflictSolver,
    ConflictType,
    VersionSelection,
)
from icechunk.core.error_data import ConflictErrorData, RebaseFailedData
from icechunk.core.errors import ConflictError, ErrorKind, IcechunkError, RebaseFailedError
from icechunk.core.streams import AsyncCloseableIterator
from icechunk.credentials import (
    AnyAzureCredential,
    AnyAzureStaticCredential,
    AnyCredential,
    AnyGcsCredential,
    AnyGcsStaticCredential,
    AnyS3Credential,
    AzureCredentials,
    AzureRefreshableCredential,
    AzureStaticCredentials,
    Credentials,
    GcsBearerCredential,
    GcsCredentials,
    GcsStaticCredentials,
    S3Credentials,
    S3StaticCredentials,
)
from icechunk.maintenance.storage_stats import ChunkStorageStats
from icechunk.ops import GCSummary, Update, UpdateType
from icechunk.repository import Repository
from icechunk.repository.upgrade import upgrade_icechunk_repository
from icechunk.session import Session, SessionMode
from icechunk.snapshots import AncestryGraph, Diff, ManifestFileInfo, SnapshotInfo
from icechunk.spec.manifest.chunk_type import ChunkType
from icechunk.spec.repo.status import RepoAvailability, RepoStatus
from icechunk.storage import (
    AnyObjectStoreConfig,
    ChecksumAlgorithm,
    S3Options,
    Storage,
    StorageConcurrencySettings,
    StorageObjectInfo,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)
from icechunk.store.bytes_store import PyStore
from icechunk.types import SpecVersion, spec_version
from icechunk.virtual import VirtualChunkContainer, VirtualChunkSpec

if TYPE_CHECKING:
    from icechunk.testing import LatencyStorage

PyRepository = Repository
PySession = Session
PyConflictError = ConflictError
PyRebaseFailedError = RebaseFailedError
PyAsyncSnapshotGenerator = AsyncCloseableIterator
PyAsyncStringGenerator = AsyncCloseableIterator
SnapshotMetadata = SnapshotInfo

__all__ = [
    "AncestryGraph",
    "AnyAzureCredential",
    "AnyAzureStaticCredential",
    "AnyCredential",
    "AnyGcsCredential",
    "AnyGcsStaticCredential",
    "AnyObjectStoreConfig",
    "AnyS3Credential",
    "AsyncCloseableIterator",
    "Attribution",
    "AzureCredentials",
    "AzureRefreshableCredential",
    "AzureStaticCredentials",
    "BasicConflictSolver",
    "CachingConfig",
    "ChecksumAlgorithm",
    "ChunkStorageStats",
    "ChunkType",
    "CompressionAlgorithm",
    "CompressionConfig",
    "Conflict",
    "ConflictDetector",
    "ConflictError",
    "ConflictErrorData",
    "ConflictSolver",
    "ConflictType",
    "Credentials",
    "Diff",
    "FeatureFlag",
    "GCSummary",
    "GcsBearerCredential",
    "GcsCredentials",
    "GcsStaticCredentials",
    "IcechunkError",
    "LatencyStorage",
    "ManifestConfig",
    "ManifestFileInfo",
    "ManifestPreloadCondition",
    "ManifestPreloadConfig",
    "ManifestSplitCondition",
    "ManifestSplitDimCondition",
    "ManifestSplittingConfig",
    "ManifestVirtualChunkLocationCompressionConfig",
    "ObjectStoreConfig",
    "PyAsyncSnapshotGenerator",
    "PyAsyncStringGenerator",
    "PyConflictError",
    "PyRebaseFailedError",
    "PyRepository",
    "PySession",
    "PyStore",
    "RebaseFailedData",
    "RebaseFailedError",
    "RepoAvailability",
    "RepoStatus",
    "RepoUpdateRetryConfig",
    "RepositoryConfig",
    "S3Credentials",
    "S3Options",
    "S3StaticCredentials",
    "SessionMode",
    "SnapshotInfo",
    "SnapshotMetadata",
    "SpecVersion",
    "Storage",
    "StorageConcurrencySettings",
    "StorageObjectInfo",
    "StorageRetriesSettings",
    "StorageSettings",
    "StorageTimeoutSettings",
    "Update",
    "UpdateType",
    "VersionSelection",
    "VirtualChunkContainer",
    "VirtualChunkSpec",
    "__version__",
    "_all_error_kinds",
    "_upgrade_icechunk_repository",
    "cli_entrypoint",
    "initialize_logs",
    "set_logs_filter",
    "shutdown_telemetry",
    "spec_version",
    "user_agent",
]


def _all_error_kinds() -> list[str]:
    """Every stable error code."""
    return [kind.value for kind in ErrorKind]


def _upgrade_icechunk_repository(
    repo: Repository,
    *,
    dry_run: bool = True,
    delete_unused_v1_files: bool = True,
    prefetch_concurrency: int | None = None,
) -> Repository:
    """Upgrade a repository; see `icechunk.upgrade_icechunk_repository`."""
    return upgrade_icechunk_repository(
        repo,
        dry_run=dry_run,
        delete_unused_v1_files=delete_unused_v1_files,
        prefetch_concurrency=prefetch_concurrency,
    )


def cli_entrypoint() -> Any:
    """Run the command line program ``icechunk``."""
    from icechunk.cli import main

    return main()


def __getattr__(name: str) -> Any:
    if name == "LatencyStorage":  # needs what only tests install
        from icechunk.testing import LatencyStorage

        return LatencyStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
