"""Icechunk: a transactional storage engine for Zarr v3, in Python.

>>> import icechunk, zarr
>>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
>>> session = repo.writable_session("main")
>>> array = zarr.create_array(session.store, shape=4, chunks=2, dtype="i4")
>>> array[:] = 7
>>> snapshot_id = session.commit("sevens")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icechunk._version import __version__

if TYPE_CHECKING:
    from icechunk.about import print_debug_info, user_agent
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
        SplitSizesDict,
        from_dict,
        initialize_logs,
        set_logs_filter,
        shutdown_telemetry,
        to_dict,
    )
    from icechunk.conflicts import (
        BasicConflictSolver,
        Conflict,
        ConflictDetector,
        ConflictReport,
        ConflictSolver,
        ConflictType,
        Decision,
        DecisionSolver,
        VersionSelection,
    )
    from icechunk.core.error_data import ConflictErrorData, RebaseFailedData
    from icechunk.core.errors import (
        AlreadyExistsError,
        ConflictError,
        ErrorKind,
        FormatError,
        IcechunkError,
        InternalError,
        InvalidInputError,
        NodeNotFoundError,
        NotFoundError,
        ReadOnlyError,
        RebaseFailedError,
        RefNotFoundError,
        RepositoryNotFoundError,
        SessionStateError,
        SnapshotNotFoundError,
        StorageError,
    )
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
        azure_anonymous_credentials,
        azure_credentials,
        azure_from_env_credentials,
        azure_refreshable_credentials,
        azure_static_credentials,
        containers_credentials,
        fsspec_credentials,
        gcs_credentials,
        gcs_from_env_credentials,
        gcs_refreshable_credentials,
        gcs_static_credentials,
        http_credentials,
        s3_anonymous_credentials,
        s3_credentials,
        s3_from_env_credentials,
        s3_refreshable_credentials,
        s3_static_credentials,
    )
    from icechunk.diagnostics import StorageReport, doctor
    from icechunk.maintenance.gc_summary import GCSummary
    from icechunk.ops import Update, UpdateType
    from icechunk.repository import Repository
    from icechunk.repository.upgrade import upgrade_icechunk_repository
    from icechunk.session import ForkSession, Session, SessionMode
    from icechunk.snapshots import AncestryGraph
    from icechunk.spec.manifest.chunk_type import ChunkType
    from icechunk.spec.manifest.file_info import ManifestFileInfo
    from icechunk.spec.repo.snapshot_info import SnapshotInfo
    from icechunk.spec.repo.status import RepoAvailability, RepoStatus
    from icechunk.spec.transaction_log.diff import Diff
    from icechunk.storage import (
        AnyObjectStoreConfig,
        ChecksumAlgorithm,
        S3Options,
        Storage,
        StorageConcurrencySettings,
        StorageRetriesSettings,
        StorageSettings,
        StorageTimeoutSettings,
        azure_storage,
        fsspec_storage,
        fsspec_store,
        gcs_storage,
        gcs_store,
        hf_storage,
        http_storage,
        http_store,
        in_memory_storage,
        local_filesystem_storage,
        local_filesystem_store,
        r2_storage,
        redirect_storage,
        s3_storage,
        s3_store,
        tigris_storage,
    )
    from icechunk.store import IcechunkStore, fast_pipeline
    from icechunk.types import CommitMethod, SpecVersion, spec_version, supported_spec_versions
    from icechunk.virtual import VirtualChunkContainer, VirtualChunkSpec

    SnapshotMetadata = SnapshotInfo

_HOMES = {
    "icechunk.about": "print_debug_info user_agent",
    "icechunk.config": (
        "Attribution CachingConfig CompressionAlgorithm CompressionConfig FeatureFlag "
        "ManifestConfig ManifestPreloadCondition ManifestPreloadConfig ManifestSplitCondition "
        "ManifestSplitDimCondition ManifestSplittingConfig "
        "ManifestVirtualChunkLocationCompressionConfig ObjectStoreConfig RepositoryConfig "
        "SplitSizesDict from_dict initialize_logs set_logs_filter shutdown_telemetry to_dict"
    ),
    "icechunk.conflicts": (
        "BasicConflictSolver Conflict ConflictDetector ConflictReport ConflictSolver "
        "ConflictType Decision DecisionSolver VersionSelection"
    ),
    "icechunk.credentials": (
        "AnyAzureCredential AnyAzureStaticCredential AnyCredential AnyGcsCredential "
        "AnyGcsStaticCredential AnyS3Credential AzureCredentials AzureRefreshableCredential "
        "AzureStaticCredentials Credentials GcsBearerCredential GcsCredentials "
        "GcsStaticCredentials S3Credentials S3StaticCredentials azure_anonymous_credentials "
        "azure_credentials azure_from_env_credentials azure_refreshable_credentials "
        "azure_static_credentials containers_credentials fsspec_credentials gcs_credentials "
        "gcs_from_env_credentials gcs_refreshable_credentials gcs_static_credentials "
        "http_credentials "
        "s3_anonymous_credentials s3_credentials s3_from_env_credentials "
        "s3_refreshable_credentials s3_static_credentials"
    ),
    "icechunk.diagnostics": "StorageReport doctor",
    "icechunk.core.error_data": "ConflictErrorData RebaseFailedData",
    "icechunk.core.errors": (
        "AlreadyExistsError ConflictError ErrorKind FormatError IcechunkError InternalError "
        "InvalidInputError NodeNotFoundError NotFoundError ReadOnlyError RebaseFailedError "
        "RefNotFoundError RepositoryNotFoundError SessionStateError SnapshotNotFoundError "
        "StorageError"
    ),
    "icechunk.spec.manifest.chunk_type": "ChunkType",
    "icechunk.spec.transaction_log.diff": "Diff",
    "icechunk.maintenance.gc_summary": "GCSummary",
    "icechunk.spec.manifest.file_info": "ManifestFileInfo",
    "icechunk.spec.repo.status": "RepoAvailability RepoStatus",
    "icechunk.spec.repo.snapshot_info": "SnapshotInfo",
    "icechunk.ops": "Update UpdateType",
    "icechunk.repository": "Repository",
    "icechunk.repository.upgrade": "upgrade_icechunk_repository",
    "icechunk.session": "ForkSession Session SessionMode",
    "icechunk.snapshots": "AncestryGraph",
    "icechunk.storage": (
        "AnyObjectStoreConfig ChecksumAlgorithm S3Options Storage StorageConcurrencySettings "
        "StorageRetriesSettings StorageSettings StorageTimeoutSettings azure_storage "
        "fsspec_storage fsspec_store gcs_storage gcs_store hf_storage http_storage http_store "
        "in_memory_storage local_filesystem_storage local_filesystem_store r2_storage "
        "redirect_storage s3_storage s3_store tigris_storage"
    ),
    "icechunk.store": "IcechunkStore fast_pipeline",
    "icechunk.types": "CommitMethod SpecVersion spec_version supported_spec_versions",
    "icechunk.virtual": "VirtualChunkContainer VirtualChunkSpec",
}
"""Public names by the module that has them; it is loaded when one of them is asked for."""

_ROOMS = {
    "config",
    "conflicts",
    "credentials",
    "repository",
    "session",
    "storage",
    "store",
    "types",
    "virtual",
}
"""Modules that are there without being imported."""

__all__ = [
    "AlreadyExistsError",
    "AncestryGraph",
    "AnyAzureCredential",
    "AnyAzureStaticCredential",
    "AnyCredential",
    "AnyGcsCredential",
    "AnyGcsStaticCredential",
    "AnyObjectStoreConfig",
    "AnyS3Credential",
    "Attribution",
    "AzureCredentials",
    "AzureRefreshableCredential",
    "AzureStaticCredentials",
    "BasicConflictSolver",
    "CachingConfig",
    "ChecksumAlgorithm",
    "ChunkType",
    "CommitMethod",
    "CompressionAlgorithm",
    "CompressionConfig",
    "Conflict",
    "ConflictDetector",
    "ConflictError",
    "ConflictErrorData",
    "ConflictReport",
    "ConflictSolver",
    "ConflictType",
    "Credentials",
    "Decision",
    "DecisionSolver",
    "Diff",
    "ErrorKind",
    "FeatureFlag",
    "ForkSession",
    "FormatError",
    "GCSummary",
    "GcsBearerCredential",
    "GcsCredentials",
    "GcsStaticCredentials",
    "IcechunkError",
    "IcechunkStore",
    "InternalError",
    "InvalidInputError",
    "ManifestConfig",
    "ManifestFileInfo",
    "ManifestPreloadCondition",
    "ManifestPreloadConfig",
    "ManifestSplitCondition",
    "ManifestSplitDimCondition",
    "ManifestSplittingConfig",
    "ManifestVirtualChunkLocationCompressionConfig",
    "NodeNotFoundError",
    "NotFoundError",
    "ObjectStoreConfig",
    "ReadOnlyError",
    "RebaseFailedData",
    "RebaseFailedError",
    "RefNotFoundError",
    "RepoAvailability",
    "RepoStatus",
    "Repository",
    "RepositoryConfig",
    "RepositoryNotFoundError",
    "S3Credentials",
    "S3Options",
    "S3StaticCredentials",
    "Session",
    "SessionMode",
    "SessionStateError",
    "SnapshotInfo",
    "SnapshotMetadata",
    "SnapshotNotFoundError",
    "SpecVersion",
    "SplitSizesDict",
    "Storage",
    "StorageConcurrencySettings",
    "StorageError",
    "StorageReport",
    "StorageRetriesSettings",
    "StorageSettings",
    "StorageTimeoutSettings",
    "Update",
    "UpdateType",
    "VersionSelection",
    "VirtualChunkContainer",
    "VirtualChunkSpec",
    "__version__",
    "azure_anonymous_credentials",
    "azure_credentials",
    "azure_from_env_credentials",
    "azure_refreshable_credentials",
    "azure_static_credentials",
    "azure_storage",
    "containers_credentials",
    "doctor",
    "fast_pipeline",
    "from_dict",
    "fsspec_credentials",
    "fsspec_storage",
    "fsspec_store",
    "gcs_credentials",
    "gcs_from_env_credentials",
    "gcs_refreshable_credentials",
    "gcs_static_credentials",
    "gcs_storage",
    "gcs_store",
    "hf_storage",
    "http_credentials",
    "http_storage",
    "http_store",
    "in_memory_storage",
    "initialize_logs",
    "load_ipython_extension",
    "local_filesystem_storage",
    "local_filesystem_store",
    "print_debug_info",
    "r2_storage",
    "redirect_storage",
    "s3_anonymous_credentials",
    "s3_credentials",
    "s3_from_env_credentials",
    "s3_refreshable_credentials",
    "s3_static_credentials",
    "s3_storage",
    "s3_store",
    "set_logs_filter",
    "shutdown_telemetry",
    "spec_version",
    "supported_spec_versions",
    "tigris_storage",
    "to_dict",
    "upgrade_icechunk_repository",
    "user_agent",
]


_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_RENAMED = {"SnapshotMetadata": "SnapshotInfo"}
"""Names of early versions."""


if not TYPE_CHECKING:  # a type checker shall know what is not there

    def __getattr__(name: str) -> Any:
        """Load what is asked for: few programs need all of it."""
        from importlib import import_module

        wanted = _RENAMED.get(name, name)
        if wanted in _HOME_OF:
            value = getattr(import_module(_HOME_OF[wanted]), wanted)
        elif name in _ROOMS:
            value = import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_RENAMED, *_ROOMS})


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%icechunk`` (for ``%load_ext icechunk``); needs the notebook packages."""
    import importlib

    importlib.import_module("icechunk_widgets").load_ipython_extension(ipython)


def _refuse_two_libraries() -> None:
    """Two distributions share this import name; mixed in one folder neither works."""
    from importlib.machinery import EXTENSION_SUFFIXES
    from pathlib import Path

    here = Path(__file__).parent
    names = (f"_icechunk_python{suffix}" for suffix in (*EXTENSION_SUFFIXES, ".abi3.so", ".pyd"))
    foreign = next((name for name in names if (here / name).exists()), None)
    if foreign is not None:
        raise ImportError(
            "both `icechunk-jupyter` and PyPI's `icechunk` are installed in this environment, and "
            "they share one folder; run `pip uninstall icechunk icechunk-jupyter` and install the "
            "one you want"
        )


_refuse_two_libraries()
