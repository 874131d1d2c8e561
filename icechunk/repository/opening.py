"""Make and open repositories."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from icechunk.config.fields import expect
from icechunk.config.flags import Attribution
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import resolve
from icechunk.config.serde import from_plain, to_plain
from icechunk.core.runtime import on_front, twin
from icechunk.engine.context import RepoContext, make_context
from icechunk.refs.open import create_ref_store, detect, open_ref_store, open_with_config
from icechunk.repository.access import authorisation, check_containers
from icechunk.repository.unanswered import Unanswered
from icechunk.spec.spec_version import SpecVersion
from icechunk.storage.base import Storage

if TYPE_CHECKING:
    from typing import Self


class Opening:
    """How a handle comes to be; the handle's context, and what it is stored with."""

    def __init__(self, repository: RepoContext, attribution: Attribution | None = None) -> None:
        self._ctx = repository
        self._attribution = attribution
        self._unanswered = Unanswered()

    @property
    def _repository(self) -> Self:
        return self

    # -- making and opening ----------------------------------------------------------------------

    if not TYPE_CHECKING:

        @classmethod
        @overload  # what tools that read signatures may know from early versions
        def create(cls, storage, config=None, virtual_chunk_credentials=None): ...

    @classmethod
    def create(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        spec_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a repository in an empty place.

        Parameters
        ----------
        storage : Storage
            Where, e.g. ``icechunk.local_filesystem_storage(path)``.
        config : RepositoryConfig, optional
            Stored with the repository.
        authorize_virtual_chunk_access : dict, optional
            Credentials by URL prefix of the virtual chunk containers that may be read.
        spec_version : int, optional
            Format to write, 2 by default; 1 for repositories that icechunk 1.x shall use too.
        check_clean_root : bool
            Refuse a place that holds anything.
        attribution : Attribution, optional
            Labels for access logs of object stores.
        virtual_chunk_credentials : mapping, optional
            Older form of `authorize_virtual_chunk_access`, by name of the container.

        Raises
        ------
        InvalidInputError
            Kind ``parent-directory-not-clean``.
        ConflictError
            Kind ``repo-info-updated`` when somebody else made a repository here first.
        """
        _check_arguments(storage, config, attribution)
        version = _version(spec_version)
        effective = _with_storage_defaults(config, storage)
        access = authorisation(effective, authorize_virtual_chunk_access, virtual_chunk_credentials)
        ref_store = create_ref_store(
            storage,
            resolve(effective),
            None if config is None else to_plain(effective),
            spec_version=version,
            check_clean_root=check_clean_root,
        )
        ctx = make_context(storage, effective, ref_store, authorized=access)
        return cls(ctx, attribution)

    if not TYPE_CHECKING:

        @classmethod
        @overload  # what tools that read signatures may know from early versions
        def open(cls, storage, config=None, virtual_chunk_credentials=None): ...

    @classmethod
    def open(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open an existing repository.

        Parameters
        ----------
        storage : Storage
            Where it is.
        config : RepositoryConfig, optional
            Laid over the stored configuration, field by field; for this handle only.
        authorize_virtual_chunk_access : dict, optional
            Credentials by URL prefix of the virtual chunk containers that may be read.
        attribution : Attribution, optional
            Labels for access logs of object stores.
        virtual_chunk_credentials : mapping, optional
            Older form of `authorize_virtual_chunk_access`, by name of the container.

        Raises
        ------
        RepositoryNotFoundError
            When there is none.
        FormatError
            When its files are damaged or of an unknown version.

        Notes
        -----
        A repository of somebody you do not trust can cost memory: a file of a few kilobytes may
        unfold to 2 GiB, the most that the format allows. The environment variable
        ``ICECHUNK_MAX_METADATA_BYTES`` sets a lower limit for the content of one metadata file;
        larger ones are refused. Decoding takes up to 25 times that limit for hierarchies, about
        twice for everything else.
        """
        _check_arguments(storage, config, attribution)
        given = RepositoryConfig() if config is None else config
        ref_store, plain = open_with_config(storage, resolve(given))
        stored = RepositoryConfig() if plain is None else from_plain(plain)
        effective = _with_storage_defaults(stored.merge(given), storage)
        access = authorisation(effective, authorize_virtual_chunk_access, virtual_chunk_credentials)
        ctx = make_context(storage, effective, ref_store, authorized=access)
        return cls(ctx, attribution)

    if not TYPE_CHECKING:

        @classmethod
        @overload  # what tools that read signatures may know from early versions
        def open_or_create(cls, storage, config=None, virtual_chunk_credentials=None): ...

    @classmethod
    def open_or_create(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        create_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open the repository in a storage, or make one where there is none."""
        _check_arguments(storage, config, attribution)
        _version(create_version)
        if detect(storage) is not None:
            return cls.open(
                storage,
                config,
                authorize_virtual_chunk_access,
                attribution,
                virtual_chunk_credentials=virtual_chunk_credentials,
            )
        return cls.create(
            storage,
            config,
            authorize_virtual_chunk_access,
            create_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    @staticmethod
    def exists(storage: Storage, storage_settings: Any = None) -> bool:
        """Whether a storage holds a repository."""
        _check_storage(storage)
        return detect(storage) is not None

    @staticmethod
    def fetch_spec_version(storage: Storage, storage_settings: Any = None) -> SpecVersion | None:
        """Format version of the repository in a storage, None when there is none."""
        _check_storage(storage)
        version = detect(storage)
        return None if version is None else SpecVersion(version)

    @staticmethod
    def fetch_config(storage: Storage) -> RepositoryConfig | None:
        """Stored configuration, None when none was ever saved.

        Raises
        ------
        RepositoryNotFoundError
            When there is no repository.
        """
        _check_storage(storage)
        plain = open_ref_store(storage, resolve(None)).config()
        return None if plain is None else from_plain(plain)

    def save_config(self) -> None:
        """Store this handle's configuration with the repository."""
        self._ctx.ref_store.save_config(to_plain(self._ctx.config))

    def reopen(
        self,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
    ) -> Self:
        """Another handle on the same storage, with other settings."""
        again = type(self).open(
            self._ctx.storage, config, authorize_virtual_chunk_access, self._attribution
        )
        if authorize_virtual_chunk_access is None:
            again._ctx = replace(again._ctx, authorized=self._ctx.authorized)
        return again

    @staticmethod
    async def exists_async(storage: Storage, storage_settings: Any = None) -> bool:
        """Whether a storage holds a repository."""
        return await on_front(Opening.exists, storage, storage_settings)

    @staticmethod
    async def fetch_spec_version_async(
        storage: Storage, storage_settings: Any = None
    ) -> SpecVersion | None:
        """Format version of the repository in a storage, None when there is none."""
        return await on_front(Opening.fetch_spec_version, storage, storage_settings)

    @staticmethod
    async def fetch_config_async(storage: Storage) -> RepositoryConfig | None:
        """Stored configuration, None when none was ever saved."""
        return await on_front(Opening.fetch_config, storage)

    @classmethod
    async def create_async(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        spec_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a repository in an empty place; see `create`."""
        return await on_front(
            cls.create,
            storage,
            config,
            authorize_virtual_chunk_access,
            spec_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    @classmethod
    async def open_async(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open an existing repository; see `open`."""
        return await on_front(
            cls.open,
            storage,
            config,
            authorize_virtual_chunk_access,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    @classmethod
    async def open_or_create_async(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        create_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open the repository in a storage, or make one where there is none."""
        return await on_front(
            cls.open_or_create,
            storage,
            config,
            authorize_virtual_chunk_access,
            create_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    reopen_async = twin(reopen)
    save_config_async = twin(save_config)


def _check_storage(storage: object) -> None:
    if not isinstance(storage, Storage):
        raise TypeError(
            f"'{type(storage).__name__}' object is not an instance of 'Storage'; make one with "
            "e.g. `icechunk.local_filesystem_storage(path)`"
        )


def _check_arguments(
    storage: object, config: RepositoryConfig | None, attribution: Attribution | None
) -> None:
    """Refuse what no handle can be made of, before anything is asked of the storage."""
    _check_storage(storage)
    if config is not None:
        expect("config", config, RepositoryConfig)
        check_containers(config)
    if attribution is not None:
        expect("attribution", attribution, Attribution)


def _version(given: SpecVersion | int | None) -> int:
    """Format version to write."""
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
    """A configuration whose storage part says what this storage does by default."""
    given = RepositoryConfig() if config is None else config
    defaults = RepositoryConfig(storage=storage.default_settings())
    return defaults.merge(given)
