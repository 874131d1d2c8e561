"""Commit: write the files, make them durable, move the branch; rebase and retry when asked.

The steps of a commit, and what a crash after each of them leaves behind:

1. Manifests, snapshot and transaction log are written (`flush`): files that nothing refers to,
   until garbage collection deletes them.
2. They are synced (`made_durable`): the same.
3. The snapshot's id is noted in the session (`Transaction.attempt`), so that an interrupt after
   the next step does not lose track of it.
4. The branch is moved by compare-and-swap of the ``repo`` object (in spec 1: of the ref): this is
   the commit.
5. The session becomes read-only at the snapshot (`Transaction.finish`).

Locks are taken in this order: the transaction's turn, the storage's lock of the ``repo`` object,
the transaction's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.conflicts.model import ConflictSolver
from icechunk.core.errors import (
    ConflictError,
    ErrorKind,
    FormatError,
    IcechunkError,
    ReadOnlyError,
    RebaseFailedError,
    RefNotFoundError,
    SessionStateError,
)
from icechunk.core.ids import ObjectId
from icechunk.engine.durability import made_durable
from icechunk.engine.flush import Flushed, flush
from icechunk.engine.logged import logged
from icechunk.engine.publication import Publication, Request
from icechunk.engine.rebase import rebase
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.spec.metadata import json_object
from icechunk.spec.repo.lineage import refuse_lineage_key
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp
from icechunk.spec.snapshot.snapshot import Snapshot
from icechunk.spec.transaction_log.log import TransactionLog

Register = Callable[[str, ObjectId, SnapshotRecord], None]
"""Makes a snapshot the tip of a branch: (branch, tip expected so far, record of the snapshot)."""


class ForkedSessionError(SessionStateError, TypeError):
    """Raised when a fork is committed; also a `TypeError`, as in icechunk 1."""

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
        The new snapshot; the transaction is read-only at it.  Also when an interrupted or cancelled
        call with the same message and metadata had published it.

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
    request = requested(transaction, "commit", message, metadata)

    def attempt_and_rebase() -> ObjectId:
        attempts = 0
        while True:
            done = transaction.answer(request)
            if done is not None:
                return done
            check_committable(transaction, allow_empty=allow_empty)
            full = dict(request.metadata)
            if rebase_with is not None:
                full["__icechunk"] = {**_own(full), "rebase_attempts": attempts}
            try:
                return publish(transaction, request, _as_new_tip(transaction), full)
            except RebaseFailedError:
                raise
            except ConflictError as error:
                if transaction.learn():
                    continue  # the conflict was with an earlier attempt of this session
                can_retry = rebase_with is not None and attempts < rebase_tries
                can_retry &= error.actual_parent is not None  # else the branch is gone
                if error.kind != ErrorKind.COMMIT_CONFLICT or not can_retry:
                    raise
            assert rebase_with is not None
            rebase(transaction, rebase_with)
            attempts += 1

    # Writes are refused between the tries, too: a rebase would not see them.
    return transaction.exclusively(attempt_and_rebase)


def requested(
    transaction: Transaction, verb: str, message: str, metadata: dict[str, Any] | None
) -> Request:
    """Arguments of a call, with the default metadata of the repository handle merged in."""
    refuse_lineage_key(metadata)
    if transaction.merging is not None and verb != "commit":
        raise SessionStateError(
            f"this session holds a merge, for which there is no {verb}: `commit` it, `stash` it, "
            "or give it up with `discard_changes`",
            ErrorKind.NOT_ALLOWED,
        )
    merged = {**transaction.ctx.default_metadata, **json_object(metadata)}
    return Request(verb, message, merged)


def _own(metadata: dict[str, Any]) -> dict[str, Any]:
    own = metadata.get("__icechunk")
    return own if isinstance(own, dict) else {}


def check_committable(transaction: Transaction, *, allow_empty: bool) -> None:
    """Raise unless a transaction can be committed.

    Raises
    ------
    SessionStateError
        Kinds ``commit-not-allowed`` and ``no-changes-to-commit``.
    """
    if transaction.mode is SessionMode.readonly or transaction.branch is None:
        transaction.check_not_published("commits are not allowed on read-only or forked sessions")
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
    """Function that moves the branch; for moves it checks the flag in the state it replaces."""
    ref_store = transaction.ctx.ref_store
    if not transaction.changes.moves:
        return ref_store.commit

    def register(branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        def change(state: RepoState, stamp: Stamp) -> RepoState:
            state.require_flag("move_node", "create rearrange session")
            return state.with_commit(branch, expected, record, stamp)

        ref_store.update(change)

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
    request = requested(transaction, "flush", message, metadata)

    def write_and_register() -> ObjectId:
        done = transaction.answer(request)
        if done is not None:
            return done
        ctx, base = transaction.ctx, transaction.base
        flushed = flush(ctx, base, transaction.changes, message, request.metadata)
        publication = Publication(None, record_of(flushed, base.id), request)

        def register() -> None:
            transaction.attempt(publication)
            ctx.ref_store.detach(publication.record)

        made_durable(transaction, flushed, register)
        return transaction.finish(publication)

    return transaction.exclusively(write_and_register)


def write_base(transaction: Transaction) -> Snapshot:
    """Write the state of a transaction as the base of forks: a snapshot that no branch lists."""
    ctx = transaction.ctx
    metadata = dict(ctx.default_metadata)
    flushed = flush(ctx, transaction.base, transaction.changes, "fork", metadata)
    made_durable(transaction, flushed, lambda: None)
    return flushed.snapshot


def record_of(flushed: Flushed, parent_id: ObjectId) -> SnapshotRecord:
    """What the repository records of a snapshot whose files are written."""
    snapshot = flushed.snapshot
    return SnapshotRecord(
        snapshot.id, parent_id, snapshot.flushed_at, snapshot.message, snapshot.metadata, ()
    )


def publish(
    transaction: Transaction,
    request: Request,
    register: Register,
    metadata: dict[str, Any] | None = None,
    log_of: Callable[[ChangeSet], TransactionLog] | None = None,
) -> ObjectId:
    """Write a transaction's files, make them durable, and move its branch to them.

    The caller holds the transaction's turn (`Transaction.exclusively`).

    Parameters
    ----------
    transaction : Transaction
        Writable, on a branch; read-only at the new snapshot afterwards.
    request : Request
        What the caller asked for.
    register : callable
        Moves the branch.
    metadata : dict, optional
        Metadata of the snapshot; that of the request by default.
    log_of : callable, optional
        Transaction log for the changes; by default the one that follows from them.
    """

    ctx, base, branch = transaction.ctx, transaction.base, transaction.branch
    assert branch is not None
    if ctx.storage.blocking_ok:
        # Takes microseconds there, and saves writing files for a commit that cannot succeed.
        ctx.ref_store.require_tip(branch, base.id)
    changes = transaction.changes
    log = None if log_of is None else log_of(changes)
    full = request.metadata if metadata is None else metadata
    flushed = flush(ctx, base, changes, request.message, full, log)
    publication = Publication(branch, record_of(flushed, base.id), request)

    def move_branch() -> None:
        transaction.attempt(publication)
        register(branch, base.id, publication.record)

    try:
        made_durable(transaction, flushed, move_branch)
    except (ConflictError, RefNotFoundError, ReadOnlyError):
        # Only these prove that nothing was published.  After any other failure, such as a lost
        # answer, the branch may refer to the files already: they must stay.
        transaction.withdraw(publication)
        transaction.discard_files(flushed.keys)
        raise
    except FormatError as error:
        if error.kind == ErrorKind.SERIALIZATION:  # the new state has no room in its object
            transaction.withdraw(publication)
            transaction.discard_files(flushed.keys)
        raise
    return transaction.finish(publication)
