"""`Session`: one checkout of a repository, its uncommitted changes and how they are committed."""

from __future__ import annotations

from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.merge import merge
from icechunk.config.repository import RepositoryConfig
from icechunk.conflicts.model import ConflictReport, ConflictSolver
from icechunk.engine import commit as committing
from icechunk.engine import rebase as rebasing
from icechunk.engine.diffing import status
from icechunk.engine.forking import ForkRecipe, check_mergeable, fork
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.ground.errors import ConflictError, ErrorKind, ReadOnlyError, RebaseFailedError
from icechunk.ground.ids import id_text, parse_object_id
from icechunk.ground.runtime import twin
from icechunk.model.diff import Diff
from icechunk.store.zarr_store import IcechunkStore

__all__ = [
    "ConflictError",
    "ForkSession",
    "RebaseFailedError",
    "Session",
    "SessionMode",
]

NOT_PICKLABLE = (
    "You must opt-in to pickle writable sessions in a distributed context: use `Session.fork()`, "
    "send the forks to the workers, and merge what they return with `Session.merge()`"
)


class Session:
    """One checkout: a base snapshot and the changes made over it.

    Made by `Repository.writable_session`, `Repository.readonly_session` and `Session.fork`.
    A session and its stores may be used from several threads.
    """

    __module__ = "icechunk"

    def __init__(self, session: Transaction) -> None:
        self._transaction = session

    @property
    def _session(self) -> Session:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self._transaction is other._transaction

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        lines = [f"<icechunk.{type(self).__name__}>", f"read_only: {self.read_only}"]
        lines.append(f"snapshot_id: {self.snapshot_id}")
        if self.branch is not None:
            lines.append(f"branch: {self.branch}")
            lines.append(f"has_uncommitted_changes: {self.has_uncommitted_changes}")
        return "\n".join(lines)

    __repr__ = __str__

    def __reduce__(self) -> tuple[Any, ...]:
        transaction = self._transaction
        if transaction.mode is not SessionMode.readonly:
            raise ValueError(NOT_PICKLABLE)
        return _read_only_session, (transaction.ctx, transaction.base.id)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written."""
        return self._transaction.mode is SessionMode.readonly

    @property
    def mode(self) -> SessionMode:
        """What may be changed."""
        return self._transaction.mode

    @property
    def snapshot_id(self) -> str:
        """Id of the base snapshot."""
        return id_text(self._transaction.base.id)

    @property
    def branch(self) -> str | None:
        """Branch that a commit moves; None when read-only or forked."""
        return self._transaction.branch

    @property
    def has_uncommitted_changes(self) -> bool:
        """Whether there is anything to commit."""
        return not self._transaction.changes.is_empty

    @property
    def config(self) -> RepositoryConfig:
        """A copy of the repository's effective configuration."""
        return RepositoryConfig().merge(self._transaction.ctx.config)

    @property
    def store(self) -> IcechunkStore:
        """Zarr store that reads and writes through this session."""
        return IcechunkStore(self)

    def status(self) -> Diff:
        """What changed since the base snapshot."""
        return status(self._transaction)

    def at_snapshot(self, snapshot_id: str) -> Session:
        """Read-only session on another snapshot of the same repository.

        Parameters
        ----------
        snapshot_id : str
            20-character id.
        """
        wanted = parse_object_id(snapshot_id)
        ctx = self._transaction.ctx
        ctx.ledger.snapshot(wanted)
        return Session(Transaction(ctx, wanted, mode=SessionMode.readonly))

    # -- what it does ----------------------------------------------------------------------------

    def discard_changes(self) -> None:
        """Forget every uncommitted change; stores of this session see it at once.

        Raises
        ------
        ReadOnlyError
            For a read-only session.
        """
        if self.read_only:
            raise ReadOnlyError(
                "Read only sessions cannot modify the repository, there is nothing to discard",
                ErrorKind.READ_ONLY_SESSION,
            )
        self._transaction.replace_changes(ChangeSet())

    def commit(
        self,
        message: str,
        metadata: dict[str, Any] | None = None,
        rebase_with: ConflictSolver | None = None,
        rebase_tries: int = 1_000,
        allow_empty: bool = False,
    ) -> str:
        """Make the changes the new tip of the branch.

        When this returns, the commit is on durable storage and every other session that opens the
        branch sees it.  This session is read-only on the new snapshot from then on.

        Parameters
        ----------
        message : str
            What was done and why.
        metadata : dict, optional
            JSON values kept with the snapshot; merged over the repository's default metadata.
        rebase_with : ConflictSolver, optional
            When the branch moved meanwhile, rebase with this solver and try again.
        rebase_tries : int
            How often at most.
        allow_empty : bool
            Commit also when nothing changed.

        Returns
        -------
        str
            Id of the new snapshot.

        Raises
        ------
        ConflictError
            The branch moved; the session keeps its changes.
        RebaseFailedError
            `rebase_with` left conflicts; the session keeps its changes.
        SessionStateError
            Kinds ``no-changes-to-commit`` and ``commit-not-allowed``.
        """
        if not isinstance(message, str):
            raise TypeError(f"a commit message must be a str, not {type(message).__name__}")
        snapshot_id = committing.commit(
            self._transaction,
            message,
            metadata,
            rebase_with=rebase_with,
            rebase_tries=rebase_tries,
            allow_empty=allow_empty,
        )
        return id_text(snapshot_id)

    def flush(self, message: str, metadata: dict[str, Any] | None = None) -> str:
        """Write a snapshot that no branch points to; the session becomes read-only on it.

        Returns
        -------
        str
            Id of the snapshot, to be read, branched or tagged by id.
        """
        return id_text(committing.flush_detached(self._transaction, message, metadata))

    def rebase(self, solver: ConflictSolver) -> None:
        """Replay the commits made to the branch meanwhile under this session's changes.

        Parameters
        ----------
        solver : ConflictSolver
            Decides what both sides changed, e.g. `BasicConflictSolver` or `DecisionSolver`.

        Raises
        ------
        RebaseFailedError
            Conflicts were left; the session keeps its changes over the last commit passed.
        """
        if not isinstance(solver, ConflictSolver):
            raise TypeError(
                f"solver must be a ConflictSolver, not {type(solver).__name__}; use e.g. "
                "`icechunk.ConflictDetector()`"
            )
        rebasing.rebase(self._transaction, solver)

    def conflicts(self) -> ConflictReport:
        """What a rebase onto the branch's tip would meet; nothing is changed.

        Returns
        -------
        ConflictReport
            The conflicts with all commits made meanwhile, one per kind and path.
        """
        return rebasing.plan(self._transaction)

    def fork(self) -> ForkSession:
        """A child that can be pickled, written to elsewhere, and merged back.

        A session with changes writes them as a snapshot without a branch first, so that the child
        sees them.

        Raises
        ------
        SessionStateError
            Kind ``cannot-fork-read-only-session``.
        """
        return ForkSession(fork(self._transaction))

    def merge(self, *others: Session, other: Session | None = None) -> None:
        """Take in the changes of forks.

        Parameters
        ----------
        *others : ForkSession
            Forks of this session, back from their workers.

        Raises
        ------
        ConflictError
            Kind ``merge-failed``: two sides changed the same thing; nothing is merged then.
            Names the arrays and chunks.
        """
        mine = self._transaction
        everyone = others if other is None else (*others, other)
        children = [one._transaction for one in everyone if one._transaction is not mine]
        for child in children:
            check_mergeable(mine, child)
        with mine.lock:
            united = mine.changes.copy()
            for child in children:
                if not child.changes.is_empty:
                    merge(united, child.changes, mine.tree, mine.shared_with(child))
            mine.replace_changes(united)

    commit_async = twin(commit)
    flush_async = twin(flush)
    rebase_async = twin(rebase)
    merge_async = twin(merge)


class ForkSession(Session):
    """Child of a session: writable and picklable; cannot commit, is merged back instead."""

    __module__ = "icechunk"

    @property
    def mode(self) -> SessionMode:
        """Reported as read-only, since a fork commits nothing."""
        return SessionMode.readonly

    def __reduce__(self) -> tuple[Any, ...]:
        return _fork_session, (ForkRecipe.of(self._transaction),)


def _read_only_session(ctx: Any, snapshot_id: Any) -> Session:
    return Session(Transaction(ctx, snapshot_id, mode=SessionMode.readonly))


def _fork_session(recipe: ForkRecipe) -> ForkSession:
    return ForkSession(recipe.restore())
