"""`Session`: one checkout of a repository, its uncommitted changes and how they are committed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from icechunk.changes.change_set import ChangeSet
from icechunk.config.fields import bounded, described, expect
from icechunk.config.rendering import Entry, Label, Shown
from icechunk.config.repository import RepositoryConfig
from icechunk.conflicts.model import ConflictReport, ConflictSolver
from icechunk.core.errors import ErrorKind, ReadOnlyError, SessionStateError
from icechunk.core.ids import id_text, parse_object_id
from icechunk.core.locks import held
from icechunk.core.runtime import twin
from icechunk.engine import amend as amending
from icechunk.engine import commit as committing
from icechunk.engine import rebase as rebasing
from icechunk.engine.compare import compare_sessions
from icechunk.engine.diffing import status
from icechunk.engine.forking import SessionRecipe, fork, merge_children
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.session.error_context import labelled
from icechunk.session.hierarchy import Hierarchy
from icechunk.session.nodes import NodeInfo
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.spec.transaction_log.diff import Diff
from icechunk.store.zarr_store import IcechunkStore

if TYPE_CHECKING:
    from icechunk.repository import Repository

NOT_PICKLABLE = (
    "You must opt-in to pickle writable sessions in a distributed context: use `Session.fork()`, "
    "send the forks to the workers, and merge what they return with `Session.merge()`"
)


class Session(Hierarchy, Shown):
    """One checkout: a base snapshot and the changes made over it.

    Made by `Repository.writable_session`, `Repository.readonly_session` and `Session.fork`.
    A session and its stores may be used from several threads.
    """

    __module__ = "icechunk"

    def __init__(self, session: Transaction, repository: Repository | None = None) -> None:
        self._unsettled = session
        self._repository = repository

    @property
    def _transaction(self) -> Transaction:
        """The transaction, which knows what became of a commit that was interrupted."""
        self._unsettled.settle()
        return self._unsettled

    @property
    def _session(self) -> Session:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self._transaction is other._transaction

    __hash__ = None  # type: ignore[assignment]

    def _path(self) -> str:
        return f"icechunk.session.{type(self).__name__}"

    def _entries(self) -> Iterable[Entry]:
        entries = [
            Entry("read_only", self.read_only),
            Entry("snapshot_id", Label(self.snapshot_id)),
        ]
        if not self.read_only:
            entries.append(Entry("branch", None if self.branch is None else Label(self.branch)))
            entries.append(Entry("has_uncommitted_changes", self.has_uncommitted_changes))
        return entries

    def __repr__(self) -> str:
        return str(self)

    def __getstate__(self) -> SessionRecipe:
        transaction = self._transaction
        if transaction.mode is not SessionMode.readonly and not transaction.may_travel:
            raise ValueError(NOT_PICKLABLE)
        return SessionRecipe.of(transaction)

    def __setstate__(self, state: SessionRecipe) -> None:
        self._unsettled = state.restore()
        self._repository = None

    @contextmanager
    def allow_pickling(self) -> Iterator[None]:
        """Let this writable session be pickled inside a ``with`` block.

        What the copies change comes back with `merge`. Use `fork` instead, which is made for this.
        """
        warnings.warn(
            "`Session.allow_pickling` is deprecated: send forks made by `Session.fork()` to the "
            "workers, and merge them back with `Session.merge()`",
            DeprecationWarning,
            stacklevel=3,
        )
        transaction = self._transaction
        transaction.may_travel += 1
        try:
            yield
        finally:
            transaction.may_travel -= 1

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
        return id_text(self._transaction.base_id)

    @property
    def branch(self) -> str | None:
        """Branch that a commit moves; None when read-only or forked."""
        return self._transaction.branch

    @property
    def has_uncommitted_changes(self) -> bool:
        """Whether there is anything to commit."""
        return not self._transaction.changes.is_empty

    @property
    def revision(self) -> int:
        """Number that grows with every uncommitted change.

        Compare it to see whether a session changed; a read of the session does not change it.

        Examples
        --------
        >>> import icechunk, zarr
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> session = repo.writable_session("main")
        >>> before = session.revision
        >>> group = zarr.create_group(session.store)
        >>> session.revision > before
        True
        """
        return self._transaction.revision

    @property
    def repository(self) -> Repository:
        """Repository of this session.

        The handle that opened the session; for a session that was unpickled a new handle on the
        same storage, with the same configuration.

        Examples
        --------
        >>> import icechunk
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> repo.readonly_session("main").repository is repo
        True
        """
        if self._repository is None:
            # A session is made by a repository, whose module imports this one.
            from icechunk.repository import Repository

            self._repository = Repository(self._transaction.ctx)
        return self._repository

    @property
    def config(self) -> RepositoryConfig:
        """A copy of the repository's effective configuration."""
        return RepositoryConfig().merge(self._transaction.ctx.config)

    @property
    def store(self) -> IcechunkStore:
        """Zarr store that reads and writes through this session."""
        return IcechunkStore(self)

    def nodes(self) -> Iterator[NodeInfo]:
        """Groups and arrays as the session sees them, uncommitted changes included.

        Yields
        ------
        NodeInfo
            Sorted by path. Changes made after the call do not show.

        Examples
        --------
        >>> import icechunk, zarr
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> session = repo.writable_session("main")
        >>> root = zarr.create_group(session.store)
        >>> array = root.create_array("t", shape=(4,), chunks=(2,), dtype="i4")
        >>> [(node.path, node.kind, node.shape) for node in session.nodes()]
        [('/', 'group', None), ('/t', 'array', (4,))]
        """
        transaction = self._transaction

        def listed() -> Iterable[NodeSnapshot]:
            if transaction.changes.is_empty:
                return transaction.base.nodes  # sorted and immutable
            return sorted(transaction.tree, key=lambda node: node.path)

        transaction.fetch_base()  # not with the lock held
        return map(NodeInfo, held(transaction.lock, listed))

    def status(self) -> Diff:
        """What changed since the base snapshot."""
        return status(self._transaction)

    def diff(self, other: Session) -> Diff:
        """What differs from what another session sees to what this one sees.

        Both may be of any branch, tag or snapshot, and have uncommitted changes.  Nodes and chunks
        are compared by what they are, not by who changed them when: chunks by their references.

        Parameters
        ----------
        other : Session
            The state to start from, e.g. ``repo.readonly_session("main")``.

        Returns
        -------
        Diff
            Empty when both see the same.

        Raises
        ------
        InvalidInputError
            For a session of another repository.
        """
        expect("other", other, Session)
        return compare_sessions(other._transaction, self._transaction)

    def at_snapshot(self, snapshot_id: str) -> Session:
        """Read-only session on another snapshot of the same repository.

        Parameters
        ----------
        snapshot_id : str
            20-character id.
        """
        wanted = parse_object_id(snapshot_id)
        ctx = self._transaction.ctx
        ctx.ref_store.snapshot(wanted)
        transaction = Transaction(ctx, wanted, mode=SessionMode.readonly)
        return Session(transaction, self._repository)

    @labelled
    def switch_branch(self, branch: str) -> None:
        """Commit to another branch from here on; uncommitted changes are kept.

        Parameters
        ----------
        branch : str
            Its tip must be the base snapshot of this session, as after
            ``repo.create_branch(branch, session.snapshot_id)``.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        ReadOnlyError
            Kind ``read-only-repository``.
        SessionStateError
            Kind ``not-allowed`` when the branch points to another snapshot, and for sessions that
            commit to no branch (read-only sessions and forks).

        Examples
        --------
        >>> import icechunk
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> session = repo.writable_session("main")
        >>> repo.create_branch("experiment", session.snapshot_id)
        >>> session.switch_branch("experiment")
        >>> session.branch
        'experiment'
        """
        transaction = self._transaction
        transaction.exclusively(partial(_switch_branch, transaction, branch))

    # -- what it does ----------------------------------------------------------------------------

    @labelled
    def discard_changes(self) -> None:
        """Forget every uncommitted change; stores of this session see it at once.

        Raises
        ------
        ReadOnlyError
            For a read-only session.
        """

        def discard() -> None:
            if self.read_only:
                raise ReadOnlyError(
                    "Read only sessions cannot modify the repository, there is nothing to discard",
                    ErrorKind.READ_ONLY_SESSION,
                )
            transaction.replace_changes(ChangeSet())

        transaction = self._transaction
        transaction.exclusively(discard)

    @labelled
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

        An interrupt (Stop in a notebook, Ctrl-C) or the cancellation of `commit_async` may arrive
        after the branch has moved. The session finds that out before anything else is done with
        it, and is read-only on its commit then. The same call made again, with the same message and
        metadata, makes no second commit: it returns the id of the one that was made.

        Parameters
        ----------
        message : str
            What was done and why.
        metadata : dict, optional
            JSON values kept with the snapshot; merged over the repository's default metadata.
        rebase_with : ConflictSolver, optional
            When the branch moved meanwhile, rebase with this solver and try again.
        rebase_tries : int
            How often at most (u16).
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
        _check_message(message)
        if rebase_with is not None:
            _check_solver("rebase_with", rebase_with)
        bounded("rebase_tries", rebase_tries, 0, 2**16 - 1)
        snapshot_id = committing.commit(
            self._transaction,
            message,
            metadata,
            rebase_with=rebase_with,
            rebase_tries=rebase_tries,
            allow_empty=allow_empty,
        )
        return id_text(snapshot_id)

    @labelled
    def amend(
        self, message: str, *, metadata: dict[str, Any] | None = None, allow_empty: bool = False
    ) -> str:
        """Replace the branch's tip, this session's base, by one commit with the changes of both.

        The former tip stays readable by its id until garbage is collected. Sessions of others that
        are based on it conflict, as after any commit. After an interrupt the same call can be
        made again, as `commit`.

        Parameters
        ----------
        message : str
            Of the new commit.
        metadata : dict, optional
            JSON values of the new commit; those of the former tip are not inherited.
        allow_empty : bool
            Amend also when nothing changed, for another message or other metadata.

        Returns
        -------
        str
            Id of the new snapshot.

        Raises
        ------
        ConflictError
            The branch moved; the session keeps its changes.
        SessionStateError
            Kinds ``no-amend-for-initial-commit``, ``no-changes-to-commit``,
            ``commit-not-allowed``; ``rearrange-session-only`` when the tip moved nodes and this is
            an ordinary session.
        FormatError
            Kind ``unsupported-spec-version`` for a repository of spec version 1.
        """
        _check_message(message)
        snapshot_id = amending.amend(self._transaction, message, metadata, allow_empty=allow_empty)
        return id_text(snapshot_id)

    @labelled
    def flush(self, message: str, metadata: dict[str, Any] | None = None) -> str:
        """Write a snapshot that no branch points to; the session becomes read-only on it.

        After an interrupt the same call can be made again, as `commit`.

        Returns
        -------
        str
            Id of the snapshot, to be read, branched or tagged by id.

        Raises
        ------
        IcechunkError
            For a fork.
        """
        _check_message(message)
        return id_text(committing.flush_detached(self._transaction, message, metadata))

    @labelled
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
        _check_solver("solver", solver)
        transaction = self._transaction
        transaction.exclusively(partial(rebasing.rebase, transaction, solver))

    def conflicts(self) -> ConflictReport:
        """What a rebase onto the branch's tip would meet; nothing is changed.

        Returns
        -------
        ConflictReport
            The conflicts with all commits made meanwhile, one per kind and path.
        """
        return rebasing.plan(self._transaction)

    @labelled
    def fork(self) -> ForkSession:
        """A child that can be pickled, written to elsewhere, and merged back.

        A session with changes writes them as a snapshot without a branch first, so that the child
        sees them.

        Raises
        ------
        SessionStateError
            Kind ``cannot-fork-read-only-session``.
        """
        return ForkSession(fork(self._transaction), self._repository)

    @labelled
    def merge(
        self, *others: Session, other: Session | None = None, last_wins: bool = False
    ) -> None:
        """Take in the changes of forks.

        Every node is compared as it was at the fork, as it is here and as it is in the fork: what
        one side changed is taken, metadata key by key. Forks may have written the same bytes to the
        same chunk; chunks written twice are compared.

        Parameters
        ----------
        *others : ForkSession
            Forks of this session, back from their workers. `other` is an older way to give one.
        last_wins : bool
            Where several wrote the same chunk, keep what the last argument wrote, and accept forks
            of a session based on another snapshot. Writes of the others are lost without notice.

        Raises
        ------
        ConflictError
            Kind ``merge-failed``: two sides changed the same thing; nothing is merged then.
            Names the arrays and chunks.
        SessionStateError
            Kind ``merge-not-allowed`` for a session that is no fork, merged into a fork.
        """
        mine = self._transaction
        everyone = others if other is None else (*others, other)
        for number, one in enumerate(everyone):
            expect(f"others[{number}]", one, Session)
        children = [one._transaction for one in everyone if one._transaction is not mine]
        merge_children(mine, children, last_wins=last_wins)

    commit_async = twin(commit)
    amend_async = twin(amend)
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

    def __getstate__(self) -> SessionRecipe:
        return SessionRecipe.of(self._transaction)


def _switch_branch(transaction: Transaction, branch: str) -> None:
    if transaction.branch is None:
        raise SessionStateError(
            "a read-only session or a fork commits to no branch; open a session on "
            f"`{branch}` with `Repository.writable_session`",
            ErrorKind.NOT_ALLOWED,
        )
    if transaction.ctx.ref_store.writable_tip(branch) != transaction.base_id:
        raise SessionStateError(
            f"branch `{branch}` does not point to the base snapshot of this session, "
            f"{id_text(transaction.base_id)}; create a branch there with "
            "`Repository.create_branch`, or commit and merge",
            ErrorKind.NOT_ALLOWED,
        )
    held(transaction.lock, setattr, transaction, "branch", branch)


def _check_message(message: object) -> None:
    if not isinstance(message, str):
        raise TypeError(
            f"'{type(message).__name__}' object is not an instance of 'str': a message is text"
        )


def _check_solver(name: str, solver: object) -> None:
    if not isinstance(solver, ConflictSolver):
        raise TypeError(
            f"{described(solver)} is not an instance of 'ConflictSolver'; give `{name}` e.g. "
            "`icechunk.ConflictDetector()`, or an instance of a class of yours based on "
            "`icechunk.ConflictSolver`"
        )
