"""Detect the repository in a storage, open its ref store, or create a repository."""

from __future__ import annotations

import logging
from typing import Any

from icechunk.config.resolve import Settings
from icechunk.config.serde import from_plain
from icechunk.core.clock import now_us
from icechunk.core.errors import (
    ConflictError,
    ErrorKind,
    InvalidInputError,
    RepositoryNotFoundError,
    StorageError,
)
from icechunk.core.ids import INITIAL_SNAPSHOT_ID
from icechunk.core.locks import held
from icechunk.files.layout import CONFIG, REPO, log_key, snapshot_key
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.base import RefStore
from icechunk.refs.v2 import RepoObjectRefStore
from icechunk.spec.dialect import Dialect, dialect_for
from icechunk.spec.refs_v1 import REFS, branch_key, encode_ref
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import MAIN, RepoState
from icechunk.spec.snapshot.codec import encode_snapshot, initial_snapshot
from icechunk.spec.transaction_log.codec import encode_transaction_log
from icechunk.spec.transaction_log.log import TransactionLog
from icechunk.storage.base import Storage

V1_MARK = branch_key(MAIN)
"""The object that every repository of spec 1 has."""

_BEFORE_CREATION = {snapshot_key(INITIAL_SNAPSHOT_ID), log_key(INITIAL_SNAPSHOT_ID)}
"""Objects that creation writes before the one that `detect` looks for, besides configuration and
probes."""

_log = logging.getLogger(__name__)


def detect(storage: Storage) -> int | None:
    """Spec version of the repository in a storage, None when there is none.

    A ``repo`` object means version 2, even beside refs of an unfinished upgrade; otherwise a
    ``main`` branch file means version 1 (Icechunk spec, "File layout").
    """
    if storage.head(REPO) is not None:
        return 2
    if storage.head(V1_MARK) is not None:
        return 1
    return None


def open_ref_store(storage: Storage, settings: Settings) -> RefStore:
    """Ref store of an existing repository.

    Raises
    ------
    RepositoryNotFoundError
        When the storage holds none.
    """
    storage = storage.tuned(settings.storage)
    version = detect(storage)
    if version is None:
        raise _nothing(storage)
    if version == 2 and storage.blocking_ok and storage.head(V1_MARK) is not None:
        _log.warning(
            "%s was upgraded to format version 2, but the refs of version 1 are still there: the "
            "upgrade was interrupted, or was asked to keep them. They are no longer used; call "
            "icechunk.upgrade_icechunk_repository(repo, dry_run=False) to finish it",
            storage.identity,
        )
    return ref_store_of(version, storage, settings)


def open_with_config(
    storage: Storage, settings: Settings
) -> tuple[RefStore, dict[str, Any] | None]:
    """Ref store of an existing repository, and the stored configuration as a dict.

    On slow storages the ``repo`` object is requested without asking for the version first: most
    repositories have it, and a request is saved.

    Raises
    ------
    RepositoryNotFoundError
        When the storage holds none.
    """
    if not storage.blocking_ok:
        ref_store = RepoObjectRefStore(storage.tuned(settings.storage), settings)
        try:
            return ref_store, ref_store.config()
        except RepositoryNotFoundError:
            pass
    found = open_ref_store(storage, settings)
    return found, found.config()


def ref_store_of(spec_version: int, storage: Storage, settings: Settings) -> RefStore:
    """Ref store of a repository whose spec version is known."""
    if spec_version == 1:
        from icechunk.refs.v1 import FileRefStore

        return FileRefStore(RepositoryFiles(storage, settings, dialect_for(1)), settings)
    return RepoObjectRefStore(storage, settings)


def _contents(storage: Storage) -> tuple[bool, str | None]:
    """Inspect a storage that holds no repository.

    Returns
    -------
    unfinished : bool
        Whether a creation was interrupted before it wrote the object that `detect` looks for.
    foreign : str or None
        Name of an object that creation does not write.
    """
    from icechunk.storage.probe import PROBES

    unfinished, config = False, None
    for info in storage.list(""):
        if info.key == CONFIG:
            config = CONFIG  # foreign, unless an unfinished creation is found too
        elif info.key in _BEFORE_CREATION:
            unfinished = True
        elif not info.key.startswith(f"{PROBES}/"):
            return False, info.key
    return unfinished, None if unfinished else config


