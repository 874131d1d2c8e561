"""Create and open the context of a repository: check arguments, resolve the configuration."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from icechunk.config.fields import expect
from icechunk.config.flags import Attribution
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import resolve
from icechunk.config.serde import from_plain, to_plain
from icechunk.engine.context import RepoContext, make_context
from icechunk.refs.open import create_ref_store, open_with_config
from icechunk.repository.access import authorisation, check_containers
from icechunk.spec.spec_version import SpecVersion
from icechunk.storage.base import Storage


def create(
    storage: Storage,
    config: RepositoryConfig | None,
    authorize_virtual_chunk_access: Mapping[str, Any] | None,
    spec_version: SpecVersion | int | None,
    check_clean_root: bool,
    attribution: Attribution | None,
    virtual_chunk_credentials: Mapping[str, Any] | None,
) -> RepoContext:
    """Create a repository; see `Repository.create`."""
    check_arguments(storage, config, attribution)
    version = version_to_write(spec_version)
    effective = _with_storage_defaults(config, storage)
    settings = resolve(effective)
    access = authorisation(effective, authorize_virtual_chunk_access, virtual_chunk_credentials)
    ref_store = create_ref_store(
        storage,
        settings,
        None if config is None else to_plain(effective),
        spec_version=version,
        check_clean_root=check_clean_root,
    )
    return make_context(storage, effective, settings, ref_store, authorized=access)


def open_existing(
    storage: Storage,
    config: RepositoryConfig | None,
    authorize_virtual_chunk_access: Mapping[str, Any] | None,
    attribution: Attribution | None,
    virtual_chunk_credentials: Mapping[str, Any] | None,
) -> RepoContext:
    """Open an existing repository; see `Repository.open`."""
    check_arguments(storage, config, attribution)
    effective = _with_storage_defaults(config, storage)
    settings = resolve(effective)
    ref_store, plain = open_with_config(storage, settings)
    if plain is not None:
        stored = from_plain(plain)
        stored = stored if config is None else stored.merge(config)
        effective = _with_storage_defaults(stored, storage)
        settings = resolve(effective)
    access = authorisation(effective, authorize_virtual_chunk_access, virtual_chunk_credentials)
    return make_context(storage, effective, settings, ref_store, authorized=access)


def check_storage(storage: object) -> None:
    """Raise `TypeError` for anything but a `Storage`."""
    if not isinstance(storage, Storage):
        raise TypeError(
            f"'{type(storage).__name__}' object is not an instance of 'Storage'; make one with "
            "e.g. `icechunk.local_filesystem_storage(path)`"
        )


def check_arguments(
    storage: object, config: RepositoryConfig | None, attribution: Attribution | None
) -> None:
    """Raise for invalid arguments before the first request to the storage."""
    check_storage(storage)
    if config is not None:
        expect("config", config, RepositoryConfig)
        check_containers(config)
    if attribution is not None:
        expect("attribution", attribution, Attribution)


def version_to_write(given: SpecVersion | int | None) -> int:
    """Format version to write, from an argument of `Repository.create`."""
    try:
        version = 2 if given is None else operator.index(given)
    except TypeError:
        raise ValueError(
            f"Couldn't parse a valid version from {given!r}; give 1, 2 or a member of "
            "`icechunk.SpecVersion`"
        ) from None
    if version not in (1, 2):
        raise ValueError(f"Unsupported version {version}; give 1 or 2")
    return version


def _with_storage_defaults(config: RepositoryConfig | None, storage: Storage) -> RepositoryConfig:
    """Fill in the default storage settings of a storage where the configuration has none."""
    try:
        defaults = RepositoryConfig(storage=storage.default_settings())
    except ValueError as error:
        # A redirect that cannot be followed: the reference raises `ValueError` from
        # `default_settings`, and the cause from `Repository.open`.
        raise error.__cause__ or error from None
    return defaults if config is None else defaults.merge(config)
