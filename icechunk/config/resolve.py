"""Settings in force: a configuration with every default filled in."""

from __future__ import annotations

from typing import Any, NamedTuple

from icechunk.config.containers import VirtualChunkContainer
from icechunk.config.manifests import SplitRules
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.repository import OWN_FIELDS, RepositoryConfig
from icechunk.config.storage import StorageSettings
from icechunk.config.values import Value, copied, merged

WITHOUT_EFFECT = {
    # Attributes are part of snapshots; this library does not keep chunks in memory.
    "CachingConfig": ("num_bytes_attributes", "num_bytes_chunks"),
    # Locations are written as shared plain strings: smaller, and faster to open.
    "ManifestVirtualChunkLocationCompressionConfig": (
        "min_num_chunks",
        "dictionary_max_training_samples",
        "dictionary_max_size_bytes",
        "compression_level",
    ),
    # Zstandard is the only one of the format.
    "CompressionConfig": ("algorithm",),
}
"""Fields accepted for compatibility, stored and shown, that change nothing; by class."""

_MAX_ZSTD_LEVEL = 22
_REQUESTS = 256


class Retries(NamedTuple):
    """How often an operation is attempted, and how long to wait between attempts.

    Attributes
    ----------
    max_tries : int
        Attempts in all, at least 1.
    initial_backoff_ms, max_backoff_ms : int
        First and longest wait, in milliseconds.
    """

    max_tries: int
    initial_backoff_ms: int
    max_backoff_ms: int


class Preload(NamedTuple):
    """Which manifests are loaded when a session opens."""

    max_total_refs: int
    condition: ManifestPreloadCondition
    max_arrays_to_scan: int


class StorageTuning(NamedTuple):
    """Tuning of the storage back end; None leaves a value to the client."""

    max_concurrent_requests: int
    max_concurrent_requests_for_object: int
    ideal_concurrent_request_size: int
    retries: Retries
    use_conditional_create: bool
    use_conditional_update: bool
    use_metadata: bool
    metadata_storage_class: str | None
    chunks_storage_class: str | None
    minimum_size_for_multipart_upload: int
    connect_timeout_ms: int | None
    read_timeout_ms: int | None
    operation_timeout_ms: int | None
    operation_attempt_timeout_ms: int | None


class Settings(NamedTuple):
    """The configuration in force.

    Attributes
    ----------
    inline_threshold : int
        Chunks of at most this many bytes are stored in the manifest; 0 means none are.
    get_partial_values_concurrency, max_concurrent_decodes : int
        Limits of parallel work, at least 1.
    compression_level : int
        Zstandard level of metadata files.
    num_updates : int
        Entries of the operations log kept in the repository's object, at least 1.
    max_concurrent_manifest_fetches_during_commit : int
        Manifests updated in parallel by a commit, at least 1.
    update_max_tries, update_initial_backoff_ms, update_max_backoff_ms : int
        Retries of updates of branches, tags and other state; waits in milliseconds.
    num_snapshot_nodes, num_chunk_refs, num_transaction_changes : int
        Capacities of the metadata caches, in items.
    preload : Preload
        Which manifests are preloaded.
    splitting : tuple of (ManifestSplitCondition, tuple of (ManifestSplitDimCondition, int))
        How references are split into manifests, for `icechunk.spec.manifest.splits.split_edges`.
    storage : StorageTuning
        Tuning of the storage back end.
    containers : tuple of VirtualChunkContainer
        Longest URL prefix first.
    skip_unchanged_chunks : bool
        Whether writing the bytes that the base snapshot has is not recorded as a change.
    pack_chunks : bool
        Whether chunks are appended to objects with many chunks.
    share_manifests : bool
        Whether small arrays share manifest files.
    """

    inline_threshold: int
    get_partial_values_concurrency: int
    max_concurrent_decodes: int
    compression_level: int
    num_updates: int
    max_concurrent_manifest_fetches_during_commit: int
    update_max_tries: int
    update_initial_backoff_ms: int
    update_max_backoff_ms: int
    num_snapshot_nodes: int
    num_chunk_refs: int
    num_transaction_changes: int
    preload: Preload
    splitting: SplitRules
    storage: StorageTuning
    containers: tuple[VirtualChunkContainer, ...] = ()
    skip_unchanged_chunks: bool = False
    pack_chunks: bool = True
    share_manifests: bool = True


