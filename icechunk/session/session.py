"""`Session`: one checkout of a repository, its uncommitted changes, and their commit.

Its methods are thin: the work is done by functions of `engine`. Those that few sessions need, or
need once, are imported by the methods that use them.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from icechunk.changes.change_set import ChangeSet
from icechunk.config.fields import bounded, described, expect
from icechunk.config.rendering import Entry, Label, Shown
from icechunk.config.repository import RepositoryConfig
from icechunk.core.errors import ErrorKind, ReadOnlyError, SessionStateError
from icechunk.core.ids import id_text, parse_object_id
from icechunk.core.locks import held
from icechunk.core.paths import check_path
from icechunk.core.runtime import offload, twin
from icechunk.engine.transaction import SessionMode, Transaction, missing_node
from icechunk.session.error_context import labelled
from icechunk.session.nodes import NodeInfo
from icechunk.spec.manifest.chunk_type import ChunkType
from icechunk.store.zarr_store import IcechunkStore

if TYPE_CHECKING:
    from icechunk.conflicts.decision import Decision
    from icechunk.conflicts.decisions import DecisionSolver
    from icechunk.conflicts.model import Conflict, ConflictReport, ConflictSolver
    from icechunk.engine.forking import SessionRecipe
    from icechunk.engine.open_merge import OpenMerge
    from icechunk.engine.reindex import Mapped
    from icechunk.merging.stash import StashInfo
    from icechunk.repository import Repository
    from icechunk.session.references import ChunkReferences
    from icechunk.spec.snapshot.nodes import NodeSnapshot
    from icechunk.spec.transaction_log.diff import Diff

    MergeSolver = (
        Iterable[Decision | Mapping[str, Any]] | DecisionSolver | Callable[[Conflict], object]
    )

NOT_PICKLABLE = (
    "You must opt-in to pickle writable sessions in a distributed context: use `Session.fork()`, "
    "send the forks to the workers, and merge what they return with `Session.merge()`"
)


class Session(Shown):
    """A base snapshot and the uncommitted changes made to it.

    Made by `Repository.writable_session`, `Repository.readonly_session` and `Session.fork`.
    A session and its stores may be used from several threads.
    """

    __module__ = "icechunk"

    def __init__(self, session: Transaction, repository: Repository | None = None) -> None:
        self._unsettled = session
        self._repository = repository

    @property
    def _transaction(self) -> Transaction:
        """The transaction, after it found out whether an interrupted commit was carried out."""
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
        if self.merging is not None:
            entries.append(Entry("merging", Label(", ".join(self.merging.names))))
        return entries

    def __repr__(self) -> str:
        return str(self)

    def __getstate__(self) -> SessionRecipe:
        transaction = self._transaction
        travels = transaction.may_travel or transaction.merging is not None
        if transaction.mode is not SessionMode.readonly and not travels:
            raise ValueError(NOT_PICKLABLE)
        from icechunk.engine.forking import SessionRecipe

        return SessionRecipe.of(transaction)

    def __setstate__(self, state: SessionRecipe) -> None:
        self._unsettled = state.restore()
        self._repository = None

    @contextmanager
    def allow_pickling(self) -> Iterator[None]:
        """Allow this writable session to be pickled inside a ``with`` block; deprecated.

        Bring the changes of the copies back with `merge`. `fork` replaces this method.
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

    # -- properties ------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        """Whether the session refuses writes."""
        return self._transaction.mode is SessionMode.readonly

    @property
    def mode(self) -> SessionMode:
        """What the session may change."""
        return self._transaction.mode

    @property
    def snapshot_id(self) -> str:
        """Id of the base snapshot."""
        return id_text(self._transaction.base_id)

    @property
    def branch(self) -> str | None:
        """Branch that `commit` moves; None for a read-only session or a fork."""
        return self._transaction.branch

    @property
    def has_uncommitted_changes(self) -> bool:
        """Whether there is anything to commit."""
        return not self._transaction.changes.is_empty

    @property
    def merging(self) -> OpenMerge | None:
        """The merge that this session holds: sources, decisions and open conflicts.

        None for a session that is not one of `Repository.merge_session`, and after the merge was
        committed, stashed or discarded.
        """
        return self._transaction.merging

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

    # -- groups and arrays -----------------------------------------------------------------------

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

    @labelled
    def move(self, from_path: str, to_path: str) -> None:
        """Move or rename a group or array, with everything below it; no data is copied.

        Only sessions made by `Repository.rearrange_session` can move nodes. The parent group of
        `to_path` must exist.

        Parameters
        ----------
        from_path, to_path : str
            Absolute paths.

        Raises
        ------
        NodeNotFoundError
            When there is no node at `from_path`.
        AlreadyExistsError
            Kind ``move-wont-overwrite``.
        SessionStateError
            Kinds ``non-rearrange-session``, ``move-into-self-or-descendant``,
            ``move-destination-parent-missing`` and ``move-destination-parent-not-group``.
        """
        self._transaction.move(from_path, to_path)

    @labelled
    def get_node_id(self, path: str) -> str:
        """Id of a node; a node keeps its id when it is moved.

        Returns
        -------
        str
            13 characters.

        Raises
        ------
        NodeNotFoundError
            When there is no node at the path.
        """
        node = self._transaction.node(check_path(path))
        if node is None:
            raise missing_node(path)
        return id_text(node.id)

    # -- chunk references ------------------------------------------------------------------------

    @labelled
    def shift_array(self, array_path: str, chunk_offset: Iterable[int]) -> None:
        """Move all chunks of an array by a number of chunks per axis; no data is copied.

        Chunks that leave the array are dropped; vacated positions become empty.

        Parameters
        ----------
        array_path : str
            Absolute path of an array with a regular chunk grid.
        chunk_offset : iterable of int
            Number of chunks to move by along each axis; negative towards the origin.

        Raises
        ------
        NodeNotFoundError, InvalidInputError
            When there is no such array, or the offset has too few entries.
        IcechunkError
            When the chunk grid of the array is not regular.
        """
        from icechunk.engine.reindex import shift

        shift(self._transaction, array_path, tuple(chunk_offset))

    @labelled
    def reindex_array(
        self, array_path: str, forward: Mapped, backward: Mapped | None = None
    ) -> None:
        """Move the chunks of an array through a function of their coordinates.

        Parameters
        ----------
        array_path : str
            Absolute path of an array with a regular chunk grid.
        forward : callable
            Takes the coordinates of an existing chunk (list of int) and returns its new ones, or
            None to leave the chunk in place.
        backward : callable, optional
            The inverse of `forward`, used to empty vacated positions. Without it they keep their
            chunk, so that chunks are copied instead of moved.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-chunk-index`` when `forward` returns coordinates outside the array.
        IcechunkError
            When a function raises, or the chunk grid is not regular. Nothing is changed then.
        """
        from icechunk.engine.reindex import reindex

        reindex(self._transaction, array_path, forward, backward)

    async def chunk_coordinates(
        self, array_path: str, batch_size: int = 1_000
    ) -> AsyncIterator[tuple[int, ...]]:
        """Coordinates of the existing chunks of an array, in row-major order.

        Parameters
        ----------
        array_path : str
            Absolute path.
        batch_size : int
            Number of coordinates made at a time; at least 1.

        Yields
        ------
        tuple of int
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        table = await offload(self._transaction.array_reader(array_path).table)
        for start in range(0, len(table), batch_size):
            for coords in table.coords(slice(start, start + batch_size)).tolist():
                yield tuple(coords)

    @labelled
    def chunk_type(self, array_path: str, chunk_coordinates: Sequence[int]) -> ChunkType:
        """How one chunk is stored.

        Parameters
        ----------
        array_path : str
            Absolute path.
        chunk_coordinates : sequence of int
            One entry per axis.

        Returns
        -------
        ChunkType
            ``uninitialized`` also for coordinates outside the chunk grid.
        """
        reader = self._transaction.array_reader(array_path)
        coords = tuple(chunk_coordinates)
        if any(position < 0 for position in coords):
            raise OverflowError(f"chunk coordinates are not negative, got {list(coords)}")
        if not reader.in_grid(coords):
            return ChunkType.uninitialized
        found = reader.find(coords)
        return ChunkType.uninitialized if found is None else ChunkType(found.kind)

    @labelled
    def chunk_references(self, array_path: str) -> ChunkReferences:
        """All chunk references of an array as numpy columns.

        Parameters
        ----------
        array_path : str
            Absolute path.

        Returns
        -------
        ChunkReferences
            As the session sees them now, uncommitted changes included.

        Raises
        ------
        NodeNotFoundError
            When there is no node at the path.
        InvalidInputError
            Kind ``not-an-array`` for a group.
        """
        from icechunk.session.references import ChunkReferences

        transaction = self._transaction
        table = transaction.array_reader(array_path).table()
        return ChunkReferences(table, transaction.ctx.container_prefixes)

    @labelled
    def all_virtual_chunk_locations(self) -> list[str]:
        """URLs of all virtual chunks, one per chunk; names of containers are replaced by URLs.

        Returns
        -------
        list of str
            Sorted by array and chunk; the URL of an object that holds several chunks is repeated.
        """
        from icechunk.session.references import virtual_locations

        return virtual_locations(self._transaction)

    # -- differences ---------------------------------------------------------------------------

    def status(self) -> Diff:
        """Uncommitted changes: the difference from the base snapshot to this session."""
        from icechunk.engine.diffing import status

        return status(self._transaction)

    def diff(self, other: Session) -> Diff:
        """Difference from another session to this one.

        The sessions may be on any branch, tag or snapshot, and have uncommitted changes. They are
        compared by content, not by history: metadata by its bytes, chunks by their references.

        Parameters
        ----------
        other : Session
            The state to start from, e.g. ``repo.readonly_session("main")``.

        Returns
        -------
        Diff
            Empty when the sessions have the same content.

        Raises
        ------
        InvalidInputError
            For a session of another repository.
        """
        from icechunk.engine.compare import compare_sessions

        expect("other", other, Session)
        return compare_sessions(other._transaction, self._transaction)

    def at_snapshot(self, snapshot_id: str) -> Session:
        """Open a read-only session on another snapshot of the same repository.

        Parameters
        ----------
        snapshot_id : str
            Id of 20 characters.

        Raises
        ------
        SnapshotNotFoundError
            When there is no such snapshot.
        """
        base = parse_object_id(snapshot_id)
        ctx = self._transaction.ctx
        ctx.ref_store.snapshot(base)
        transaction = Transaction(ctx, base, mode=SessionMode.readonly)
        return Session(transaction, self._repository)

    # -- commit and rebase -----------------------------------------------------------------------

    @labelled
    def switch_branch(self, branch: str) -> None:
        """Let later commits move another branch; uncommitted changes are kept.

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

    @labelled
    def discard_changes(self) -> None:
        """Discard all uncommitted changes; stores of this session show the base snapshot at once.

        A merge that the session holds is given up.

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
            transaction.replace_changes(ChangeSet(), merging=None)

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
        """Commit the changes as the new tip of the branch.

        A session of `Repository.merge_session` makes a commit with several parents; where the
        branch moved, the merge is laid again on its tip, and conflicts that this opens are raised.

        When this returns, the commit is durable, and sessions opened on the branch afterwards see
        it. This session becomes read-only on the new snapshot.

        An interrupt (Stop in a notebook, Ctrl-C) or the cancellation of `commit_async` may arrive
        after the branch moved. The session detects this at its next use and becomes read-only on
        the commit. Repeating the call with the same message and metadata then returns the id of
        that commit and creates no second one.

        Parameters
        ----------
        message : str
            Commit message.
        metadata : dict, optional
            JSON values stored with the snapshot; they override the default commit metadata of the
            repository.
        rebase_with : ConflictSolver, optional
            When the branch has moved, rebase with this solver and try again. For a merge, its
            decisions count as those of `solve`.
        rebase_tries : int
            Maximum number of rebases, up to 65535.
        allow_empty : bool
            Commit even when nothing changed.

        Returns
        -------
        str
            Id of the new snapshot.

        Raises
        ------
        ConflictError
            When the branch has moved; the session keeps its changes.
        RebaseFailedError
            When `rebase_with` left conflicts; the session keeps its changes.
        MergeConflictError
            When conflicts of a merge are open; nothing was committed.
        SessionStateError
            Kinds ``no-changes-to-commit`` and ``commit-not-allowed``.
        """
        from icechunk.engine.commit import commit

        _check_message(message)
        if rebase_with is not None:
            _check_solver("rebase_with", rebase_with)
        bounded("rebase_tries", rebase_tries, 0, 2**16 - 1)
        if self._transaction.merging is not None:
            from icechunk.merging.merge_session import commit_merge

            given = () if rebase_with is None else _decisions_in(rebase_with)
            new = commit_merge(self._transaction, message, metadata, rebase_tries, given)
            return id_text(new)
        snapshot_id = commit(
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
        """Replace the tip of the branch by one commit with its changes and those of this session.

        The tip must be the base snapshot of this session. It stays readable by its id until garbage
        collection. Other sessions that are based on it conflict, as after any commit. After an
        interrupt the call can be repeated, like `commit`.

        Parameters
        ----------
        message : str
            Message of the new commit.
        metadata : dict, optional
            Metadata of the new commit; the metadata of the replaced commit is not inherited.
        allow_empty : bool
            Amend even when nothing changed, to replace message and metadata.

        Returns
        -------
        str
            Id of the new snapshot.

        Raises
        ------
        ConflictError
            When the branch has moved; the session keeps its changes.
        SessionStateError
            Kinds ``no-amend-for-initial-commit``, ``no-changes-to-commit``,
            ``commit-not-allowed``; ``rearrange-session-only`` when the tip moved nodes and this
            session was not made by `Repository.rearrange_session`.
        FormatError
            Kind ``unsupported-spec-version`` in format version 1.
        """
        from icechunk.engine.amend import amend

        _check_message(message)
        snapshot_id = amend(self._transaction, message, metadata, allow_empty=allow_empty)
        return id_text(snapshot_id)

    @labelled
    def flush(self, message: str, metadata: dict[str, Any] | None = None) -> str:
        """Write a snapshot that no branch points to; the session becomes read-only on it.

        After an interrupt the call can be repeated, like `commit`.

        Parameters
        ----------
        message : str
            Message of the snapshot.
        metadata : dict, optional
            Metadata of the snapshot.

        Returns
        -------
        str
            Id of the snapshot; open, branch or tag it by this id.

        Raises
        ------
        IcechunkError
            For a fork.
        """
        from icechunk.engine.commit import flush_detached

        _check_message(message)
        return id_text(flush_detached(self._transaction, message, metadata))

    @labelled
    def rebase(self, solver: ConflictSolver) -> None:
        """Move the base of this session to the tip of its branch, and keep its changes.

        The commits made to the branch since the base are replayed one by one, oldest first. A merge
        is laid again on the tip: decisions about what did not change stay, others are open again.

        Parameters
        ----------
        solver : ConflictSolver
            Resolves conflicts with these commits, e.g. `BasicConflictSolver` or `DecisionSolver`.

        Raises
        ------
        RebaseFailedError
            When conflicts are left; the session keeps its changes over the last commit that passed.
        MergeConflictError
            When what was written to a session besides its merge conflicts with new commits; the
            session is unchanged.
        """
        from icechunk.engine.rebase import rebase

        _check_solver("solver", solver)
        transaction = self._transaction
        if transaction.merging is not None:
            from icechunk.merging.merge_session import lay_on_tip

            lay_on_tip(transaction, _decisions_in(solver))
            return
        transaction.exclusively(partial(rebase, transaction, solver))

    def conflicts(self) -> ConflictReport:
        """Conflicts that a rebase onto the tip of the branch would meet; nothing is changed.

        Returns
        -------
        ConflictReport
            Conflicts with all commits made to the branch since the base, one per kind and path. Of
            a merge: its open conflicts, with the merge base as `base`, the commit that it is laid
            on as `tip`, and the source as `snapshot`.
        """
        from icechunk.engine.rebase import plan

        transaction = self._transaction
        merging, branch = transaction.merging, transaction.branch
        if merging is None or branch is None:
            return plan(transaction)
        from icechunk.conflicts.model import ConflictReport

        conflicts = list(merging.conflicts)
        return ConflictReport(
            branch=branch,
            base=merging.base_id or "",
            tip=self.snapshot_id,
            snapshot=merging.source_ids[0] if conflicts else None,
            conflicts=conflicts,
        )

    def solve(
        self,
        how: MergeSolver | None = None,
        *,
        prefer: str | None = None,
        replace: bool = False,
    ) -> ConflictReport:
        """Decide conflicts of the merge that this session holds.

        The session shows the decided merge at once. What was written to it besides stays, so values
        of one's own are given to a chunk by writing it after it is decided for either side.

        Parameters
        ----------
        how : iterable of Decision or mapping, DecisionSolver, or callable, optional
            Decisions, later ones override earlier ones. ``"source"`` and ``"target"`` name sides;
            a decision about chunks that lists none is about those that are in conflict now. A
            callable is given each open `Conflict` and returns None, a choice such as ``"source"``,
            or decisions, in which path and type may be left out.
        prefer : {"source", "target"}, optional
            The side of all conflicts that no decision is about, also of later ones.
        replace : bool
            Forget the decisions and the preference made before.

        Returns
        -------
        ConflictReport
            What is still open, see `conflicts`.

        Raises
        ------
        SessionStateError
            Kind ``not-allowed`` when the session holds no merge.
        InvalidInputError
            When a decision is wrong.

        Examples
        --------
        >>> session = repo.merge_session("feature")  # doctest: +SKIP
        >>> session.solve([  # doctest: +SKIP
        ...     {"path": "/sst", "type": "ChunkDoubleUpdate", "choice": "source"},
        ... ])
        >>> session.solve(  # doctest: +SKIP
        ...     lambda conflict: "target" if conflict.path.startswith("/raw") else None
        ... )
        """
        from icechunk.merging.merge_session import solve

        solver = how if callable(how) else None
        decisions = () if how is None or callable(how) else _decisions_in(how)
        solve(self._transaction, decisions, solver, prefer=prefer, replace_all=replace)
        return self.conflicts()

    @labelled
    def restore(self, path: str, source: str, region: Sequence[slice | int] | None = None) -> None:
        """Give a node, with everything below it, the content that it has in another state.

        Parameters
        ----------
        path : str
            Absolute path; ``"/"`` restores everything.
        source : str
            Branch, tag or snapshot id.
        region : sequence of slice or int, optional
            Elements of an array to restore; its other elements and its metadata stay.

        Raises
        ------
        NodeNotFoundError
            Neither state has a node there; with a region, both must have an array.
        InvalidInputError
            Kind ``invalid-region``.
        """
        from icechunk.merging.restore import restore
        from icechunk.merging.revisions import find_snapshot
        from icechunk.store.regions import copy_region

        transaction = self._transaction
        state = find_snapshot(transaction.ctx, source)
        if region is None:
            restore(transaction, path, state)
            return
        other = Transaction(transaction.ctx, state, mode=SessionMode.readonly)
        copy_region(Session(other).store, self.store, path, region)

    def stash(self, message: str = "") -> str:
        """Store the uncommitted changes as a stash, and discard them from the session.

        They survive the process, are safe from garbage collection, and come back with `pop_stash`
        in any session. Other libraries list the branch that holds them.

        Parameters
        ----------
        message : str
            Message of the stash, shown by `Repository.stashes`.

        Returns
        -------
        str
            Snapshot id of the stash.

        Raises
        ------
        SessionStateError
            Kind ``no-changes-to-commit`` without changes, ``not-allowed`` for a fork.
        ReadOnlyError
            For a read-only session.
        """
        from icechunk.merging.stash import stash

        _check_message(message)
        return id_text(stash(self._transaction, message))

    def pop_stash(
        self,
        stash: int | str = 0,
        *,
        prefer: str | None = None,
        decisions: Iterable[Decision | Mapping[str, Any]] = (),
        keep: bool = False,
    ) -> StashInfo:
        """Apply a stash to this session, and remove the stash.

        Parameters
        ----------
        stash : int or str
            Its number, 0 for the newest, or the id of its snapshot.
        prefer : {"source", "target"}, optional
            The side to take in conflicts: the stash (source) or the session (target).
        decisions : iterable of Decision or mapping
            Decisions about single conflicts.
        keep : bool
            Do not remove the stash.

        Raises
        ------
        MergeConflictError
            The session changed the same things; nothing was changed and the stash is kept.
        RefNotFoundError
            Kind ``ref-not-found``.
        """
        from icechunk.merging.stash import pop_stash
        from icechunk.merging.verdicts import Verdicts, decisions_of

        verdicts = Verdicts(decisions_of(decisions), prefer)
        return pop_stash(self._transaction, stash, verdicts, keep=keep)

    def fork(self) -> ForkSession:
        """Make a child session for another process, which writes to it; `merge` brings it back.

        When this session has changes, they are first written as a snapshot without a branch, so
        that the child sees them.

        Raises
        ------
        SessionStateError
            Kind ``cannot-fork-read-only-session``.
        """
        from icechunk.engine.forking import fork

        return ForkSession(fork(self._transaction), self._repository)

    @labelled
    def merge(
        self, *others: Session, other: Session | None = None, last_wins: bool = False
    ) -> None:
        """Merge the changes of forks into this session.

        This is a three-way merge of each node, with its state at the fork as the base; metadata is
        merged key by key. Several forks may write the same chunk when they write the same bytes.

        Parameters
        ----------
        *others : ForkSession
            Forks of this session, returned by their workers. `other` is an older way to pass one.
        last_wins : bool
            Where several forks wrote the same chunk, keep that of the last argument, and accept
            forks of a session on another base snapshot. The other writes are lost without notice.

        Raises
        ------
        ConflictError
            Kind ``merge-failed`` when two sides changed the same thing; the message lists arrays
            and chunks. Nothing is merged then.
        SessionStateError
            Kind ``merge-not-allowed`` when this session is a fork and another one is not.
        """
        from icechunk.engine.forking import merge_children

        mine = self._transaction
        forks = others if other is None else (*others, other)
        for number, each in enumerate(forks):
            expect(f"others[{number}]", each, Session)
        children = [each._transaction for each in forks if each._transaction is not mine]
        merge_children(mine, children, last_wins=last_wins)

    move_async = twin(move)
    get_node_id_async = twin(get_node_id)
    chunk_type_async = twin(chunk_type)
    chunk_references_async = twin(chunk_references)
    all_virtual_chunk_locations_async = twin(all_virtual_chunk_locations)
    restore_async = twin(restore)
    stash_async = twin(stash)
    pop_stash_async = twin(pop_stash)
    commit_async = twin(commit)
    amend_async = twin(amend)
    flush_async = twin(flush)
    rebase_async = twin(rebase)
    solve_async = twin(solve)
    merge_async = twin(merge)


class ForkSession(Session):
    """Child of a session: writable and picklable; it is merged into its parent, not committed."""

    __module__ = "icechunk"

    @property
    def mode(self) -> SessionMode:
        """Always read-only, since a fork cannot commit."""
        return SessionMode.readonly

    def __getstate__(self) -> SessionRecipe:
        from icechunk.engine.forking import SessionRecipe

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


def _decisions_in(how: object) -> tuple[Decision, ...]:
    """The decisions that a merge is solved with."""
    from icechunk.conflicts.decisions import DecisionSolver
    from icechunk.conflicts.detector import ConflictDetector
    from icechunk.merging.verdicts import decisions_of

    if isinstance(how, DecisionSolver):
        return how.decisions
    if isinstance(how, ConflictDetector):
        return ()
    if isinstance(how, Iterable) and not isinstance(how, str | Mapping):
        return decisions_of(how)
    raise TypeError(
        f"{described(how)} does not decide conflicts of a merge; give `Session.solve` a list of "
        "decisions, a `DecisionSolver`, or a function of a conflict"
    )


def _check_message(message: object) -> None:
    if not isinstance(message, str):
        raise TypeError(
            f"'{type(message).__name__}' object is not an instance of 'str': a message is text"
        )


def _check_solver(name: str, solver: object) -> None:
    from icechunk.conflicts.model import ConflictSolver

    if not isinstance(solver, ConflictSolver):
        raise TypeError(
            f"{described(solver)} is not an instance of 'ConflictSolver'; give `{name}` e.g. "
            "`icechunk.ConflictDetector()`, or an instance of a class of yours based on "
            "`icechunk.ConflictSolver`"
        )
