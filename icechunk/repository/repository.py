"""`Repository`: create and open repositories, and check out sessions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from icechunk.config.flags import Attribution
from icechunk.config.rendering import Entry, Shown
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import resolve
from icechunk.config.serde import from_plain, to_plain
from icechunk.conflicts.model import ConflictSolver
from icechunk.engine.context import RepoContext, make_context
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.format.metadata import json_object
from icechunk.ground.runtime import class_twin, on_front, twin
from icechunk.ledger.capabilities import Capability
from icechunk.ledger.open import create_ledger, detect, open_ledger
from icechunk.model.spec_version import SpecVersion
from icechunk.repository.access import authorisation, check_containers
from icechunk.repository.admin import Administration
from icechunk.repository.history import SELECTORS, History
from icechunk.repository.refs import Refs
from icechunk.repository.upkeep import Upkeep
from icechunk.session import Session
from icechunk.storage.base import Storage
from icechunk.store.zarr_store import IcechunkStore


class Repository(Refs, History, Administration, Upkeep, Shown):
    """Handle on one repository in one storage.

    Made by `create`, `open` or `open_or_create`; holds no state that could grow stale, so it can be
    kept, shared between threads and pickled.
    """

    __module__ = "icechunk"

    def __init__(self, repository: RepoContext, attribution: Attribution | None = None) -> None:
        self._ctx = repository
        self._attribution = attribution

    @property
    def _repository(self) -> Repository:
        return self

    # -- making and opening ----------------------------------------------------------------------

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
    ) -> Repository:
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
        _check_storage(storage)
        check_containers(config)
        version = 2 if spec_version is None else int(spec_version)
        if version not in (1, 2):
            raise ValueError(f"Unsupported version {version}")
        effective = _with_storage_defaults(config, storage)
        access = authorisation(effective, authorize_virtual_chunk_access, virtual_chunk_credentials)
        ledger = create_ledger(
            storage,
            resolve(effective),
            None if config is None else to_plain(effective),
            spec_version=version,
            check_clean_root=check_clean_root,
        )
        ctx = make_context(storage, effective, ledger, authorized=access)
        return cls(ctx, attribution)

    @classmethod
    def open(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Repository:
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
        """
        _check_storage(storage)
        check_containers(config)
        given = RepositoryConfig() if config is None else config
        ledger = open_ledger(storage, resolve(given))
        plain = ledger.config()
        stored = RepositoryConfig() if plain is None else from_plain(plain)
        effective = _with_storage_defaults(stored.merge(given), storage)
        access = authorisation(effective, authorize_virtual_chunk_access, virtual_chunk_credentials)
        ctx = make_context(storage, effective, ledger, authorized=access)
        return cls(ctx, attribution)

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
    ) -> Repository:
        """Open the repository in a storage, or make one where there is none."""
        _check_storage(storage)
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
        plain = open_ledger(storage, resolve(None)).config()
        return None if plain is None else from_plain(plain)

    def save_config(self) -> None:
        """Store this handle's configuration with the repository."""
        self._ctx.ledger.save_config(to_plain(self._ctx.config))

    def reopen(
        self,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
    ) -> Repository:
        """Another handle on the same storage, with other settings."""
        again = type(self).open(
            self._ctx.storage, config, authorize_virtual_chunk_access, self._attribution
        )
        if authorize_virtual_chunk_access is None:
            again._ctx = replace(again._ctx, authorized=self._ctx.authorized)
        return again

    # -- what it is ------------------------------------------------------------------------------

    @property
    def storage(self) -> Storage:
        """Where the repository is."""
        return self._ctx.storage

    @property
    def config(self) -> RepositoryConfig:
        """A copy of the effective configuration; changing it changes nothing."""
        return copy.deepcopy(self._ctx.config)

    @property
    def attribution(self) -> Attribution:
        """Labels given when the repository was opened."""
        return Attribution() if self._attribution is None else self._attribution

    @property
    def spec_version(self) -> SpecVersion:
        """Format version on disk."""
        return SpecVersion(self._ctx.ledger.spec_version)

    @property
    def authorized_virtual_container_prefixes(self) -> set[str]:
        """URL prefixes whose virtual chunks may be read."""
        return set(self._ctx.authorized)

    def set_default_commit_metadata(self, metadata: dict[str, Any]) -> None:
        """Metadata to merge under that of every commit of sessions opened from here on."""
        self._ctx = self._ctx.with_metadata(json_object(metadata))

    def default_commit_metadata(self) -> dict[str, Any]:
        """What `set_default_commit_metadata` was given."""
        return dict(self._ctx.default_metadata)

    def _path(self) -> str:
        return f"icechunk.Repository ({self.spec_version})"

    def _entries(self) -> Iterable[Entry]:
        return [Entry("storage", self._ctx.storage), Entry("config", self._ctx.config)]

    def __str__(self) -> str:
        storage = str(self._ctx.storage).replace("\n", "\n    ")
        return f"<{self._path()}>\nstorage:\n    {storage}\nconfig: <RepositoryConfig ...>"

    def __repr__(self) -> str:
        return str(self)

    def __getstate__(self) -> tuple[RepoContext, Attribution | None]:
        return self._ctx, self._attribution

    def __setstate__(self, state: tuple[RepoContext, Attribution | None]) -> None:
        self._ctx, self._attribution = state

    # -- sessions --------------------------------------------------------------------------------

    def readonly_session(
        self,
        branch: str | None = None,
        *,
        tag: str | None = None,
        snapshot_id: str | None = None,
        snapshot: str | None = None,
        as_of: datetime | None = None,
    ) -> Session:
        """Check out a state to read.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            Exactly one of them; `snapshot` is an older name of `snapshot_id`.
        as_of : datetime.datetime, optional
            With a branch: its newest snapshot written at or before this time.

        Raises
        ------
        RefNotFoundError, SnapshotNotFoundError
            For an unknown selector.
        """
        if snapshot is not None and snapshot_id is not None:
            raise ValueError(SELECTORS)
        wanted = snapshot_id if snapshot is None else snapshot
        if as_of is not None:
            if branch is None or tag is not None or wanted is not None:
                raise ValueError("as_of argument must be provided together with a branch name")
            base = self._resolve_at(branch, as_of)
        else:
            base = self._resolve(branch, tag, wanted)
        return Session(Transaction(self._ctx, base, mode=SessionMode.readonly))

    def writable_session(self, branch: str) -> Session:
        """Check out the tip of a branch to change it.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        ReadOnlyError
            Kind ``read-only-repository`` when the repository's status forbids writing.
        """
        base = self._ctx.ledger.writable_tip(branch)
        return Session(Transaction(self._ctx, base, mode=SessionMode.writable, branch=branch))

    def rearrange_session(self, branch: str) -> Session:
        """Check out the tip of a branch to move and rename nodes, and nothing else.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        ReadOnlyError
            Kind ``read-only-repository``.
        SessionStateError
            Kind ``feature-flag-disabled`` when the flag ``move_node`` is off.
        FormatError
            Kind ``unsupported-spec-version`` for a repository of spec version 1.
        """
        ledger = self._ctx.ledger
        ledger.require(Capability.MOVE_NODES)
        base = ledger.writable_tip(branch)
        ledger.state().require_flag("move_node", "create rearrange session")
        return Session(Transaction(self._ctx, base, mode=SessionMode.rearrange, branch=branch))

    @contextmanager
    def transaction(
        self,
        branch: str,
        *,
        message: str,
        metadata: dict[str, Any] | None = None,
        rebase_with: ConflictSolver | None = None,
        rebase_tries: int = 1_000,
    ) -> Iterator[IcechunkStore]:
        """Commit what a ``with`` block writes, or nothing when it raises.

        Yields
        ------
        IcechunkStore
            Store of a fresh session on the branch.
        """
        session = self.writable_session(branch)
        yield session.store
        session.commit(message, metadata, rebase_with=rebase_with, rebase_tries=rebase_tries)

    @staticmethod
    async def exists_async(storage: Storage, storage_settings: Any = None) -> bool:
        """Whether a storage holds a repository."""
        return await on_front(Repository.exists, storage, storage_settings)

    @staticmethod
    async def fetch_spec_version_async(
        storage: Storage, storage_settings: Any = None
    ) -> SpecVersion | None:
        """Format version of the repository in a storage, None when there is none."""
        return await on_front(Repository.fetch_spec_version, storage, storage_settings)

    @staticmethod
    async def fetch_config_async(storage: Storage) -> RepositoryConfig | None:
        """Stored configuration, None when none was ever saved."""
        return await on_front(Repository.fetch_config, storage)

    create_async = class_twin(create)
    open_async = class_twin(open)
    open_or_create_async = class_twin(open_or_create)
    reopen_async = twin(reopen)
    save_config_async = twin(save_config)
    readonly_session_async = twin(readonly_session)
    writable_session_async = twin(writable_session)
    rearrange_session_async = twin(rearrange_session)


def _check_storage(storage: object) -> None:
    if not isinstance(storage, Storage):
        raise TypeError(
            f"'{type(storage).__name__}' object is not an instance of 'Storage'; make one with "
            "e.g. `icechunk.local_filesystem_storage(path)`"
        )


def _with_storage_defaults(config: RepositoryConfig | None, storage: Storage) -> RepositoryConfig:
    """A configuration whose storage part says what this storage does by default."""
    given = RepositoryConfig() if config is None else config
    defaults = RepositoryConfig(storage=storage.default_settings())
    return defaults.merge(given)
