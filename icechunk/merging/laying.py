"""Publish merged states as commits of a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.tree_view import TreeView
from icechunk.conflicts.model import Conflict
from icechunk.core.errors import ErrorKind, SnapshotNotFoundError
from icechunk.core.ids import ObjectId, id_text
from icechunk.engine.commit import publish, requested
from icechunk.engine.commit_logs import united
from icechunk.engine.context import RepoContext
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.engine.unchanged import equal_bytes
from icechunk.files.layout import snapshot_key
from icechunk.merging.merged import Merged
from icechunk.merging.state import State
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.lineage import Lineage, with_lineage
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp
from icechunk.spec.snapshot.snapshot import Snapshot
from icechunk.spec.transaction_log.diff import Diff, DiffBuilder
from icechunk.spec.transaction_log.log import TransactionLog

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from icechunk.spec.manifest.chunk_table import ChunkTable


def state_of(ctx: RepoContext, snapshot_id: ObjectId) -> State:
    """A committed state."""
    return State(ctx.files.snapshot(snapshot_id), ChangeSet(), ctx.files)


def result_of(ctx: RepoContext, merged: Merged) -> State:
    """The state that a merge leads to."""
    return State(*merged.laid, ctx.files)


def same_content(ctx: RepoContext, one: ChunkTable, two: ChunkTable) -> NDArray[np.bool_]:
    """Which chunks of two tables are equal bytes in different places; bool of shape ``(n,)``."""
    return equal_bytes(ctx.storage, one, two, to_the_end=True)


@dataclass(frozen=True, slots=True)
class Laid:
    """Sources laid over a target, one after the other; what a commit writes.

    Attributes
    ----------
    target : State
        What they were laid over.
    snapshot, changes
        See `Merged.laid`.
    log : TransactionLog
        What the commit changes.
    conflicts : list of Conflict
        What is not decided.
    base : ObjectId or None
        The merge base, where there is exactly one.
    """

    target: State
    snapshot: Snapshot
    changes: ChangeSet
    log: TransactionLog
    conflicts: list[Conflict]
    base: ObjectId | None

    @classmethod
    def of(cls, merged: Merged, base: ObjectId | None) -> Laid:
        """One source laid over its target."""
        return cls(merged.target, *merged.laid, merged.log, merged.conflicts, base)

    def then(self, further: Laid) -> Laid:
        """This, with a source laid over its result."""
        return Laid(
            self.target,
            further.snapshot,
            further.changes,
            united([self.log, further.log]),
            [*self.conflicts, *further.conflicts],
            None,
        )

    def diff(self) -> Diff:
        """What the commit would change, in the public form."""
        builder = DiffBuilder()
        builder.add(self.log)
        return builder.build(self.target.tree, TreeView(self.snapshot.nodes, self.changes))


def commit_laid(
    ctx: RepoContext,
    branch: str,
    laid: Laid,
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
    base = laid.snapshot
    transaction = Transaction(
        ctx, base.id, mode=SessionMode.writable, branch=branch, changes=laid.changes, base=base
    )
    request = requested(transaction, lineage.kind, message, metadata)
    register = registration(ctx, bool(laid.log.moved), sources)
    full = with_lineage(request.metadata, lineage)
    return transaction.exclusively(
        lambda: publish(transaction, request, register, full, lambda _: laid.log)
    )


def registration(
    ctx: RepoContext, moves: bool, sources: Iterable[ObjectId]
) -> Callable[[str, ObjectId, SnapshotRecord], None]:
    """Function that moves the branch to a merge while its sources are still in the repository."""
    ref_store = ctx.ref_store
    if Capability.REPO_OBJECT not in ref_store.capabilities:
        if moves:
            ref_store.require(Capability.REPO_OBJECT)

        def register_ref(branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
            for source in sources:
                # Asks the storage: the file may be in memory although it was collected.
                if ctx.storage.head(snapshot_key(source)) is None:
                    raise _expired(source)
            ref_store.commit(branch, expected, record)

        return register_ref

    def register(branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        def change(state: RepoState, stamp: Stamp) -> RepoState:
            if moves:
                state.require_flag("move_node", "merge branches of which one moved nodes")
            for source in sources:
                if source not in state.snapshots:
                    raise _expired(source)
            return state.with_commit(branch, expected, record, stamp)

        ref_store.update(change)

    return register


def _expired(source: ObjectId) -> SnapshotNotFoundError:
    return SnapshotNotFoundError(
        f"snapshot {id_text(source)} expired, or was collected, while it was merged; nothing was "
        "committed",
        ErrorKind.SNAPSHOT_NOT_FOUND,
    )
