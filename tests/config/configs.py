"""Strategies of configurations, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from icechunk.config.containers import ObjectStoreConfig, VirtualChunkContainer
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
from icechunk.config.splitting import ManifestSplitCondition, ManifestSplitDimCondition
from icechunk.config.storage import (
    ChecksumAlgorithm,
    S3Options,
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _unsigned(bits: int, low: int = 0) -> st.SearchStrategy[Any]:
    return _maybe(st.integers(low, 2**bits - 1))


_dicts = _maybe(st.dictionaries(texts.filter(lambda t: t != "headers"), texts, min_size=1))
_flags = _maybe(st.booleans())

s3_options = st.builds(
    S3Options,
    region=_maybe(texts),
    endpoint_url=_maybe(texts),
    allow_http=st.booleans(),
    anonymous=st.booleans(),
    force_path_style=st.booleans(),
    network_stream_timeout_seconds=_unsigned(32),
    requester_pays=st.booleans(),
    checksum_algorithm=_maybe(st.sampled_from(ChecksumAlgorithm)),
)
stores = st.one_of(
    st.builds(ObjectStoreConfig.InMemory),
    st.builds(ObjectStoreConfig.LocalFileSystem, texts.map(lambda t: "/" + t.strip("/"))),
    st.builds(ObjectStoreConfig.S3, s3_options),
    st.builds(ObjectStoreConfig.S3Compatible, s3_options),
    st.builds(ObjectStoreConfig.Tigris, s3_options),
    st.builds(ObjectStoreConfig.Gcs, _dicts),
    st.builds(ObjectStoreConfig.Azure, _dicts),
    st.builds(ObjectStoreConfig.Http, _dicts, _dicts),
)
containers = st.builds(VirtualChunkContainer, texts, stores, _maybe(texts))


def _combined(family: Any, leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(family.or_conditions),
            st.lists(inner, max_size=3).map(family.and_conditions),
        ),
        max_leaves=6,
    )


preload_conditions = _combined(
    ManifestPreloadCondition,
    st.one_of(
        texts.map(ManifestPreloadCondition.path_matches),
        texts.map(ManifestPreloadCondition.name_matches),
        st.builds(ManifestPreloadCondition.num_refs, _unsigned(32), _unsigned(32)),
        st.builds(ManifestPreloadCondition.true),
        st.builds(ManifestPreloadCondition.false),
    ),
)
split_conditions = _combined(
    ManifestSplitCondition,
    st.one_of(
        texts.map(ManifestSplitCondition.path_matches),
        texts.map(ManifestSplitCondition.name_matches),
        st.builds(ManifestSplitCondition.AnyArray),
    ),
)
dim_conditions = st.one_of(
    st.integers(0, 9).map(ManifestSplitDimCondition.Axis),
    texts.map(ManifestSplitDimCondition.DimensionName),
    st.builds(ManifestSplitDimCondition.Any),
)
split_sizes = st.lists(
    st.tuples(
        split_conditions,
        st.lists(st.tuples(dim_conditions, st.integers(1, 2**32 - 1)), max_size=3),
    ),
    max_size=3,
)
retries = st.builds(StorageRetriesSettings, _unsigned(16, 1), _unsigned(32), _unsigned(32))
storage_settings = st.builds(
    StorageSettings,
    concurrency=_maybe(st.builds(StorageConcurrencySettings, _unsigned(16, 1), _unsigned(64, 1))),
    retries=_maybe(retries),
    unsafe_use_conditional_create=_flags,
    unsafe_use_conditional_update=_flags,
    unsafe_use_metadata=_flags,
    storage_class=_maybe(texts),
    metadata_storage_class=_maybe(texts),
    chunks_storage_class=_maybe(texts),
    minimum_size_for_multipart_upload=_unsigned(64),
    timeouts=_maybe(st.builds(StorageTimeoutSettings, *[_unsigned(32)] * 4)),
)
manifest_configs = st.builds(
    ManifestConfig,
    preload=_maybe(
        st.builds(ManifestPreloadConfig, _unsigned(32), _maybe(preload_conditions), _unsigned(32))
    ),
    splitting=_maybe(st.builds(ManifestSplittingConfig, _maybe(split_sizes))),
    virtual_chunk_location_compression=_maybe(
        st.builds(
            ManifestVirtualChunkLocationCompressionConfig,
            _unsigned(16),
            dictionary_max_training_samples=_unsigned(16),
            dictionary_max_size_bytes=_unsigned(32),
            compression_level=_maybe(st.integers(-(2**31), 2**31 - 1)),
        )
    ),
    max_concurrent_manifest_fetches_during_commit=_unsigned(16),
)
repository_configs = st.builds(
    RepositoryConfig,
    inline_chunk_threshold_bytes=_unsigned(16),
    get_partial_values_concurrency=_unsigned(16),
    compression=_maybe(
        st.builds(CompressionConfig, _maybe(st.just(CompressionAlgorithm.Zstd)), _unsigned(8))
    ),
    max_concurrent_requests=_unsigned(16),
    caching=_maybe(st.builds(CachingConfig, *[_unsigned(64)] * 5)),
    storage=_maybe(storage_settings),
    virtual_chunk_containers=_maybe(st.dictionaries(texts, containers, max_size=3)),
    manifest=_maybe(manifest_configs),
    repo_update_retries=_maybe(st.builds(RepoUpdateRetryConfig, _maybe(retries))),
    num_updates_per_repo_info_file=_unsigned(16),
    max_concurrent_decodes=_unsigned(16),
)
