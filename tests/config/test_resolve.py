"""Resolution of a configuration to the settings in force."""

from __future__ import annotations

import os

from hypothesis import given

from icechunk.config.containers import VirtualChunkContainer, s3_store
from icechunk.config.manifests import (
    ManifestConfig,
    ManifestPreloadConfig,
    ManifestSplittingConfig,
    default_preload_condition,
)
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.repository import (
    CachingConfig,
    CompressionConfig,
    RepositoryConfig,
    RepoUpdateRetryConfig,
)
from icechunk.config.resolve import resolve, storage_tuning
from icechunk.config.splitting import ManifestSplitCondition, ManifestSplitDimCondition
from icechunk.config.storage import (
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)
from tests.config.configs import repository_configs


def test_defaults() -> None:
    settings = resolve(None)
    assert settings == resolve(RepositoryConfig())
    assert settings.inline_threshold == 512
    assert settings.get_partial_values_concurrency == 10
    assert settings.storage.max_concurrent_requests == 256
    assert settings.max_concurrent_decodes == os.cpu_count()
    assert settings.compression_level == 3
    assert settings.num_updates == 1000
    assert settings.max_concurrent_manifest_fetches_during_commit == 1
    retries = (settings.update_max_tries, settings.update_initial_backoff_ms)
    assert (*retries, settings.update_max_backoff_ms) == (100, 50, 30_000)
    assert (settings.num_snapshot_nodes, settings.num_chunk_refs) == (500_000, 15_000_000)
    assert settings.num_transaction_changes == 0
    preload = settings.preload
    assert (preload.max_total_refs, preload.max_arrays_to_scan) == (10_000, 50)
    assert preload.condition == default_preload_condition()
    assert settings.containers == ()


def test_storage_defaults() -> None:
    tuning = storage_tuning(None)
    assert tuning.max_concurrent_requests_for_object == 18
    assert tuning.ideal_concurrent_request_size == 12_582_912
    assert (tuning.retries.max_tries, tuning.retries.max_backoff_ms) == (10, 180_000)
    assert tuning.use_conditional_create is tuning.use_conditional_update is True
    assert tuning.minimum_size_for_multipart_upload == 104_857_600
    assert tuning.connect_timeout_ms is None


def test_set_fields_take_precedence() -> None:
    rule = (ManifestSplitCondition.AnyArray(), [(ManifestSplitDimCondition.Axis(0), 3)])
    config = RepositoryConfig(
        inline_chunk_threshold_bytes=0,
        compression=CompressionConfig(level=200),
        max_concurrent_requests=3,
        caching=CachingConfig(num_transaction_changes=7),
        manifest=ManifestConfig(
            preload=ManifestPreloadConfig(preload_if=ManifestPreloadCondition.false()),
            splitting=ManifestSplittingConfig([rule]),
        ),
        repo_update_retries=RepoUpdateRetryConfig(StorageRetriesSettings(max_tries=2)),
        storage=StorageSettings(
            concurrency=StorageConcurrencySettings(5, 4096),
            unsafe_use_conditional_update=False,
            storage_class="ALL",
            chunks_storage_class="CHUNKS",
            timeouts=StorageTimeoutSettings(read_timeout_ms=9),
        ),
    )
    settings = resolve(config)
    assert settings.inline_threshold == 0
    assert settings.compression_level == 22, "the highest there is"
    assert (settings.num_transaction_changes, settings.num_chunk_refs) == (7, 15_000_000)
    assert settings.preload.condition == ManifestPreloadCondition.false()
    assert settings.splitting == ((rule[0], tuple(rule[1])),)
    assert (settings.update_max_tries, settings.update_initial_backoff_ms) == (2, 50)
    storage = settings.storage
    assert storage.max_concurrent_requests == 3
    assert (storage.max_concurrent_requests_for_object, storage.read_timeout_ms) == (5, 9)
    assert storage.use_conditional_update is False
    assert (storage.metadata_storage_class, storage.chunks_storage_class) == ("ALL", "CHUNKS")


def test_later_changes_of_the_configuration_have_no_effect() -> None:
    config = RepositoryConfig(caching=CachingConfig(1))
    settings = resolve(config)
    config.caching.num_snapshot_nodes = 2  # type: ignore[union-attr]
    assert settings.num_snapshot_nodes == 1


def test_the_longest_prefix_comes_first() -> None:
    config = RepositoryConfig()
    for prefix in ("s3://a/", "s3://a/b/c/", "s3://a/b/"):
        config.set_virtual_chunk_container(VirtualChunkContainer(prefix, s3_store()))
    prefixes = [container.url_prefix for container in resolve(config).containers]
    assert prefixes == ["s3://a/b/c/", "s3://a/b/", "s3://a/"]


@given(repository_configs)
def test_limits_are_valid_for_every_configuration(config: RepositoryConfig) -> None:
    settings = resolve(config)
    assert settings.storage.max_concurrent_requests >= 1
    assert settings.max_concurrent_decodes >= 1
    assert settings.num_updates >= 1
    assert settings.update_max_tries >= 1
    assert 0 <= settings.compression_level <= 22
