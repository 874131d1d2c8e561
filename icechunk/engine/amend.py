"""Amend: replace the tip of a branch by one that also holds the changes of a session."""

from __future__ import annotations

from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.to_log import transaction_log
from icechunk.core.errors import ConflictError, ErrorKind, SessionStateError
from icechunk.core.ids import ObjectId
from icechunk.engine.commit import check_committable, publish, requested
from icechunk.engine.commit_logs import united
from icechunk.engine.logged import logged
from icechunk.engine.publication import Request
from icechunk.engine.removals import with_removals
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.lineage import LINEAGE_KEY
from icechunk.spec.transaction_log.log import TransactionLog


@logged("amend")
def amend(
    transaction: Transaction,
    message: str,
    metadata: dict[str, Any] | None,
    *,
    allow_empty: bool = False,
) -> ObjectId:
    """Turn the base and the changes of a transaction into one commit, in place of the base.

    Returns
    -------
    ObjectId
        The new snapshot, whose parent is that of the base; the transaction is read-only at it.

    Raises
    ------
    SessionStateError
        Kinds ``commit-not-allowed``, ``no-changes-to-commit``, ``no-amend-for-initial-commit``,
        and ``rearrange-session-only`` when the base moved nodes and this session cannot.
    FormatError
        For a repository of spec version 1.
    ConflictError
        The branch moved.
    """
    request = requested(transaction, "amend", message, metadata)

    def attempt() -> ObjectId:
        done = transaction.answer(request)
        if done is not None:
            return done
        check_committable(transaction, allow_empty=allow_empty)
        try:
            return _amend(transaction, request)
        except ConflictError:
            if transaction.learn():  # the conflict was with an earlier attempt of this session
                return attempt()
            raise

    return transaction.exclusively(attempt)


def _amend(transaction: Transaction, request: Request) -> ObjectId:
    ctx, base = transaction.ctx, transaction.base
    ctx.ref_store.require(Capability.AMEND)
    if ctx.ref_store.snapshot(base.id).parent_id is None:
        raise SessionStateError(
            "the first commit in the repository cannot be an amend, create a new commit instead: "
            "call `Session.commit`",
            ErrorKind.NO_AMEND_FOR_INITIAL_COMMIT,
        )
    former = ctx.files.log(base.id)
    if former.moved and transaction.mode is not SessionMode.rearrange:
        raise SessionStateError(
            "the commit to be amended was created to rearrange the hierarchy, other write "
            "operations cannot be added to it; make a new commit, or amend it from a session of "
            "`Repository.rearrange_session`",
            ErrorKind.REARRANGE_SESSION_ONLY,
        )

    def both(changes: ChangeSet) -> TransactionLog:
        complete = with_removals(changes, base, ctx.files)
        return united([former, transaction_log(base.id, complete)])

    # The amended commit keeps the parents of the merge that it replaces.
    own = {key: value for key, value in base.metadata.items() if key == LINEAGE_KEY}
    full = {**request.metadata, **own}
    return publish(transaction, request, ctx.ref_store.amend, full, log_of=both)
