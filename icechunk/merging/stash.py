"""Stashes: uncommitted changes of a session, kept as a snapshot that a hidden branch holds.

The branch protects the snapshot from garbage collection by every implementation; a snapshot without
a ref is collected once its file is old enough.  Other implementations list it as a branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.to_log import transaction_log
from icechunk.conflicts.model import Conflict
from icechunk.core.clock import to_datetime
from icechunk.core.errors import (
    ErrorKind,
    MergeConflictError,
    RefNotFoundError,
    SessionStateError,
)
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.core.locks import held
from icechunk.engine.commit import record_of
from icechunk.engine.commit_logs import united
from icechunk.engine.context import RepoContext
from icechunk.engine.durability import made_durable
from icechunk.engine.flush import flush
from icechunk.engine.open_merge import OpenMerge
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.merging.expired_base import expired_base, logs_of
from icechunk.merging.graph import CommitGraph
from icechunk.merging.laying import same_content, state_of
from icechunk.merging.merge_session import resume
from icechunk.merging.state import State
from icechunk.merging.three_way import three_way
from icechunk.merging.verdicts import Verdicts
from icechunk.refs.base import RefStore
from icechunk.refs.capabilities import Capability
from icechunk.refs.stash_names import STASH_PREFIX, is_stash
from icechunk.spec.repo.lineage import Lineage, lineage_of, with_lineage
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp


@dataclass(frozen=True, slots=True)
class StashInfo:
    """One stash.

    Attributes
    ----------
    index : int
        Its number, 0 for the newest; changes when others are dropped.
    snapshot_id : str
        The stashed state.
    message : str
    branch : str
        Branch of the session that was stashed; empty for a session without one.
    base : str
        Snapshot that the changes were made over.
    written_at : datetime
        UTC.
    ref : str
        Name of the branch that holds it.
    merges : tuple of str
        Of a merge that was put aside: names of what it merges.
    """

    index: int
    snapshot_id: str
    message: str
    branch: str
    base: str
    written_at: datetime
    ref: str
    merges: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "index": self.index,
            "snapshot_id": self.snapshot_id,
            "message": self.message,
            "branch": self.branch,
            "base": self.base,
            "written_at": self.written_at.isoformat(),
            "ref": self.ref,
            "merges": list(self.merges),
        }


def stash(transaction: Transaction, message: str) -> ObjectId:
    """Keep the changes of a session, and leave it without any.

    A crash leaves the stash and the session's changes, never neither.

    Raises
    ------
    SessionStateError
        Kind ``no-changes-to-commit`` without changes, ``not-allowed`` for a fork.
    ReadOnlyError
        For a read-only session.
    """
    if transaction.mode is not SessionMode.rearrange:
        transaction.check_writable()
    if transaction.origin is not None:
        raise SessionStateError(
            "a fork cannot be stashed; merge it into the session it came from, and stash that",
            ErrorKind.NOT_ALLOWED,
        )
    if transaction.changes.is_empty and transaction.merging is None:
        raise SessionStateError(
            "there are no uncommitted changes to stash", ErrorKind.NO_CHANGES_TO_COMMIT
        )

    def keep() -> ObjectId:
        ctx, base, merging = transaction.ctx, transaction.base, transaction.merging
        form = None if merging is None else merging.to_dict()
        branch = transaction.branch or ""
        lineage = Lineage("stash", (base.id,), base.id, branch, merging=form)
        metadata = with_lineage(ctx.default_metadata, lineage)
        flushed = flush(ctx, base, transaction.changes, message, metadata)
        record = record_of(flushed, base.id)
        made_durable(transaction, flushed, partial(_register, ctx.ref_store, record))
        transaction.replace_changes(ChangeSet(), merging=None)
        return record.id

    return transaction.exclusively(keep)


def _register(ref_store: RefStore, record: SnapshotRecord) -> None:
    name = f"{STASH_PREFIX}{_next_number(ref_store.branches())}-{id_text(record.id)}"
    if Capability.REPO_OBJECT not in ref_store.capabilities:
        ref_store.detach(record)
        ref_store.create_branch(name, record.id)
        return

    def change(state: RepoState, stamp: Stamp) -> RepoState:
        # One publication: a stash without its branch could be collected.
        return state.with_detached(record, stamp).with_branch(name, record.id, stamp)

    ref_store.update(change)


def _next_number(branches: Mapping[str, ObjectId]) -> int:
    return max((_number(name) for name in branches if is_stash(name)), default=0) + 1


def _number(name: str) -> int:
    digits = name[len(STASH_PREFIX) :].partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def stashes(ctx: RepoContext) -> list[StashInfo]:
    """All stashes of a repository, newest first."""
    branches = ctx.ref_store.branches()
    names = sorted(filter(is_stash, branches), key=_number, reverse=True)
    return [_info(ctx, index, name, branches[name]) for index, name in enumerate(names)]


def _info(ctx: RepoContext, index: int, name: str, snapshot_id: ObjectId) -> StashInfo:
    record = ctx.ref_store.snapshot(snapshot_id)
    lineage = lineage_of(record.metadata)
    base = None if lineage is None else lineage.base
    merging = None if lineage is None else OpenMerge.from_dict(lineage.merging)
    return StashInfo(
        index=index,
        snapshot_id=id_text(snapshot_id),
        message=record.message,
        branch="" if lineage is None else lineage.source,
        base="" if base is None else id_text(base),
        written_at=to_datetime(record.flushed_at),
        ref=name,
        merges=() if merging is None else merging.names,
    )


def find_stash(ctx: RepoContext, which: int | str) -> StashInfo:
    """A stash by its number or the id of its snapshot.

    Raises
    ------
    RefNotFoundError
        Kind ``ref-not-found``.
    """
    found = stashes(ctx)
    for one in found:
        if which in (one.index, one.snapshot_id, one.ref):
            return one
    kept = f"there are {len(found)}, numbered from 0" if found else "there are none"
    raise RefNotFoundError(f"no stash {which}: {kept}", ErrorKind.REF_NOT_FOUND)


def drop_stash(ctx: RepoContext, which: int | str) -> StashInfo:
    """Remove a stash; its snapshot stays until garbage collection.

    Raises
    ------
    RefNotFoundError
        Kind ``ref-not-found``.
    """
    found = find_stash(ctx, which)
    ctx.ref_store.delete_branch(found.ref)
    return found


def apply_stash(transaction: Transaction, which: int | str, verdicts: Verdicts) -> list[Conflict]:
    """Lay a stash on the changes of a session, whatever its base is by now.

    A merge that was put aside goes on, with its decisions.

    Returns
    -------
    list of Conflict
        What is not decided; then the session is as it was.

    Raises
    ------
    RefNotFoundError
        Kind ``ref-not-found``.
    SessionStateError
        Kind ``not-allowed`` when the session was written to meanwhile.
    """
    if transaction.mode is not SessionMode.rearrange:
        transaction.check_writable()
    ctx = transaction.ctx
    found = find_stash(ctx, which)
    stashed = ctx.files.snapshot(parse_object_id(found.snapshot_id))
    base = parse_object_id(found.base) if found.base else None
    lineage = lineage_of(stashed.metadata)
    merging = None if lineage is None else OpenMerge.from_dict(lineage.merging)
    if merging is not None and base is not None:
        state = State(stashed, ChangeSet(), ctx.files)
        resume(transaction, merging, state, base, verdicts.decisions)
        return []
    revision, changes = transaction.copied()
    source = State(stashed, ChangeSet(), ctx.files)
    target = State(transaction.base, changes, ctx.files)
    before, unclear = _base_of(ctx, base, source, target, verdicts)
    merged = three_way(before, source, target, verdicts, partial(same_content, ctx))
    merged.conflicts.extend(unclear)
    if merged.conflicts:
        return merged.conflicts
    after = merged.as_changes()

    def take_over() -> None:
        if transaction.revision != revision:
            raise SessionStateError(
                "the session was written to while a stash was laid on it; try again",
                ErrorKind.NOT_ALLOWED,
            )
        transaction.replace_changes(after)

    held(transaction.lock, take_over)
    return []


def _base_of(
    ctx: RepoContext, base: ObjectId | None, source: State, target: State, verdicts: Verdicts
) -> tuple[State | None, list[Conflict]]:
    """The state that was stashed over, rebuilt from logs where it expired."""
    if base is None:
        return None, []
    graph = CommitGraph(ctx.ref_store)
    if base in graph:
        return state_of(ctx, base), []
    known = graph.is_ancestor(base, target.snapshot.id)
    log = logs_of(ctx, graph.way(base, target.snapshot.id)) if known else None
    if log is not None:
        log = united([log, transaction_log(log.id, target.changes)])
    return expired_base(source, target, logs_of(ctx, [source.snapshot.id]), log, verdicts)


def pop_stash(
    transaction: Transaction, which: int | str, verdicts: Verdicts, *, keep: bool = False
) -> StashInfo:
    """Lay a stash on the changes of a session, then remove the stash unless it is to be kept.

    Raises
    ------
    MergeConflictError
        The session changed the same things; nothing was changed, the stash is kept.
    RefNotFoundError
        Kind ``ref-not-found``.
    """
    found = find_stash(transaction.ctx, which)
    conflicts = apply_stash(transaction, found.ref, verdicts)
    if conflicts:
        into = (
            "the session" if transaction.branch is None else f"the session on {transaction.branch}"
        )
        raise MergeConflictError(into, [f"stash {found.index}"], conflicts)
    if not keep:
        drop_stash(transaction.ctx, found.ref)
    return found