def _nothing(storage: Storage) -> RepositoryNotFoundError:
    try:
        found = next(iter(storage.list(REFS)), None)
        unfinished = found is None and _contents(storage)[0]
    except StorageError as error:
        if error.kind != ErrorKind.STORAGE_OTHER:
            raise
        found, unfinished = None, False  # web servers do not list
    if unfinished:
        return RepositoryNotFoundError(
            f"the repository doesn't exist: its creation at {storage.identity} was interrupted and "
            "never finished; call `Repository.create` or `Repository.open_or_create` to finish it",
            ErrorKind.REPOSITORY_NOT_FOUND,
        )
    if found is not None:
        return RepositoryNotFoundError(
            f"the repository doesn't exist: {storage.identity} has refs (`{found.key}`), but "
            f"neither `{V1_MARK}` nor `{REPO}`, without which it is not a repository. Restore one "
            "of them from a backup: an upgrade to format version 2 writes the latter before it "
            "removes the former",
            ErrorKind.REPOSITORY_NOT_FOUND,
        )
    return RepositoryNotFoundError(
        f"the repository doesn't exist: nothing of Icechunk at {storage.identity}; "
        "check the location, or make one with `Repository.create`",
        ErrorKind.REPOSITORY_NOT_FOUND,
    )


def create_ref_store(
    storage: Storage,
    settings: Settings,
    config: dict[str, Any] | None,
    *,
    spec_version: int = 2,
    check_clean_root: bool = True,
) -> RefStore:
    """Create a repository.

    The immutable files come first; the object that `detect` looks for is created last, exclusively:
    a crash before it leaves files that the next creation writes again.

    Raises
    ------
    InvalidInputError
        Kind ``parent-directory-not-clean`` when the storage holds anything.
    ConflictError
        Kind ``repo-info-updated`` when another process created a repository here first.
    """
    storage = storage.tuned(settings.storage)
    storage.require_creatable()
    if check_clean_root:
        _, foreign = _contents(storage)
        if foreign is not None:
            raise InvalidInputError(
                "repositories can only be created in clean prefixes: "
                f"{storage.identity} holds `{foreign}`; choose an empty place, or use "
                "`Repository.open` if this is a repository",
                ErrorKind.PARENT_DIRECTORY_NOT_CLEAN,
            )

    def write() -> None:
        if detect(storage) is not None:
            raise _taken(storage)
        first = _write_first(storage, settings, dialect_for(spec_version))
        if spec_version == 1:
            if config is not None or storage.head(CONFIG) is not None:
                _write_config(storage, config or {})
            key, data = V1_MARK, encode_ref(first.id)
        else:
            from icechunk.spec.repo.codec import encode_repo

            state = RepoState.initial(first, config, at=first.flushed_at)
            key, data = REPO, encode_repo(state, level=settings.compression_level)
        if storage.create(key, data) is None:
            raise _taken(storage)

    held(storage.lock(REPO), write)
    return ref_store_of(spec_version, storage, settings)


def _write_first(storage: Storage, settings: Settings, dialect: Dialect) -> SnapshotRecord:
    """Write the first snapshot, and its log where the spec version has one."""
    at = now_us()
    level = settings.compression_level
    snapshot = initial_snapshot(at)
    keys = [snapshot_key(snapshot.id)]
    storage.put(keys[0], encode_snapshot(snapshot, dialect=dialect, level=level))
    if dialect.initial_log:
        keys.append(log_key(snapshot.id))
        log = TransactionLog(snapshot.id)
        storage.put(keys[1], encode_transaction_log(log, dialect=dialect, level=level))
    storage.sync(keys)
    return SnapshotRecord(snapshot.id, None, at, snapshot.message, snapshot.metadata, ())


def _write_config(storage: Storage, config: dict[str, Any]) -> None:
    """Write ``config.yaml``, over one that was left there without a repository."""
    from icechunk.config.yaml_text import to_yaml

    data = to_yaml(from_plain(config)).encode()
    if storage.create(CONFIG, data) is not None:
        return
    former = storage.get(CONFIG)
    if storage.replace(CONFIG, data, former.version) is None:
        raise _taken(storage)


def _taken(storage: Storage) -> ConflictError:
    return ConflictError(
        message=f"repo info object was updated after this session started: {storage.identity} "
        "already holds a repository; use `Repository.open`",
        kind=ErrorKind.REPO_INFO_UPDATED,
    )
