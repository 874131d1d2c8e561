"""Differences between snapshots, and between a session and its base."""

from __future__ import annotations

from icechunk.changes.to_log import transaction_log
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.core.ids import ObjectId
from icechunk.core.locks import held
from icechunk.engine.compare import compare
from icechunk.engine.context import RepoContext
from icechunk.engine.transaction import Transaction
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.transaction_log.diff import Diff, DiffBuilder


def status(transaction: Transaction) -> Diff:
    """Changes of a session since its base."""
    builder = DiffBuilder()

    def look() -> Diff:
        builder.add(transaction_log(transaction.base_id, transaction.changes))
        return builder.build(transaction.base.nodes, transaction.tree)

    return held(transaction.lock, look)  # other threads may be writing


def diff(ctx: RepoContext, before: ObjectId, after: ObjectId, *, any_states: bool = False) -> Diff:
    """Changes of the commits after one snapshot, up to and including another.

    Raises
    ------
    InvalidInputError
        Kind ``bad-snapshot-chain-for-diff`` unless `before` is a proper ancestor of `after`, or
        `any_states` is set.
    """
    commits = _between(ctx, before, after)
    if commits is None:
        if any_states:
            return compare(ctx, before, after)
        raise InvalidInputError(
            "`to` snapshot ancestry doesn't include `from`; give the older state first, or pass "
            "`any_states=True` to compare any two",
            ErrorKind.BAD_SNAPSHOT_CHAIN_FOR_DIFF,
        )
    if (
        any_states
        and ctx.ref_store.spec_version == 1
        and ctx.ref_store.snapshot(before).parent_id is None
    ):
        # An expiration may have hung these commits on the root, and leaves no trace of it.
        return compare(ctx, before, after)
    builder = DiffBuilder()
    for record in commits:
        for snapshot_id in (*record.pruned, record.id):
            try:
                builder.add(ctx.files.log(snapshot_id))
            except StorageError as error:
                if snapshot_id == record.id or error.kind != ErrorKind.OBJECT_NOT_FOUND:
                    raise
                if any_states:
                    return compare(ctx, before, after)
                # A pruned ancestor's log was collected: what it said is gone, the rest is not.
    return builder.build(ctx.files.snapshot(before).nodes, ctx.files.snapshot(after).nodes)


def _between(ctx: RepoContext, before: ObjectId, after: ObjectId) -> list[SnapshotRecord] | None:
    """Commits after one snapshot up to another, oldest first; None when they are not in line."""
    if before == after:
        return None
    commits: list[SnapshotRecord] = []
    for record in ctx.ref_store.ancestry(after):
        if record.id == before:
            return commits[::-1]
        commits.append(record)
    return None
