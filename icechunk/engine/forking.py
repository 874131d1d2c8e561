"""Forks: copies of a transaction for other threads and processes, to be merged back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.merge import Fork, merge
from icechunk.core.errors import ConflictError, ErrorKind, SessionStateError
from icechunk.core.ids import NodeId, ObjectId, id_text
from icechunk.core.locks import held
from icechunk.engine.commit import write_base
from icechunk.engine.context import RepoContext
from icechunk.engine.open_merge import OpenMerge
from icechunk.engine.reader import ArrayReader
from icechunk.engine.removals import with_removals
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.engine.unchanged import equal_bytes
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.spec.snapshot.snapshot import Snapshot


def fork(transaction: Transaction) -> Transaction:
    """Fork a transaction: its present state becomes the base of a child without changes.

    Raises
    ------
    SessionStateError
        Kind ``cannot-fork-read-only-session``.
    """
    if transaction.mode is SessionMode.readonly:
        raise SessionStateError(
            "cannot fork a read-only session; fork one made by `Repository.writable_session`, or "
            "send the read-only session itself, which can be pickled",
            ErrorKind.CANNOT_FORK_READ_ONLY_SESSION,
        )

    def base_of_child() -> ObjectId:
        if transaction.changes.is_empty:
            return transaction.base_id
        return write_base(transaction).id

    base = held(transaction.lock, base_of_child)
    child = Transaction(transaction.ctx, base, mode=SessionMode.writable)
    child.origin = transaction.base_id if transaction.origin is None else transaction.origin
    return child


def draft(transaction: Transaction) -> tuple[Transaction, int]:
    """Copy a transaction to change the hierarchy in; also return the revision of the copy.

    A failure leaves the transaction unchanged; after success, `adopt` installs the draft.
    """
    revision, changes = transaction.copied()
    copy = Transaction(
        transaction.ctx,
        transaction.base_id,
        mode=transaction.mode,
        branch=transaction.branch,
        changes=changes,
    )
    copy.origin = transaction.origin
    return copy, revision


def adopt(transaction: Transaction, drafted: Transaction, revision: int) -> bool:
    """Take over the changes of a draft; False when the transaction changed since it was made.

    Raises
    ------
    ReadOnlyError, SessionStateError
        When `transaction` takes no writes.
    """

    def take_over() -> bool:
        transaction.check_writable()
        if transaction.revision != revision or transaction.base_id != drafted.base_id:
            return False
        transaction.replace_changes(drafted.changes)
        return True

    return held(transaction.lock, take_over)


def check_mergeable(into: Transaction, child: Transaction, *, any_base: bool = False) -> None:
    """Raise unless a child's changes can be added to a transaction.

    Parameters
    ----------
    into, child : Transaction
        Receiver, and source of the changes.
    any_base : bool
        Accept a child that was made over another snapshot.

    Raises
    ------
    SessionStateError
        Kind ``merge-not-allowed`` for a branch session merged into a fork.
    ReadOnlyError
        When `into` takes no writes.
    ConflictError
        Kind ``merge-failed`` when the child was made over another snapshot: its chunks could
        silently undo commits in between.
    """
    into.check_writable()
    if into.origin is not None and child.origin is None:
        raise SessionStateError(
            "cannot merge a branch session into a fork session; merge forks into the session they "
            "came from",
            ErrorKind.MERGE_NOT_ALLOWED,
        )
    if child.mode is SessionMode.rearrange:
        raise SessionStateError(
            "This session was created to rearrange the hierarchy, other write operations cannot be "
            "executed: it cannot be merged. Commit it by itself",
            ErrorKind.REARRANGE_SESSION_ONLY,
        )
    if child.mode is SessionMode.readonly or any_base:
        return
    base = child.base_id if child.origin is None else child.origin
    if base != (into.base_id if into.origin is None else into.origin):
        raise ConflictError(
            message=f"cannot merge a session based on snapshot {id_text(base)} into one based on "
            f"{id_text(into.base_id)}: what was committed in between would be undone silently; "
            "fork again from the present session",
            kind=ErrorKind.MERGE_FAILED,
        )


def merge_children(into: Transaction, children: list[Transaction], *, last_wins: bool) -> None:
    """Merge the changes of other transactions into one, all of them or none.

    Raises
    ------
    ConflictError, SessionStateError, ReadOnlyError
        See `check_mergeable` and `icechunk.changes.merge.merge`.
    """
    for child in children:
        check_mergeable(into, child, any_base=last_wins)
    children = [child for child in children if not child.changes.is_empty]
    if not children:
        return
    same = None if last_wins else partial(equal_bytes, into.ctx.storage)
    forks = _as_forks(children, into.ctx.files)

    def united(changes: ChangeSet) -> ChangeSet:
        changes = with_removals(changes, into.base, into.ctx.files)
        for one in forks:
            merge(changes, into.base.nodes, one, same)
        return changes

    # Merging may read chunks, so it runs without the lock.  If the session changed meanwhile, it
    # runs again with the lock held.
    before, former = into.copied()
    changes = united(former)

    def take_in() -> None:
        into.check_writable()
        still = into.revision == before
        into.replace_changes(changes if still else united(into.changes.copy()))

    held(into.lock, take_in)


def _as_forks(children: list[Transaction], files: RepositoryFiles) -> list[Fork]:
    """State of every child at the fork, and its changes since."""
    tables: dict[tuple[ObjectId, NodeId], ChunkTable] = {}

    def references(base: Snapshot, node: NodeSnapshot) -> ChunkTable:
        key = base.id, node.id  # forks made together share their base
        if key not in tables:
            tables[key] = ArrayReader(node, base, None, files).base_table()
        return tables[key]

    return [
        Fork(
            child.base.nodes,
            with_removals(child.changes, child.base, files),
            partial(references, child.base),
        )
        for child in children
    ]


@dataclass(frozen=True, slots=True)
class SessionRecipe:
    """The pickled form of a transaction: references and settings, no clients."""

    ctx: RepoContext
    base: ObjectId
    mode: SessionMode
    branch: str | None
    origin: ObjectId | None
    changes: ChangeSet
    may_travel: bool
    merging: OpenMerge | None = None

    @classmethod
    def of(cls, transaction: Transaction) -> SessionRecipe:
        """Recipe of a transaction, whose chunks are made durable first."""
        transaction.seal()
        changes, merging = held(
            transaction.lock, lambda: (transaction.changes.copy(), transaction.merging)
        )
        return cls(
            transaction.ctx,
            transaction.base_id,
            transaction.mode,
            transaction.branch,
            transaction.origin,
            changes,
            transaction.may_travel > 0,
            None if merging is None else replace(merging, revision=-1),
        )

    def restore(self) -> Transaction:
        """Restore the transaction in this process, without I/O.

        A copy made under `Session.allow_pickling` may be pickled again, to return its changes.
        """
        again = Transaction(
            self.ctx,
            self.base,
            mode=self.mode,
            branch=self.branch,
            changes=self.changes,
            merging=self.merging,
        )
        again.origin = self.origin
        again.may_travel = int(self.may_travel)
        return again
