"""Rebase: bring a session's changes past the commits that other writers made, oldest first.

For every commit the solver gets its transaction log, its hierarchy, and our changes.  It returns
the changes to continue with, or the conflicts that stop the rebase.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.tree_view import TreeView
from icechunk.conflicts.detector import detect
from icechunk.conflicts.model import (
    Conflict,
    ConflictReport,
    ConflictSolver,
    ConflictType,
    Patched,
    Unsolvable,
)
from icechunk.core.errors import (
    ErrorKind,
    RebaseFailedError,
    RefNotFoundError,
    SessionStateError,
    StorageError,
)
from icechunk.core.ids import NodeId, ObjectId, id_text
from icechunk.engine.context import RepoContext
from icechunk.engine.logged import logged
from icechunk.engine.reader import ArrayReader
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.spec.manifest.chunk_table import ChunkTable, Location
from icechunk.spec.manifest.coordinates import ChunkIndex, Coords, bounding_box, sorted_unique
from icechunk.spec.manifest.extents import overlaps
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.transaction_log.log import TransactionLog


class OwnView(TreeView):
    """The session's hierarchy; its chunks are those from before either side changed them.

    Implements `ChunkReader`.
    """

    __slots__ = ("_files", "_origin")

    def __init__(self, transaction: Transaction, changes: ChangeSet) -> None:
        super().__init__(transaction.base.nodes, changes)
        self._origin = transaction.opened_at
        self._files = transaction.ctx.files

    def chunk(self, node_id: NodeId, coords: ChunkIndex) -> Location | None:
        """Where a chunk was, or None."""
        table = self.references(node_id, np.array([coords], np.uint32))
        return table.location(0) if len(table) else None

    def references(self, node_id: NodeId, coords: Coords) -> ChunkTable:
        """Where many chunks were; those that were not there have no row."""
        node = self._origin.nodes.by_id(node_id)
        if node is None or node.array is None or len(node.array.num_chunks) != coords.shape[1]:
            return ChunkTable.empty(coords.shape[1])
        # Manifests elsewhere need not be fetched.
        box = bounding_box(coords)
        manifests = tuple(ref for ref in node.array.manifests if overlaps(ref.extents, box))
        part = replace(node, array=replace(node.array, manifests=manifests))
        table = ArrayReader(part, self._origin, None, self._files).base_table()
        rows = table.find_many(coords)
        return table.select(rows[rows >= 0])


@logged("rebase")
def rebase(transaction: Transaction, solver: ConflictSolver) -> None:
    """Move a transaction's base to the tip of its branch.

    After every commit passed the base advances to it.  A failure leaves the changes intact over the
    last commit passed, so that a retry continues from there.

    Raises
    ------
    RebaseFailedError
        The solver left conflicts with a commit.
    SessionStateError
        Kind ``commit-not-allowed`` for read-only sessions and forks.
    """
    _check(transaction)
    for record in _to_replay(transaction):
        changes = transaction.changes
        theirs = transaction.ctx.files.snapshot(record.id)
        for log in logs_of(transaction.ctx, record):
            own = OwnView(transaction, changes)
            # Solvers must not edit what they are given; those of users get a copy, in case they do.
            given = changes if _is_ours(solver) else changes.copy()
            outcome = solver.solve(log, theirs.nodes, given, own)
            if isinstance(outcome, Unsolvable):
                raise RebaseFailedError(id_text(record.id), outcome.conflicts)
            if not isinstance(outcome, Patched):
                raise TypeError(
                    f"{type(solver).__qualname__}.solve returned {outcome!r}; it must return "
                    "`icechunk.conflicts.Patched(changes)` to continue with these changes, or "
                    "`icechunk.conflicts.Unsolvable(conflicts)` to stop. The session is unchanged"
                )
            changes = outcome.changes
        transaction.move_base(record.id, changes)


def _is_ours(solver: ConflictSolver) -> bool:
    return type(solver).__module__.partition(".")[0] == "icechunk"


def plan(transaction: Transaction) -> ConflictReport:
    """Conflicts of a rebase over all commits since the base; nothing is changed."""
    _check(transaction)
    found: list[Conflict] = []
    first: ObjectId | None = None
    tip = transaction.base_id
    for record in _to_replay(transaction):
        theirs = transaction.ctx.files.snapshot(record.id)
        for log in logs_of(transaction.ctx, record):
            conflicts = detect(log, theirs.nodes, transaction.changes, transaction.tree)
            if conflicts and first is None:
                first = record.id
            found.extend(conflicts)
        tip = record.id
    assert transaction.branch is not None
    return ConflictReport(
        branch=transaction.branch,
        base=id_text(transaction.base_id),
        tip=id_text(tip),
        snapshot=None if first is None else id_text(first),
        conflicts=_united(found),
    )


def _check(transaction: Transaction) -> None:
    if transaction.mode is SessionMode.readonly or transaction.branch is None:
        transaction.check_not_published("there is nothing to rebase")
        raise SessionStateError(
            "commits are not allowed on read-only or forked sessions, so there is nothing to "
            "rebase; merge forked sessions back into the session they came from",
            ErrorKind.COMMIT_NOT_ALLOWED,
        )


def _to_replay(transaction: Transaction) -> list[SnapshotRecord]:
    """Commits between the base and the branch's tip, oldest first."""
    assert transaction.branch is not None
    try:
        history = transaction.ctx.ref_store.branch_ancestry(transaction.branch)
    except RefNotFoundError:
        return []
    newer: list[SnapshotRecord] = []
    for record in history:
        if record.id == transaction.base_id:
            return newer[::-1]
        newer.append(record)
    # The branch was reset to a history without our base: all of it is replayed but the root,
    # which has nothing to replay.
    return [record for record in newer[::-1] if record.parent_id is not None] or newer


def logs_of(ctx: RepoContext, record: SnapshotRecord) -> list[TransactionLog]:
    """Logs of a commit: those of pruned ancestors first, then its own."""
    logs = []
    for snapshot_id in (*record.pruned, record.id):
        try:
            logs.append(ctx.files.log(snapshot_id))
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            raise SessionStateError(
                f"the transaction log of snapshot {id_text(snapshot_id)} is gone (expired and "
                "collected), so this session cannot be rebased over it; open a new session and "
                "apply the changes again",
                ErrorKind.REBASE_TX_LOG_PRUNED,
            ) from error
    return logs


def _united(found: list[Conflict]) -> list[Conflict]:
    """One conflict per kind and path, the chunks of several commits taken together."""
    united: dict[tuple[ConflictType, str], Conflict] = {}
    for conflict in found:
        key = conflict.conflict_type, conflict.path
        former, chunks = united.get(key), conflict.chunk_array
        if former is None or former.chunk_array is None or chunks is None:
            united[key] = conflict
        else:
            stacked = np.concatenate((former.chunk_array, chunks))
            united[key] = Conflict.of_chunks(conflict.path, sorted_unique(stacked))
    return list(united.values())
