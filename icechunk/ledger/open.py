"""Find out what a storage holds, and start a repository in an empty one."""

from __future__ import annotations

from typing import Any

from icechunk.assets.layout import REPO, log_key, snapshot_key
from icechunk.config.resolve import Settings
from icechunk.format.dialect import V2
from icechunk.format.repo_info import encode_repo
from icechunk.format.snapshot import encode_snapshot, initial_snapshot
from icechunk.format.txlog import encode_transaction_log
from icechunk.ground.clock import now_us
from icechunk.ground.errors import (
    ConflictError,
    ErrorKind,
    FormatError,
    InvalidInputError,
    RepositoryNotFoundError,
)
from icechunk.ledger.base import Ledger
from icechunk.ledger.v2 import RepoLedger
from icechunk.model.repo_state import RepoState
from icechunk.model.snapshot_table import SnapshotRecord
from icechunk.model.txlog import TransactionLog
from icechunk.storage.base import Storage

_V1_MARK = "refs/branch.main/ref.json"


def detect(storage: Storage) -> int | None:
    """Spec version of the repository in a storage, None when there is none.

    A ``repo`` object means version 2, even beside refs of an unfinished upgrade; otherwise a
    ``main`` branch file means version 1 (Icechunk spec, "File layout").
    """
    if storage.head(REPO) is not None:
        return 2
    if storage.head(_V1_MARK) is not None:
        return 1
    return None


def open_ledger(storage: Storage, settings: Settings) -> Ledger:
    """Ledger of an existing repository.

    Raises
    ------
    RepositoryNotFoundError
        When the storage holds none.
    FormatError
        Kind ``unsupported-spec-version`` for a version this library does not handle.
    """
    version = detect(storage)
    if version is None:
        raise RepositoryNotFoundError(
            f"the repository doesn't exist: nothing of Icechunk at {storage.identity}; "
            "check the location, or make one with `Repository.create`",
            ErrorKind.REPOSITORY_NOT_FOUND,
        )
    if version == 1:
        raise FormatError(
            "the repository uses Icechunk format version 1, which this version of the library "
            "does not read; upgrade it with icechunk 2.x (`icechunk.upgrade_icechunk_repository`)",
            ErrorKind.UNSUPPORTED_SPEC_VERSION,
        )
    return RepoLedger(storage, settings)


def create_ledger(
    storage: Storage,
    settings: Settings,
    config: dict[str, Any] | None,
    *,
    check_clean_root: bool = True,
) -> Ledger:
    """Start a repository: initial snapshot, its log, then the ``repo`` object, exclusively.

    Raises
    ------
    InvalidInputError
        Kind ``parent-directory-not-clean`` when the storage holds anything.
    ConflictError
        Kind ``repo-info-updated`` when somebody else made a repository here first.
    """
    if check_clean_root:
        stranger = next(iter(storage.list("")), None)
        if stranger is not None:
            raise InvalidInputError(
                "repositories can only be created in clean prefixes: "
                f"{storage.identity} holds `{stranger.key}`; choose an empty place, or use "
                "`Repository.open` if this is a repository",
                ErrorKind.PARENT_DIRECTORY_NOT_CLEAN,
            )
    at = now_us()
    level = settings.compression_level
    snapshot = initial_snapshot(at)
    record = SnapshotRecord(snapshot.id, None, at, snapshot.message, snapshot.metadata, ())
    log = TransactionLog(snapshot.id)
    state = RepoState.initial(record, config, at=at)
    initial = [snapshot_key(snapshot.id), log_key(snapshot.id)]
    with storage.lock(REPO):
        if storage.head(REPO) is not None:
            raise _taken(storage)
        storage.put(initial[0], encode_snapshot(snapshot, dialect=V2, level=level))
        storage.put(initial[1], encode_transaction_log(log, dialect=V2, level=level))
        storage.sync(initial)
        if storage.create(REPO, encode_repo(state, level=level)) is None:
            raise _taken(storage)
    return RepoLedger(storage, settings)


def _taken(storage: Storage) -> ConflictError:
    return ConflictError(
        message=f"repo info object was updated after this session started: {storage.identity} "
        "already holds a repository; use `Repository.open`",
        kind=ErrorKind.REPO_INFO_UPDATED,
    )
