"""The configuration of a repository."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import EnumMeta, IntEnum
from typing import Any, overload

from icechunk.config.containers import VirtualChunkContainer, validate_container
from icechunk.config.fields import converted, expect, instance_of, unsigned
from icechunk.config.manifests import ManifestConfig
from icechunk.config.rendering import Entry
from icechunk.config.storage import StorageRetriesSettings, StorageSettings
from icechunk.config.values import Value, copied, merged, older_name, value_class


class _OneMember(EnumMeta):
    """Lets an enumeration be called without a value."""

    def __call__(cls, value: Any = 0, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(value, *args, **kwargs)


class CompressionAlgorithm(IntEnum, metaclass=_OneMember):
    """How metadata files are compressed."""

    Zstd = 0

    @staticmethod
    def default() -> CompressionAlgorithm:
        """Return `Zstd`."""
        return CompressionAlgorithm.Zstd

    def __repr__(self) -> str:
        return f"CompressionAlgorithm.{self.name}"

    __str__ = __repr__


@value_class("icechunk.config.CompressionConfig")
class CompressionConfig(Value):
    """How metadata files are compressed.

    Parameters
    ----------
    algorithm : CompressionAlgorithm, optional
        Accepted for compatibility, without effect: only Zstandard exists.
    level : int, optional
        Compression level (u8; 3 when unset).
    """

    algorithm: CompressionAlgorithm | None = instance_of(
        CompressionAlgorithm, default=None, in_force=CompressionAlgorithm.Zstd
    )
    level: int | None = unsigned(8, default=None, in_force=3)

    @staticmethod
    def default() -> CompressionConfig:
        """Return a configuration with nothing set."""
        return CompressionConfig()


_OLDER_NAMES = {
    "snapshots_cache_size": "num_snapshot_nodes",
    "manifests_cache_size": "num_chunk_refs",
    "transactions_cache_size": "num_transaction_changes",
    "attributes_cache_size": "num_bytes_attributes",
    "chunks_cache_size": "num_bytes_chunks",
}
"""Fields of `CachingConfig` by the names that versions before 1.0 gave them."""


@value_class("icechunk.config.CachingConfig")
class CachingConfig(Value):
    """Capacities of the in-memory caches.

    Parameters
    ----------
    num_snapshot_nodes : int, optional
        Groups and arrays of snapshots (u64; 500 000 when unset).
    num_chunk_refs : int, optional
        Chunk references of manifests (u64; 15 000 000 when unset).
    num_transaction_changes : int, optional
        Entries of transaction logs (u64; 0 when unset).
    num_bytes_attributes : int, optional
        Accepted for compatibility, without effect: attributes are in snapshots (u64; 0 when unset).
    num_bytes_chunks : int, optional
        Accepted for compatibility, without effect: chunks are not cached (u64; 0 when unset).

    Notes
    -----
    The names of older versions, `snapshots_cache_size`, `manifests_cache_size`,
    `transactions_cache_size`, `attributes_cache_size` and `chunks_cache_size`, still work.
    """

    num_snapshot_nodes: int | None = unsigned(64, default=None, in_force=500_000)
    num_chunk_refs: int | None = unsigned(64, default=None, in_force=15_000_000)
    num_transaction_changes: int | None = unsigned(64, default=None, in_force=0)
    num_bytes_attributes: int | None = unsigned(64, default=None, in_force=0)
    num_bytes_chunks: int | None = unsigned(64, default=None, in_force=0)

    @overload
    def __init__(
        self,
        num_snapshot_nodes: int | None = None,
        num_chunk_refs: int | None = None,
        num_transaction_changes: int | None = None,
        num_bytes_attributes: int | None = None,
        num_bytes_chunks: int | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        snapshots_cache_size: int | None = None,
        manifests_cache_size: int | None = None,
        transactions_cache_size: int | None = None,
        attributes_cache_size: int | None = None,
        chunks_cache_size: int | None = None,
    ) -> None: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._fill(*args, **{_OLDER_NAMES.get(name, name): kwargs[name] for name in kwargs})

    @staticmethod
    def default() -> CachingConfig:
        """Return a configuration with nothing set."""
        return CachingConfig()


for _older, _name in _OLDER_NAMES.items():
    setattr(CachingConfig, _older, older_name(_name))


def _default_update_retries() -> StorageRetriesSettings:
    return StorageRetriesSettings(max_tries=100, initial_backoff_ms=50, max_backoff_ms=30_000)


@value_class("icechunk.config.RepoUpdateRetryConfig")
class RepoUpdateRetryConfig(Value):
    """How often an update of branches, tags or other state of the repository is retried.

    Parameters
    ----------
    default : StorageRetriesSettings, optional
        Attempts and waits (100 attempts, 50 ms to 30 s when unset).
    """

    default: StorageRetriesSettings | None = instance_of(
        StorageRetriesSettings, default=None, in_force=_default_update_retries
    )


class ContainersByPrefix(dict[str, VirtualChunkContainer]):
    """Virtual chunk containers by URL prefix; lookups also find them by name."""

    def __missing__(self, key: str) -> VirtualChunkContainer:
        for container in self.values():
            if key is not None and key in (container.name, container.url_prefix):
                return container
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the container with a prefix or name, or the default."""
        try:
            return self[key]
        except KeyError:
            return default


