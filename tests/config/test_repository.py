"""The configuration of a repository: merging and names of older versions."""

from __future__ import annotations

import json

import pytest

from icechunk.config.manifests import (
    ManifestConfig,
    ManifestPreloadConfig,
    ManifestSplittingConfig,
    ManifestVirtualChunkLocationCompressionConfig,
)
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.repository import (
    CachingConfig,
    CompressionAlgorithm,
    CompressionConfig,
    RepositoryConfig,
    RepoUpdateRetryConfig,
)
from icechunk.config.serde import to_plain
from icechunk.config.storage import (
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)
from tests.oracle import run_reference


def test_nothing_is_set_by_default() -> None:
    assert RepositoryConfig.default() == RepositoryConfig()
    assert all(value is None for value in to_plain(RepositoryConfig()).values())
    assert CachingConfig.default() == CachingConfig()
    assert CompressionConfig.default() == CompressionConfig()


def _two() -> tuple[RepositoryConfig, RepositoryConfig]:
    base = RepositoryConfig(
        inline_chunk_threshold_bytes=1,
        caching=CachingConfig(1, 2),
        compression=CompressionConfig(level=4),
        manifest=ManifestConfig(
            preload=ManifestPreloadConfig(5, ManifestPreloadCondition.true()),
            virtual_chunk_location_compression=ManifestVirtualChunkLocationCompressionConfig(1),
            max_concurrent_manifest_fetches_during_commit=7,
        ),
        repo_update_retries=RepoUpdateRetryConfig(StorageRetriesSettings(5, 6)),
        storage=StorageSettings(
            StorageConcurrencySettings(3),
            StorageRetriesSettings(1, 2),
            storage_class="a",
            timeouts=StorageTimeoutSettings(1),
        ),
    )
    over = RepositoryConfig(
        max_concurrent_requests=4,
        caching=CachingConfig(None, 3),
        compression=CompressionConfig(CompressionAlgorithm.Zstd),
        manifest=ManifestConfig(
            preload=ManifestPreloadConfig(None, None, 9),
            splitting=ManifestSplittingConfig(),
            virtual_chunk_location_compression=ManifestVirtualChunkLocationCompressionConfig(
                compression_level=4
            ),
        ),
        repo_update_retries=RepoUpdateRetryConfig(StorageRetriesSettings(None, 9)),
        storage=StorageSettings(
            StorageConcurrencySettings(None, 3),
            StorageRetriesSettings(None, 7),
            metadata_storage_class="b",
            timeouts=StorageTimeoutSettings(None, 2),
        ),
    )
    return base, over


def test_merging_goes_into_nested_configurations() -> None:
    base, over = _two()
    result = base.merge(over)
    assert result.caching == CachingConfig(1, 3)
    assert result.compression == CompressionConfig(CompressionAlgorithm.Zstd, 4)
    assert result.repo_update_retries == RepoUpdateRetryConfig(StorageRetriesSettings(5, 9))
    assert result.storage is not None
    assert result.storage.concurrency == StorageConcurrencySettings(3, 3)
    assert result.storage.storage_class == "a"
    assert result.manifest is not None
    assert result.manifest.preload == ManifestPreloadConfig(None, None, 9), "replaced whole"
    with pytest.raises(TypeError, match="not an instance of 'RepositoryConfig'"):
        base.merge(3)  # type: ignore[arg-type]


@pytest.mark.oracle
def test_merging_gives_what_the_reference_gives() -> None:
    base, over = _two()
    code = """
        import icechunk as ic, icechunk._icechunk_python as native
        icechunk = ic
        ic.config.RepoUpdateRetryConfig = native.RepoUpdateRetryConfig
        for name in ("StorageSettings", "StorageRetriesSettings", "StorageConcurrencySettings"):
            setattr(ic.storage, name, getattr(ic, name))
        ic.storage.StorageTimeoutSettings = ic.StorageTimeoutSettings
        base, over = (eval(text) for text in args)
        result = [repr(base), repr(over), repr(base.merge(over))]
        """
    sent = [repr(base), repr(over)]
    result = run_reference(code, *sent)

    def without_codec_name(text: str) -> str:
        return text.replace("icechunk.CompressionAlgorithm.Zstd", "Zstd")

    assert result == [without_codec_name(repr(c)) for c in (base, over, base.merge(over))]


def test_the_older_name_for_unconditional_updates() -> None:
    config = RepositoryConfig()
    assert config.unsafe_overwrite_refs is False
    with pytest.warns(DeprecationWarning, match="unsafe_use_conditional_update"):
        config.unsafe_overwrite_refs = True
    assert config.storage == StorageSettings(unsafe_use_conditional_update=False)
    assert config.unsafe_overwrite_refs is True
    assert json.dumps(to_plain(config))
