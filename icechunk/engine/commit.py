"""Commit: write the files, make them durable, move the branch; rebase and retry when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.conflicts.model import ConflictSolver
from icechunk.engine.flush import flush
from icechunk.engine.logged import logged
from icechunk.engine.presence import secured
from icechunk.engine.rebase import rebase
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.format.metadata import json_object
from icechunk.ground.errors import (
    ConflictError,
    ErrorKind,
    FormatError,
    IcechunkError,
    ReadOnlyError,
    RebaseFailedError,
    RefNotFoundError,
    SessionStateError,
)
from icechunk.ground.ids import ObjectId
from icechunk.model.repo_state import RepoState
from icechunk.model.snapshot import Snapshot
from icechunk.model.snapshot_table import SnapshotRecord
from icechunk.model.txlog import TransactionLog

Register = Callable[[str, ObjectId, SnapshotRecord], None]
"""Makes a snapshot the tip of a branch that was at another one: (branch, expected tip, record)."""


class ForkedSessionError(SessionStateError, TypeError):
    """A fork was asked to commit; also the `TypeError` that icechunk 1 raised."""

    __module__ = "icechunk"


@logged("commit")
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
        The branch moved, and no solver was given or it ran out of tries; in spec 1 also when the
        branch is gone.
    RefNotFoundError
        Kind ``branch-not-found``, in spec 2, when the branch is gone.
    RebaseFailedError
        The solver left conflicts.
    """
    merged = {**transaction.ctx.default_metadata, **json_object(metadata)}
    attempts = 0
    with transaction.committing():  # also between the tries: a write then could get lost
        check_committable(transaction, allow_empty=allow_empty)
        while True:
            full = dict(merged)
            if rebase_with is not None:
                full["__icechunk"] = {**_own(full), "rebase_attempts": attempts}
            try:
                return publish(transaction, message, full, _as_new_tip(transaction))
            except RebaseFailedError:
                raise
            except ConflictError as error:
                can_retry = rebase_with is not None and attempts < rebase_tries
                can_retry &= error.actual_parent is not None  # else the branch is gone
                if error.kind != ErrorKind.COMMIT_CONFLICT or not can_retry:
                    raise
            assert rebase_with is not None
            rebase(transaction, rebase_with)
            attempts += 1


def _own(metadata: dict[str, Any]) -> dict[str, Any]:
    own = metadata.get("__icechunk")
    return own if isinstance(own, dict) else {}


def check_committable(transaction: Transaction, *, allow_empty: bool) -> None:
    """Refuse what cannot become the tip of a branch.

    Raises
    ------
    SessionStateError
        Kinds ``commit-not-allowed`` and ``no-changes-to-commit``.
    """
    if transaction.mode is SessionMode.readonly or transaction.branch is None:
        refusal = SessionStateError if transaction.origin is None else ForkedSessionError
        raise refusal(
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


def _as_new_tip(transaction: Transaction) -> Register:
    """How a commit is registered; moves only where the repository allows them at that moment."""
    ledger = transaction.ctx.ledger
    if not transaction.changes.moves:
        return ledger.commit

    def register(branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        def change(state: RepoState, at: int, backup: str, limit: int) -> RepoState:
            state.require_flag("move_node", "create rearrange session")
            return state.with_commit(
                branch, expected, record, at=at, backup_path=backup, limit=limit
            )

        ledger.update(change)

    return register


@logged("flush")
def flush_detached(
    transaction: Transaction, message: str, metadata: dict[str, Any] | None
) -> ObjectId:
    """Write a snapshot that no branch points to; the transaction becomes read-only on it.

    Raises
    ------
    IcechunkError
        For a fork.
    """
    if transaction.origin is not None:
        raise IcechunkError(
            "cannot flush a forked session, merge the fork back into the session it came from and "
            "flush that instead"
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
    snapshot = flushed.snapshot
    record = SnapshotRecord(
        snapshot.id, base.id, snapshot.flushed_at, message, snapshot.metadata, ()
    )
    with secured(transaction, flushed):
        if register:
            ctx.ledger.detach(record)
    return snapshot


def publish(
    transaction: Transaction,
    message: str,
    metadata: dict[str, Any],
    register: Register,
    log_of: Callable[[ChangeSet], TransactionLog] | None = None,
) -> ObjectId:
    """Write a transaction's files, make them durable, and let a branch point to them.

    Parameters
    ----------
    transaction : Transaction
        Writable, on a branch; read-only at the new snapshot afterwards.
    message, metadata
        Of the snapshot.
    register : callable
        Moves the branch.
    log_of : callable, optional
        Transaction log to write for the changes, when it says more than they do.
    """
    ctx = transaction.ctx
    branch = transaction.branch
    assert branch is not None
    with transaction.committing() as changes:
        base = transaction.base
        if ctx.storage.blocking_ok:
            # Cheap there, and it saves writing files for a commit that is lost already.
            ctx.ledger.require_tip(branch, base.id)
        log = None if log_of is None else log_of(changes)
        flushed = flush(ctx, base, changes, message, metadata, log)
        snapshot = flushed.snapshot
        record = SnapshotRecord(
            snapshot.id, base.id, snapshot.flushed_at, message, snapshot.metadata, ()
        )
        try:
            with secured(transaction, flushed):
                register(branch, base.id, record)
        except (ConflictError, RefNotFoundError, ReadOnlyError):
            # Only these prove that nothing was published; after any other failure the files may
            # be part of the branch already.
            transaction.discard_files(flushed.keys)
            raise
        except FormatError as error:
            if error.kind == ErrorKind.SERIALIZATION:  # the new state has no room in its object
                transaction.discard_files(flushed.keys)
            raise
        transaction.finish(snapshot.id)
    return snapshot.id
