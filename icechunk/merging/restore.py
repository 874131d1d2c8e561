"""Bring nodes of another state back into a session, and make one commit of several."""

from __future__ import annotations

from functools import partial
from typing import Any

from icechunk.core.errors import ErrorKind, InvalidInputError, NodeNotFoundError, SessionStateError
from icechunk.core.ids import ObjectId, id_text
from icechunk.core.locks import held
from icechunk.core.paths import check_path, is_below
from icechunk.engine.commit import record_of
from icechunk.engine.context import RepoContext
from icechunk.engine.durability import made_durable
from icechunk.engine.flush import flush
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.merging.laying import Laid, same_content, state_of
from icechunk.merging.state import State
from icechunk.merging.three_way import three_way
from icechunk.merging.verdicts import Verdicts
from icechunk.spec.metadata import json_object
from icechunk.spec.repo.lineage import Lineage, refuse_lineage_key, with_lineage
from icechunk.spec.snapshot.nodes import NodeSnapshot


def restore(transaction: Transaction, path: str, source: ObjectId) -> None:
    """Give a node, with everything below it, the content that it has in another state.

    Nodes below it that the other state does not have are deleted. Nodes are matched by id, so that
    one that was moved since goes back to its place.

    Raises
    ------
    NodeNotFoundError
        Neither state has a node at the path.
    SessionStateError
        Kind ``not-allowed`` when the session was written to meanwhile.
    """
    transaction.check_writable()
    check_path(path)
    ctx = transaction.ctx
    revision, changes = transaction.copied()
    target = State(transaction.base, changes, ctx.files)
    other = state_of(ctx, source)
    if other.get(path) is None and target.get(path) is None:
        raise NodeNotFoundError(
            f"there is no node at `{path}`, neither in the session nor in {id_text(source)}",
            ErrorKind.NODE_NOT_FOUND,
        )

    def selected(node: NodeSnapshot) -> bool:
        both = (state.by_id(node.id) for state in (other, target))
        return any(
            one is not None and (one.path == path or is_below(one.path, path)) for one in both
        )

    merged = three_way(
        target,
        other,
        target,
        Verdicts(prefer="source"),
        partial(same_content, ctx),
        selected=selected,
    )
    after = merged.as_changes()

    def take_over() -> None:
        if transaction.revision != revision:
            raise SessionStateError(
                "the session was written to while a node was restored; try again",
                ErrorKind.NOT_ALLOWED,
            )
        transaction.replace_changes(after)

    held(transaction.lock, take_over)


def squash(
    ctx: RepoContext,
    branch: str,
    since: ObjectId,
    message: str,
    metadata: dict[str, Any] | None = None,
) -> ObjectId:
    """Replace the commits of a branch after one of its ancestors by a single commit.

    The former commits stay in the repository until garbage collection.

    Returns
    -------
    ObjectId
        The new tip; its tree is that of the former tip, its log the difference.

    Raises
    ------
    InvalidInputError
        `since` is not an ancestor of the branch, or is its tip.
    ConflictError
        The branch moved meanwhile; nothing was changed.
    """
    refuse_lineage_key(metadata)
    tip = ctx.ref_store.writable_tip(branch)
    replaced = []
    for record in ctx.ref_store.ancestry(tip):
        if record.id == since:
            break
        replaced.append(record.id)
    else:
        raise InvalidInputError(
            f"{id_text(since)} is not in the history of {branch}; name one of its commits",
            ErrorKind.NOT_ALLOWED,
        )
    if not replaced:
        raise InvalidInputError(
            f"{id_text(since)} is the tip of {branch}: there is nothing to squash after it",
            ErrorKind.NO_CHANGES_TO_COMMIT,
        )
    before = state_of(ctx, since)
    merged = three_way(before, state_of(ctx, tip), before, Verdicts(), partial(same_content, ctx))
    laid = Laid.of(merged, since)
    lineage = Lineage("squash", (since,), since, branch, tuple(reversed(replaced)))
    full = with_lineage({**ctx.default_metadata, **json_object(metadata)}, lineage)
    flushed = flush(ctx, laid.snapshot, laid.changes, message, full, laid.log)
    transaction = Transaction(
        ctx, since, mode=SessionMode.writable, changes=laid.changes, base=laid.snapshot
    )
    record = record_of(flushed, since)

    def register() -> None:
        # Two steps: after a crash between them the branch is as it was, and the new snapshot is
        # collected like any other without a ref.
        ctx.ref_store.detach(record)
        ctx.ref_store.reset_branch(branch, record.id, tip)

    made_durable(transaction, flushed, register)
    return record.id
