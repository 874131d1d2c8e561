"""Configuration values and credentials (layer 1), without I/O; the public `icechunk.config`."""

from __future__ import annotations

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.flags import Attribution, FeatureFlag
from icechunk.config.logs import initialize_logs, set_logs_filter, shutdown_telemetry
from icechunk.config.manifests import (
    ManifestConfig,
    ManifestPreloadConfig,
    ManifestSplittingConfig,
    ManifestSplitValues,
    ManifestVirtualChunkLocationCompressionConfig,
    SplitSizesDict,
    from_dict,
    to_dict,
)
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.repository import (
    CachingConfig,
    CompressionAlgorithm,
    CompressionConfig,
    RepositoryConfig,
    RepoUpdateRetryConfig,
)
from icechunk.config.splitting import ManifestSplitCondition, ManifestSplitDimCondition

__all__ = [
    "Attribution",
    "CachingConfig",
    "CompressionAlgorithm",
    "CompressionConfig",
    "FeatureFlag",
    "ManifestConfig",
    "ManifestPreloadCondition",
    "ManifestPreloadConfig",
    "ManifestSplitCondition",
    "ManifestSplitDimCondition",
    "ManifestSplitValues",
    "ManifestSplittingConfig",
    "ManifestVirtualChunkLocationCompressionConfig",
    "ObjectStoreConfig",
    "RepositoryConfig",
    "RepoUpdateRetryConfig",
    "SplitSizesDict",
    "from_dict",
    "initialize_logs",
    "set_logs_filter",
    "shutdown_telemetry",
    "to_dict",
]

initialize_logs()  # every public name imports this package, so this precedes all log output