def effective(value: Value, name: str) -> Any:
    """Return what is in force for a field: what was set, or the default behind None.

    Defaults are shared: callers must not change them.
    """
    held = value._slots_[name].__get__(value)
    return value._rules_[name].in_force() if held is None else held


def _all_effective(value: Value) -> dict[str, Any]:
    """Return what is in force for the fields that have an effect."""
    unused = WITHOUT_EFFECT.get(type(value).__name__, ())
    return {name: effective(value, name) for name in value._rules_ if name not in unused}


def storage_tuning(
    settings: StorageSettings | None, max_concurrent_requests: int = _REQUESTS
) -> StorageTuning:
    """Return the storage settings in force.

    Parameters
    ----------
    settings : StorageSettings or None
        The back end's defaults with the user's settings merged over them.
    max_concurrent_requests : int
        That of the repository's configuration.

    Returns
    -------
    StorageTuning
        With every default filled in.
    """
    settings = StorageSettings() if settings is None else settings
    timeouts = settings.timeouts
    return StorageTuning(
        max_concurrent_requests=max(1, max_concurrent_requests),
        **_all_effective(effective(settings, "concurrency")),
        retries=Retries(**_all_effective(effective(settings, "retries"))),
        use_conditional_create=effective(settings, "unsafe_use_conditional_create"),
        use_conditional_update=effective(settings, "unsafe_use_conditional_update"),
        use_metadata=effective(settings, "unsafe_use_metadata"),
        metadata_storage_class=settings.metadata_storage_class or settings.storage_class,
        chunks_storage_class=settings.chunks_storage_class or settings.storage_class,
        minimum_size_for_multipart_upload=effective(settings, "minimum_size_for_multipart_upload"),
        connect_timeout_ms=timeouts.connect_timeout_ms if timeouts else None,
        read_timeout_ms=timeouts.read_timeout_ms if timeouts else None,
        operation_timeout_ms=timeouts.operation_timeout_ms if timeouts else None,
        operation_attempt_timeout_ms=timeouts.operation_attempt_timeout_ms if timeouts else None,
    )


def _update_retries(config: RepositoryConfig) -> Retries:
    retries = effective(config, "repo_update_retries")
    default = retries._rules_["default"].in_force()
    set_to = default if retries.default is None else merged(default, retries.default)
    return Retries(**_all_effective(set_to))


def resolve(config: RepositoryConfig | None) -> Settings:
    """Return the settings in force for a configuration.

    Parameters
    ----------
    config : RepositoryConfig or None
        None means a configuration with nothing set.

    Returns
    -------
    Settings
        Independent of later changes to `config`.
    """
    config = RepositoryConfig() if config is None else config
    manifest = effective(config, "manifest")
    splitting = effective(manifest, "splitting")
    preload = effective(manifest, "preload")
    compression = effective(config, "compression")
    retries = _update_retries(config)
    containers: list[VirtualChunkContainer] = list(copied(config._kept_containers() or {}).values())
    return Settings(
        inline_threshold=effective(config, "inline_chunk_threshold_bytes"),
        get_partial_values_concurrency=max(1, effective(config, "get_partial_values_concurrency")),
        max_concurrent_decodes=max(1, effective(config, "max_concurrent_decodes")),
        compression_level=min(effective(compression, "level"), _MAX_ZSTD_LEVEL),
        num_updates=max(1, effective(config, "num_updates_per_repo_info_file")),
        max_concurrent_manifest_fetches_during_commit=max(
            1, effective(manifest, "max_concurrent_manifest_fetches_during_commit")
        ),
        update_max_tries=retries.max_tries,
        update_initial_backoff_ms=retries.initial_backoff_ms,
        update_max_backoff_ms=retries.max_backoff_ms,
        **_all_effective(effective(config, "caching")),
        preload=Preload(
            max_total_refs=effective(preload, "max_total_refs"),
            condition=effective(preload, "preload_if"),
            max_arrays_to_scan=effective(preload, "max_arrays_to_scan"),
        ),
        splitting=effective(splitting, "split_sizes"),
        storage=storage_tuning(config.storage, effective(config, "max_concurrent_requests")),
        containers=tuple(sorted(containers, key=lambda c: len(c.url_prefix), reverse=True)),
        **{name: effective(config, name) for name in OWN_FIELDS},
    )
