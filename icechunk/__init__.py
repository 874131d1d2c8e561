"""Icechunk: a transactional storage engine for Zarr v3, in Python.

>>> import icechunk, zarr
>>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
>>> session = repo.writable_session("main")
>>> array = zarr.create_array(session.store, shape=4, chunks=2, dtype="i4")
>>> array[:] = 7
>>> snapshot_id = session.commit("sevens")
"""

from __future__ import annotations

from typing import Any

from icechunk._version import __version__
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
    RepositoryConfig,
    initialize_logs,
    set_logs_filter,
    shutdown_telemetry,
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
from icechunk.ground.errors import (
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
from icechunk.repository import Repository, upgrade_icechunk_repository
from icechunk.session import ForkSession, Session, SessionMode
from icechunk.snapshots import Diff, SnapshotInfo
from icechunk.storage import (
    Storage,
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
    in_memory_storage,
    local_filesystem_storage,
)
from icechunk.store import IcechunkStore, fast_pipeline
from icechunk.types import SpecVersion, spec_version, supported_spec_versions

__all__ = [
    "AlreadyExistsError",
    "Attribution",
    "BasicConflictSolver",
    "CachingConfig",
    "CompressionAlgorithm",
    "CompressionConfig",
    "Conflict",
    "ConflictDetector",
    "ConflictError",
    "ConflictReport",
    "ConflictSolver",
    "ConflictType",
    "Decision",
    "DecisionSolver",
    "Diff",
    "ErrorKind",
    "FeatureFlag",
    "ForkSession",
    "FormatError",
    "IcechunkError",
    "IcechunkStore",
    "InternalError",
    "InvalidInputError",
    "ManifestConfig",
    "ManifestPreloadCondition",
    "ManifestPreloadConfig",
    "ManifestSplitCondition",
    "ManifestSplitDimCondition",
    "ManifestSplittingConfig",
    "ManifestVirtualChunkLocationCompressionConfig",
    "NodeNotFoundError",
    "NotFoundError",
    "ReadOnlyError",
    "RebaseFailedError",
    "RefNotFoundError",
    "Repository",
    "RepositoryConfig",
    "RepositoryNotFoundError",
    "Session",
    "SessionMode",
    "SessionStateError",
    "SnapshotInfo",
    "SnapshotNotFoundError",
    "SpecVersion",
    "Storage",
    "StorageConcurrencySettings",
    "StorageError",
    "StorageRetriesSettings",
    "StorageSettings",
    "StorageTimeoutSettings",
    "VersionSelection",
    "__version__",
    "fast_pipeline",
    "in_memory_storage",
    "initialize_logs",
    "load_ipython_extension",
    "local_filesystem_storage",
    "set_logs_filter",
    "shutdown_telemetry",
    "spec_version",
    "supported_spec_versions",
    "upgrade_icechunk_repository",
]


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%icechunk`` (for ``%load_ext icechunk``); needs the notebook packages."""
    import importlib

    importlib.import_module("icechunk_widgets").load_ipython_extension(ipython)


def _refuse_two_libraries() -> None:
    """Two distributions share this import name; mixed in one folder neither works."""
    from pathlib import Path

    foreign = next(Path(__file__).parent.glob("_icechunk_python*.[sp][oy]d*"), None)
    if foreign is not None:
        raise ImportError(
            "both `icechunk-jupyter` and PyPI's `icechunk` are installed in this environment, and "
            "they share one folder; run `pip uninstall icechunk icechunk-jupyter` and install the "
            "one you want"
        )


_refuse_two_libraries()
