"""Amend: replace the tip of a branch by one that also holds the changes of a session."""

from __future__ import annotations

from typing import Any

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.moves import composed
from icechunk.changes.to_log import transaction_log
from icechunk.core.errors import ConflictError, ErrorKind, SessionStateError
from icechunk.core.ids import ObjectId
from icechunk.engine.commit import check_committable, publish, requested
from icechunk.engine.lineage import LINEAGE_KEY
from icechunk.engine.logged import logged
from icechunk.engine.publication import Request
from icechunk.engine.removals import with_removals
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.refs.capabilities import Capability
from icechunk.spec.manifest.coordinates import Coords, sorted_unique
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
        return united(former, transaction_log(base.id, complete))

    # The amended commit keeps the parents of the merge that it replaces.
    own = {key: value for key, value in base.metadata.items() if key == LINEAGE_KEY}
    full = {**request.metadata, **own}
    return publish(transaction, request, ctx.ref_store.amend, full, log_of=both)


def united(first: TransactionLog, second: TransactionLog) -> TransactionLog:
    """One log for two in a row (Icechunk rules, amend): unions, with the moves composed."""
    chunks = dict(first.updated_chunks)
    for node_id, coords in second.updated_chunks.items():
        before = chunks.get(node_id)
        chunks[node_id] = coords if before is None else _both(before, coords)
    return TransactionLog(
        id=second.id,
        new_groups=first.new_groups | second.new_groups,
        new_arrays=first.new_arrays | second.new_arrays,
        deleted_groups=first.deleted_groups | second.deleted_groups,
        deleted_arrays=first.deleted_arrays | second.deleted_arrays,
        updated_groups=first.updated_groups | second.updated_groups,
        updated_arrays=first.updated_arrays | second.updated_arrays,
        updated_chunks=chunks,
        moved=composed(first.moved, second.moved),
    )


def _both(one: Coords, two: Coords) -> Coords:
    """Coordinates of either; of an array that changed its rank, those of its present one."""
    if one.shape[1] != two.shape[1]:
        return two
    return sorted_unique(np.concatenate((one, two)))
