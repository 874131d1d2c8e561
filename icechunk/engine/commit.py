"""Commit: write the files, make them durable, move the branch; rebase and retry when asked."""

from __future__ import annotations

from typing import Any

from icechunk.conflicts.model import ConflictSolver
from icechunk.engine.flush import flush
from icechunk.engine.rebase import rebase
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.format.metadata import json_object
from icechunk.ground.errors import (
    ConflictError,
    ErrorKind,
    ReadOnlyError,
    RebaseFailedError,
    RefNotFoundError,
    SessionStateError,
)
from icechunk.ground.ids import ObjectId, id_text
from icechunk.model.snapshot import Snapshot
from icechunk.model.snapshot_table import SnapshotRecord


def commit(
    transaction: Transaction,
    message: str,
    metadata: dict[str, Any] | None,
    *,
    rebase_with: ConflictSolver | None = None,
    rebase_tries: int = 1000,
    allow_empty: bool = False,
) -> ObjectId:
    """Turn the changes of a transaction into the new tip of its branch.

    Returns
    -------
    ObjectId
        The new snapshot; the transaction is read-only at it.

    Raises
    ------
    SessionStateError
        Kinds ``commit-not-allowed`` and ``no-changes-to-commit``.
    ConflictError
        The branch moved, and no solver was given or it ran out of tries.
    RebaseFailedError
        The solver left conflicts.
    """
    _check(transaction, allow_empty)
    merged = {**transaction.ctx.default_metadata, **json_object(metadata)}
    attempts = 0
    while True:
        full = dict(merged)
        if rebase_with is not None:
            full["__icechunk"] = {**_own(full), "rebase_attempts": attempts}
        try:
            return _commit_once(transaction, message, full)
        except RebaseFailedError:
            raise
        except ConflictError as error:
            can_retry = rebase_with is not None and attempts < rebase_tries
            if error.kind != ErrorKind.COMMIT_CONFLICT or not can_retry:
                raise
        assert rebase_with is not None
        rebase(transaction, rebase_with)
        attempts += 1


def _own(metadata: dict[str, Any]) -> dict[str, Any]:
    own = metadata.get("__icechunk")
    return own if isinstance(own, dict) else {}


def _check(transaction: Transaction, allow_empty: bool) -> None:
    if transaction.mode is SessionMode.readonly or transaction.branch is None:
        raise SessionStateError(
            "commits are not allowed on read-only or forked sessions, merge forked sessions back "
            "into the session they came from, or open a new one with "
            "`Repository.writable_session`",
            ErrorKind.COMMIT_NOT_ALLOWED,
        )
    if transaction.changes.is_empty and not allow_empty:
        raise SessionStateError(
            "cannot commit, no changes made to the session (use `allow_empty=true` to commit "
            "anyway)",
            ErrorKind.NO_CHANGES_TO_COMMIT,
        )


def flush_detached(
    transaction: Transaction, message: str, metadata: dict[str, Any] | None
) -> ObjectId:
    """Write a snapshot that no branch points to; the transaction becomes read-only on it.

    Raises
    ------
    SessionStateError
        Kind ``commit-not-allowed`` for a read-only transaction or a fork.
    """
    if transaction.mode is SessionMode.readonly or transaction.branch is None:
        raise SessionStateError(
            "cannot flush a read-only or forked session, merge forked sessions back into the "
            "session they came from",
            ErrorKind.COMMIT_NOT_ALLOWED,
        )
    with transaction.committing():
        snapshot = write_detached(transaction, message, metadata)
    transaction.finish(snapshot.id)
    return snapshot.id


def write_detached(
    transaction: Transaction,
    message: str,
    metadata: dict[str, Any] | None = None,
    *,
    register: bool = True,
) -> Snapshot:
    """Write what a transaction sees as a snapshot that no branch points to.

    One that is not registered is known only to whoever holds its id: the base of forks.
    """
    ctx, base = transaction.ctx, transaction.base
    merged = {**ctx.default_metadata, **json_object(metadata)}
    flushed = flush(ctx, base, transaction.changes, message, merged)
    ctx.storage.sync(flushed.keys)
    snapshot = flushed.snapshot
    if register:
        at = snapshot.flushed_at
        ctx.ledger.detach(SnapshotRecord(snapshot.id, base.id, at, message, snapshot.metadata, ()))
    return snapshot


def _commit_once(transaction: Transaction, message: str, metadata: dict[str, Any]) -> ObjectId:
    ctx = transaction.ctx
    branch = transaction.branch
    assert branch is not None
    with transaction.committing() as changes:
        base = transaction.base
        if ctx.storage.blocking_ok:
            # A look at the branch is cheap here, and saves writing files for a commit that is
            # lost already.
            tip = ctx.ledger.branch_tip(branch)
            if tip != base.id:
                raise ConflictError(id_text(base.id), id_text(tip))
        flushed = flush(ctx, base, changes, message, metadata)
        ctx.storage.sync(flushed.keys)
        snapshot = flushed.snapshot
        record = SnapshotRecord(
            snapshot.id, base.id, snapshot.flushed_at, message, snapshot.metadata, ()
        )
        try:
            ctx.ledger.commit(branch, base.id, record)
        except (ConflictError, RefNotFoundError, ReadOnlyError):
            # Only these prove that nothing was published; after any other failure the files may
            # be part of the branch already.
            transaction.discard_files(flushed.keys)
            raise
    transaction.finish(snapshot.id)
    return snapshot.id
