"""Publish merged states as commits of a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.core.errors import ErrorKind, SnapshotNotFoundError
from icechunk.core.ids import ObjectId, id_text
from icechunk.engine.commit import publish, requested
from icechunk.engine.context import RepoContext
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.merging.lineage import Lineage, with_lineage
from icechunk.merging.state import State
from icechunk.merging.three_way import Merged
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState


def state_of(ctx: RepoContext, snapshot_id: ObjectId) -> State:
    """A committed state."""
    return State(ctx.files.snapshot(snapshot_id), ChangeSet(), ctx.files)


def commit_merged(
    ctx: RepoContext,
    branch: str,
    merged: Merged,
    lineage: Lineage,
    message: str,
    metadata: dict[str, Any] | None,
    sources: Sequence[ObjectId] = (),
) -> ObjectId:
    """Make a merged state the new tip of its branch.

    Parameters
    ----------
    sources : sequence of ObjectId
        Snapshots that must still be in the repository when the branch moves.

    Raises
    ------
    ConflictError
        The branch moved since the merge was laid on its tip.
    SnapshotNotFoundError
        A source was expired or collected meanwhile.
    FeatureFlagError
        The merge moves nodes, which this repository does not allow.
    """
    transaction = Transaction(
        ctx,
        merged.snapshot.id,
        mode=SessionMode.writable,
        branch=branch,
        changes=merged.changes,
        base=merged.snapshot,
    )
    request = requested(transaction, lineage.kind, message, metadata)
    register = _registration(ctx, bool(merged.log.moved), sources)
    full = with_lineage(request.metadata, lineage)
    return publish(transaction, request, register, full, lambda _: merged.log)


def _registration(
    ctx: RepoContext, moves: bool, sources: Iterable[ObjectId]
) -> Callable[[str, ObjectId, SnapshotRecord], None]:
    ref_store = ctx.ref_store
    if Capability.REPO_OBJECT not in ref_store.capabilities:
        if moves:
            ref_store.require(Capability.REPO_OBJECT)
        return ref_store.commit

    def register(branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        def change(state: RepoState, at: int, backup: str, limit: int) -> RepoState:
            if moves:
                state.require_flag("move_node", "merge branches of which one moved nodes")
            for source in sources:
                if source not in state.snapshots:
                    raise SnapshotNotFoundError(
                        f"snapshot {id_text(source)} was expired while it was merged; nothing "
                        "was committed",
                        ErrorKind.SNAPSHOT_NOT_FOUND,
                    )
            return state.with_commit(
                branch, expected, record, at=at, backup_path=backup, limit=limit
            )

        ref_store.update(change)

    return register