def _containers(name: str, given: Any) -> dict[str, VirtualChunkContainer]:
    expect(name, given, Mapping)
    for key, container in given.items():
        expect(name, key, str)
        expect(name, container, VirtualChunkContainer)
    return copied(dict(given))  # type: ignore[no-any-return]


def _containers_out(kept: dict[str, VirtualChunkContainer] | None) -> ContainersByPrefix | None:
    return None if kept is None else ContainersByPrefix(copied(kept))


def _processors() -> int:
    return os.cpu_count() or 1


OWN_FIELDS = ("skip_unchanged_chunks", "pack_chunks", "share_manifests")
"""Fields of this library only: written only if set, ignored by other readers of the format."""


@value_class("icechunk.config.RepositoryConfig")
class RepositoryConfig(Value):
    """Configuration of a repository; None means the library's default.

    Parameters
    ----------
    inline_chunk_threshold_bytes : int, optional
        Chunks of at most this many bytes are stored in the manifest (u16; 512 when unset).
    get_partial_values_concurrency : int, optional
        Parallel reads of one `IcechunkStore.get_partial_values` (u16; 10 when unset).
    compression : CompressionConfig, optional
        Compression of metadata files.
    max_concurrent_requests : int, optional
        Concurrent requests of one handle in one process to an object store or fsspec file system
        (u16; 256 when unset). Listings and the parts of a large upload are not counted.
    caching : CachingConfig, optional
        Capacities of the caches.
    storage : StorageSettings, optional
        Tuning of the storage back end; its own defaults when unset.
    virtual_chunk_containers : dict, optional
        URL prefix to `VirtualChunkContainer`.
    manifest : ManifestConfig, optional
        How manifests are preloaded, split and compressed.
    repo_update_retries : RepoUpdateRetryConfig, optional
        Retries of updates of branches, tags and other state of the repository.
    num_updates_per_repo_info_file : int, optional
        Entries of the operations log kept in the repository's object (u16; 1000 when unset).
    max_concurrent_decodes : int, optional
        Snapshots, manifests and transaction logs decoded at the same time (u16; the number of
        processors when unset). A lower number takes less memory.
    skip_unchanged_chunks : bool, optional
        Do not record a change when a chunk is written with the bytes that it has in the session's
        base snapshot, or when a chunk is deleted that the base does not have (off when unset). A
        write of equal length then reads the chunk first. Chunks with a virtual reference in the
        base are always written. Only this library has this field: others drop it when they save
        the configuration.
    pack_chunks : bool, optional
        Append chunks to objects with many chunks, if the storage supports appending (on when
        unset). When off, every chunk above the inline threshold becomes an object of its own, as
        tools that count or serve objects expect. Existing chunks are not rewritten. Only this
        library has this field: others drop it when they save the configuration.
    share_manifests : bool, optional
        Keep the references of several small arrays in one manifest file (on when unset). When off,
        an array gets manifests of its own with the next commit that changes it, or with
        `Repository.rewrite_manifests`. Only this library has this field: others drop it when they
        save the configuration.
    """

    _shown_ = (
        "inline_chunk_threshold_bytes",
        "get_partial_values_concurrency",
        "max_concurrent_requests",
        "max_concurrent_decodes",
        "num_updates_per_repo_info_file",
        "compression",
        "caching",
        "storage",
        "manifest",
        "repo_update_retries",
        "virtual_chunk_containers",
    )

    inline_chunk_threshold_bytes: int | None = unsigned(16, default=None, in_force=512)
    get_partial_values_concurrency: int | None = unsigned(16, default=None, in_force=10)
    compression: CompressionConfig | None = instance_of(
        CompressionConfig, default=None, in_force=CompressionConfig
    )
    max_concurrent_requests: int | None = unsigned(16, default=None, in_force=256)
    caching: CachingConfig | None = instance_of(CachingConfig, default=None, in_force=CachingConfig)
    storage: StorageSettings | None = instance_of(StorageSettings, default=None)
    virtual_chunk_containers: dict[str, VirtualChunkContainer] | None = converted(
        _containers, default=None, expose=_containers_out
    )
    manifest: ManifestConfig | None = instance_of(
        ManifestConfig, default=None, in_force=ManifestConfig
    )
    repo_update_retries: RepoUpdateRetryConfig | None = instance_of(
        RepoUpdateRetryConfig, default=None, in_force=RepoUpdateRetryConfig
    )
    num_updates_per_repo_info_file: int | None = unsigned(16, default=None, in_force=1000)
    max_concurrent_decodes: int | None = unsigned(16, default=None, in_force=_processors)
    skip_unchanged_chunks: bool | None = instance_of(
        bool, default=None, in_force=False, kw_only=True
    )
    pack_chunks: bool | None = instance_of(bool, default=None, in_force=True, kw_only=True)
    share_manifests: bool | None = instance_of(bool, default=None, in_force=True, kw_only=True)
    _previous_file: str | None = field(default=None, init=False)

    def _entries(self) -> Iterable[Entry]:
        """Show the fields of this library only if they are set."""
        own = (Entry(name, getattr(self, name)) for name in OWN_FIELDS)
        return [*Value._entries(self), *(entry for entry in own if entry.value is not None)]

    @staticmethod
    def default() -> RepositoryConfig:
        """Return a configuration with nothing set."""
        return RepositoryConfig()

    @property
    def previous_file(self) -> str | None:
        """Name of the stored configuration that this one replaced, or None."""
        return self._previous_file

    @property
    def unsafe_overwrite_refs(self) -> bool:
        """Older name for switching conditional updates of the storage off; deprecated."""
        return self.storage is not None and self.storage.unsafe_use_conditional_update is False

    @unsafe_overwrite_refs.setter
    def unsafe_overwrite_refs(self, overwrite: bool) -> None:
        warnings.warn(
            "unsafe_overwrite_refs is deprecated; "
            "set config.storage.unsafe_use_conditional_update = False instead",
            DeprecationWarning,
            stacklevel=3,
        )
        expect("unsafe_overwrite_refs", overwrite, bool)
        if self.storage is None:
            self.storage = StorageSettings()
        self.storage.unsafe_use_conditional_update = not overwrite

    def _kept_containers(self) -> dict[str, VirtualChunkContainer] | None:
        return self._kept("virtual_chunk_containers")  # type: ignore[no-any-return]

    def get_virtual_chunk_container(self, name: str) -> VirtualChunkContainer | None:
        """Look up a virtual chunk container.

        Parameters
        ----------
        name : str
            URL prefix, or the container's name.

        Returns
        -------
        VirtualChunkContainer or None
            A copy.
        """
        return copied(ContainersByPrefix(self._kept_containers() or {}).get(name))  # type: ignore[no-any-return]

    def set_virtual_chunk_container(self, cont: VirtualChunkContainer) -> None:
        """Add a virtual chunk container, or replace the one with the same URL prefix.

        Parameters
        ----------
        cont : VirtualChunkContainer
            It is copied.

        Raises
        ------
        ValueError
            When the container cannot work, see `validate_container`.
        """
        expect("cont", cont, VirtualChunkContainer)
        validate_container(cont)
        kept = {**(self._kept_containers() or {}), cont.url_prefix: cont}
        self.virtual_chunk_containers = kept

    def clear_virtual_chunk_containers(self) -> None:
        """Remove all virtual chunk containers; saving the configuration removes the stored ones."""
        self.virtual_chunk_containers = {}

    def merge(self, other: RepositoryConfig) -> RepositoryConfig:
        """Lay another configuration over this one.

        Parameters
        ----------
        other : RepositoryConfig
            Its set fields take precedence. Nested configurations are merged field by field, except
            preloading, splitting and the virtual chunk containers, which are replaced whole.

        Returns
        -------
        RepositoryConfig
            A new configuration; neither argument is changed.
        """
        expect("other", other, RepositoryConfig)
        return merged(self, other)
