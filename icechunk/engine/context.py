"""The shared state of one repository handle: storage, files, refs and settings."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import Retries, Settings, resolve
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.base import RefStore
from icechunk.refs.open import ref_store_of
from icechunk.spec.dialect import dialect_for
from icechunk.storage.base import Storage
from icechunk.virtual_chunks.access import VirtualChunks

_NETWORK_RETRIES = Retries(max_tries=5, initial_backoff_ms=100, max_backoff_ms=10_000)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RepoContext:
    """State that all sessions of one repository handle share.

    Attributes
    ----------
    config : RepositoryConfig
        Effective configuration of the handle (stored one overlaid by the caller's).
    settings : Settings
        The same with every default filled in.
    default_metadata : dict
        Merged under the metadata of every commit made through this handle.
    authorized : dict
        Credentials of the virtual chunk containers that may be read, by URL prefix.
    virtual : VirtualChunks
        Reads virtual chunks.
    token : str
        Identifies this handle in pickles: its copies in one process share one object.
    """

    storage: Storage
    config: RepositoryConfig
    settings: Settings
    files: RepositoryFiles
    ref_store: RefStore
    default_metadata: dict[str, Any] = field(default_factory=dict)
    authorized: dict[str, Any] = field(default_factory=dict)
    virtual: VirtualChunks = field(init=False, repr=False, compare=False)
    token: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = self.settings
        tuning = settings.storage
        if self.storage.blocking_ok and tuning.retries.max_tries == 1:
            # Local storage does not retry; requests for virtual chunks may have to.
            tuning = tuning._replace(retries=_NETWORK_RETRIES)
        virtual = VirtualChunks(settings.containers, self.authorized, tuning)
        object.__setattr__(self, "virtual", virtual)
        object.__setattr__(self, "token", os.urandom(16).hex())

    def __reduce__(self) -> tuple[Any, ...]:
        return unpickle, (
            self.token,
            self.storage,
            self.config,
            self.ref_store.spec_version,
            self.default_metadata,
            self.authorized,
        )

    @property
    def container_prefixes(self) -> dict[str, str]:
        """URL prefixes of the named virtual chunk containers, by name."""
        return {one.name: one.url_prefix for one in self.settings.containers if one.name}

    def with_metadata(self, metadata: dict[str, Any]) -> RepoContext:
        """The same handle with other default commit metadata."""
        return replace(self, default_metadata=metadata)


def make_context(
    storage: Storage,
    config: RepositoryConfig,
    settings: Settings,
    ref_store: RefStore,
    *,
    default_metadata: dict[str, Any] | None = None,
    authorized: dict[str, Any] | None = None,
) -> RepoContext:
    """Assemble a handle from its refs and its effective configuration, resolved to `settings`."""
    storage = storage.tuned(settings.storage)
    files = RepositoryFiles(storage, settings, dialect_for(ref_store.spec_version))
    ref_store = ref_store.under(files, settings)
    return RepoContext(
        storage, config, settings, files, ref_store, default_metadata or {}, authorized or {}
    )


_unpickled: WeakValueDictionary[tuple[str, Settings], RepositoryFiles] = WeakValueDictionary()
_copies: WeakValueDictionary[str, RepoContext] = WeakValueDictionary()

_latest: deque[RepoContext] = deque(maxlen=2)
"""Stay when their last session goes: a worker's next task mostly reads the same repository, and
writes to one other."""


def unpickle(
    token: str,
    storage: Storage,
    config: RepositoryConfig,
    spec_version: int,
    default_metadata: dict[str, Any],
    authorized: dict[str, Any],
) -> RepoContext:
    """Restore a handle in this process, without I/O.

    Copies of one handle share one object; handles on the same storage share one cache.
    """
    known = _copies.get(token)
    if known is not None:
        return known
    settings = resolve(config)
    ctx = make_context(
        storage,
        config,
        settings,
        ref_store_of(spec_version, storage, settings),
        default_metadata=default_metadata,
        authorized=authorized,
    )
    # Containers are mutable, so they count by their text; everything else is hashable.
    place = f"{spec_version} {storage.identity} {settings.containers!r}"
    recipe = place, settings._replace(containers=())
    shared = _unpickled.setdefault(recipe, ctx.files)
    ref_store = ctx.ref_store.under(shared, ctx.settings)
    copy = replace(ctx, files=shared, storage=shared.storage, ref_store=ref_store)
    object.__setattr__(copy, "token", token)
    _latest.append(copy)
    return _copies.setdefault(token, copy)
