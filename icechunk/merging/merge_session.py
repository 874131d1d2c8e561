"""Merges that a session holds: laid as changes, decided, laid again, committed.

The session is an ordinary one on the tip of the branch, whose changes are the merge.  Of open
conflicts it has the branch's content.  What is written to it besides the merge stays on top when
the merge is laid again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.conflicts.decision import Decision
from icechunk.conflicts.model import Conflict
from icechunk.core.errors import (
    ConflictError,
    ErrorKind,
    MergeConflictError,
    RefNotFoundError,
    SessionStateError,
    SnapshotNotFoundError,
)
from icechunk.core.ids import ObjectId, id_text
from icechunk.core.locks import held
from icechunk.engine.commit import check_committable, publish, requested
from icechunk.engine.context import RepoContext
from icechunk.engine.open_merge import OpenMerge
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.merging.bases import base_state
from icechunk.merging.carried import carried
from icechunk.merging.chunk_values import ChunkValues
from icechunk.merging.graph import CommitGraph
from icechunk.merging.laying import registration, same_content, state_of
from icechunk.merging.merge import MergeOptions, Source, lay_each, merge_bases
from icechunk.merging.merged import Merged
from icechunk.merging.state import State
from icechunk.merging.three_way import three_way
from icechunk.merging.verdicts import Verdicts, answers_of
from icechunk.spec.repo.lineage import Lineage, with_lineage
from icechunk.spec.snapshot.snapshot import Snapshot

Solver = Callable[[Conflict], object]
"""Decides about one conflict, see `answers_of`."""


def open_merge(
    ctx: RepoContext,
    sources: Sequence[Source],
    branch: str,
    options: MergeOptions,
) -> Transaction:
    """A transaction that holds a merge as its changes.

    Parameters
    ----------
    sources : sequence of Source
        At least one.
    branch : str
        Branch that the merge is to change.
    options : MergeOptions
        Those about conflicts and unrelated histories count.

    Raises
    ------
    RefNotFoundError
        There is no such branch.
    InvalidInputError
        Kind ``unrelated-histories``.
    SessionStateError
        Kind ``no-changes-to-commit`` when everything is merged already.
    """
    tip = ctx.ref_store.writable_tip(branch)
    merging = OpenMerge(
        names=tuple(one.name for one in sources),
        sources=tuple(one.id for one in sources),
        prefer=options.prefer,
        decisions=options.decisions,
        cells=options.cells,
        tolerance=options.tolerance,
        allow_unrelated=options.allow_unrelated,
    )
    laid = _lay(ctx, tip, merging)
    if laid is None:
        raise _merged_already(merging, branch)
    transaction = Transaction(ctx, tip, mode=SessionMode.writable, branch=branch)
    _take(transaction, ctx.files.snapshot(tip), laid.laid, laid)
    return transaction


def _merged_already(merging: OpenMerge, branch: str) -> SessionStateError:
    return SessionStateError(
        f"{', '.join(merging.names)} is merged into {branch} already: there is nothing to merge",
        ErrorKind.NO_CHANGES_TO_COMMIT,
    )


def _lay(ctx: RepoContext, tip: ObjectId, merging: OpenMerge) -> OpenMerge | None:
    """The merge on a commit, with its conflicts; None where everything is merged already."""
    graph = CommitGraph(ctx.ref_store)
    known = graph.ancestors([tip])
    pairs = zip(merging.sources, merging.names, strict=True)
    news = [Source(one, name) for one, name in pairs if one not in known]
    if not news:
        return None
    for one in news:
        if one.id not in graph:
            raise SnapshotNotFoundError(
                f"{one.name}, which is merged, is not in the repository any more: snapshot "
                f"{id_text(one.id)} expired, or its branch was deleted and it was garbage "
                "collected. Give the merge up with `discard_changes`",
                ErrorKind.SNAPSHOT_NOT_FOUND,
            )
    verdicts = Verdicts(merging.decisions, merging.prefer, merging.cells, merging.tolerance)
    snapshot = ctx.files.snapshot(tip)
    changes = ChangeSet()
    conflicts: list[Conflict] = []

    def after(merged: Merged) -> State:
        nonlocal changes
        changes = merged.as_changes()
        conflicts.extend(merged.conflicts)
        return State(snapshot, changes, ctx.files)

    bases = merge_bases(graph, tip, news, allow_unrelated=merging.allow_unrelated)
    values = ChunkValues(ctx)
    for _ in lay_each(ctx, graph, tip, news, bases, verdicts, after, values):
        pass
    values.close()
    return replace(
        merging,
        names=tuple(one.name for one in news),
        sources=tuple(one.id for one in news),
        bases=tuple(map(tuple, bases)),
        decisions=verdicts.in_force(),
        conflicts=tuple(conflicts),
        laid=changes,
        revision=-1,
    )


# -- laying again ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Former:
    """A merge before it is laid again.

    Attributes
    ----------
    tip : ObjectId
        What it was laid on.
    merging : OpenMerge
        The merge.
    state : State or None
        What the session holds; None when that is the merge and nothing else.
    objects : set of ObjectId
        Chunks that the session wrote, which its commit must make durable.
    """

    tip: ObjectId
    merging: OpenMerge
    state: State | None
    objects: set[ObjectId]


def _held(transaction: Transaction, merging: OpenMerge) -> _Former:
    revision, changes = transaction.copied()
    state = None
    if revision != merging.revision:
        state = State(transaction.base, changes, transaction.ctx.files)
    return _Former(transaction.base_id, merging, state, changes.objects)


def _again(
    transaction: Transaction, former: _Former, tip: ObjectId, given: tuple[Decision, ...]
) -> None:
    """Lay a merge on a commit, with what the session holds besides, and go on with that.

    Decisions are kept where what they decided is the same on the new commit.

    Raises
    ------
    MergeConflictError
        What was written to the session conflicts with the new commit; nothing was changed.
    """
    ctx, merging = transaction.ctx, former.merging
    moved = tip != former.tip
    kept = merging.decisions
    if moved:
        kept = carried(kept, _changed_states(ctx, former, tip))
    laid = _lay(ctx, tip, replace(merging, decisions=(*kept, *given)))
    snapshot = ctx.files.snapshot(tip)
    changes = ChangeSet() if laid is None else laid.laid
    if former.state is not None:
        own = three_way(
            State(ctx.files.snapshot(former.tip), merging.laid, ctx.files),
            former.state,
            State(snapshot, changes, ctx.files),
            # On the same commit what the user wrote stands, whatever is decided now.
            Verdicts(given) if moved else Verdicts((), "source"),
            partial(same_content, ctx),
        )
        if own.conflicts:
            assert transaction.branch is not None
            raise MergeConflictError(transaction.branch, ["what the session wrote"], own.conflicts)
        changes = own.as_changes()
        changes.objects |= former.objects
    _take(transaction, snapshot, changes, laid)


def _take(
    transaction: Transaction, base: Snapshot, changes: ChangeSet, merging: OpenMerge | None
) -> None:
    """Go on over another base with the changes of a merge; None ends the merge."""

    def go_on() -> None:
        nothing_else = merging is not None and merging.laid is changes
        revision = transaction.revision + 1 if nothing_else else -1
        mine = None if merging is None else replace(merging, revision=revision)
        # Writes edit the changes; the merge as it was laid must stay as it is.
        transaction.become(base, changes.copy(), merging=mine)

    held(transaction.lock, go_on)


def _changed_states(
    ctx: RepoContext, former: _Former, tip: ObjectId
) -> list[tuple[State | None, State | None]]:
    """States that decisions looked at, before and now: of the branch, and of the merge bases."""
    pairs: list[tuple[State | None, State | None]] = [
        (state_of(ctx, former.tip), state_of(ctx, tip))
    ]
    graph = CommitGraph(ctx.ref_store)
    for source, before in zip(former.merging.sources, former.merging.bases, strict=True):
        now = graph.merge_bases(tip, source)
        if tuple(now) != before:
            pairs.append((base_state(ctx, graph, before), base_state(ctx, graph, now)))
    return pairs


def solve(
    transaction: Transaction,
    decisions: Iterable[Decision],
    solver: Solver | None = None,
    *,
    prefer: str | None = None,
    replace_all: bool = False,
) -> None:
    """Decide conflicts of the merge that a transaction holds, on the commit it is laid on.

    Parameters
    ----------
    decisions : iterable of Decision
        Later ones override earlier ones.
    solver : callable, optional
        Asked about every conflict that is left, also about those that its decisions lead to.
    prefer : str, optional
        The side of conflicts that no decision is about, from now on.
    replace_all : bool
        Forget the decisions and the preference made before.

    Raises
    ------
    SessionStateError
        Kind ``not-allowed`` when the transaction holds no merge.
    """

    def decide() -> None:
        given = tuple(decisions)
        former = _held(transaction, _merge_of(transaction))
        merging = former.merging
        if replace_all:
            merging = replace(merging, decisions=(), prefer=None)
        if prefer is not None:
            merging = replace(merging, prefer=prefer)
        _again(transaction, replace(former, merging=merging), former.tip, given)
        asked: set[Conflict] = set()
        while solver is not None and transaction.merging is not None:
            fresh = [one for one in transaction.merging.conflicts if one not in asked]
            asked.update(fresh)
            answers = tuple(each for one in fresh for each in answers_of(one, solver(one)))
            if not answers:
                return
            _again(transaction, _held(transaction, transaction.merging), former.tip, answers)

    transaction.exclusively(decide)


def lay_on_tip(transaction: Transaction, given: Iterable[Decision] = ()) -> None:
    """Lay the merge that a transaction holds on the present tip of its branch.

    Where everything was merged meanwhile, the transaction is an ordinary one afterwards.

    Raises
    ------
    RefNotFoundError
        The branch was deleted; the transaction keeps the merge and its decisions.
    MergeConflictError
        What was written to the session conflicts with new commits; nothing was changed.
    SessionStateError
        Kind ``not-allowed`` when the transaction holds no merge.
    """

    def lay() -> None:
        merging = _merge_of(transaction)
        tip, decisions = _tip(transaction), tuple(given)
        if tip != transaction.base_id or decisions:
            _again(transaction, _held(transaction, merging), tip, decisions)

    transaction.exclusively(lay)


def _merge_of(transaction: Transaction) -> OpenMerge:
    if transaction.merging is None:
        transaction.check_not_published("there is no merge to decide about")
        raise SessionStateError(
            "this session holds no merge, so there is nothing to decide; "
            "`Repository.merge_session` opens one, and `rebase` takes a solver",
            ErrorKind.NOT_ALLOWED,
        )
    return transaction.merging


def _tip(transaction: Transaction) -> ObjectId:
    assert transaction.branch is not None
    try:
        return transaction.ctx.ref_store.writable_tip(transaction.branch)
    except RefNotFoundError as error:
        raise RefNotFoundError(
            f"branch `{transaction.branch}` was deleted, so the merge has nowhere to go; the "
            "session keeps its decisions. Create the branch again, or `stash` the merge and pop "
            "it in a session on another branch",
            error.kind,
        ) from error


# -- committing ------------------------------------------------------------------------------------


def commit_merge(
    transaction: Transaction,
    message: str,
    metadata: dict[str, Any] | None,
    tries: int,
    given: Iterable[Decision] = (),
) -> ObjectId:
    """Commit the merge that a transaction holds; it is laid again while the branch moves.

    Parameters
    ----------
    tries : int
        How often it is laid again at most.
    given : iterable of Decision
        Decisions to add before.

    Raises
    ------
    MergeConflictError
        Conflicts are open; nothing was committed.
    ConflictError
        Other writers moved the branch more often than `tries` times.
    RefNotFoundError
        The branch was deleted; the transaction keeps the merge and its decisions.
    SessionStateError
        Kind ``no-changes-to-commit`` when others merged the same meanwhile.
    """
    request = requested(transaction, "commit", message, metadata)

    def attempt() -> ObjectId:
        left, more = tries, tuple(given)
        while True:
            done = transaction.answer(request)
            if done is not None:
                return done
            check_committable(transaction, allow_empty=True)
            merging, branch = _merge_of(transaction), transaction.branch
            assert branch is not None
            lay_on_tip(transaction, more)
            more = ()
            if transaction.merging is None:
                raise _merged_already(merging, branch)
            merging = transaction.merging
            if merging.conflicts:
                raise MergeConflictError(branch, merging.names, merging.conflicts)
            lineage = Lineage(
                "merge",
                (transaction.base_id, *merging.sources),
                merging.base,
                ", ".join(merging.names),
            )
            moves = bool(transaction.changes.moves)
            register = registration(transaction.ctx, moves, merging.sources)
            full = with_lineage(request.metadata, lineage)
            try:
                return publish(transaction, request, register, full)
            except ConflictError as error:
                if transaction.learn():
                    continue  # the conflict was with an earlier attempt of this session
                moved = error.kind == ErrorKind.COMMIT_CONFLICT and error.actual_parent is not None
                if not moved or not left:
                    raise
                left -= 1

    return transaction.exclusively(attempt)


# -- resuming --------------------------------------------------------------------------------------


def resume(
    transaction: Transaction,
    merging: OpenMerge,
    stashed: State,
    tip: ObjectId,
    given: Iterable[Decision] = (),
) -> None:
    """Go on with a merge that was put aside, in a transaction without changes.

    Parameters
    ----------
    transaction : Transaction
        On the branch that the merge is to change; need not be the former one.
    merging : OpenMerge
        What is merged, and what was decided.
    stashed : State
        What the session held.
    tip : ObjectId
        What the merge was laid on.
    given : iterable of Decision
        Further decisions.

    Raises
    ------
    SessionStateError
        Kind ``not-allowed`` for a transaction with changes, or without a branch.
    MergeConflictError
        What was written to the session conflicts with new commits; nothing was changed.
    """
    if transaction.branch is None or transaction.mode is not SessionMode.writable:
        raise SessionStateError(
            "a merge goes on in a session of `Repository.writable_session`, which commits to the "
            "branch that it changes",
            ErrorKind.NOT_ALLOWED,
        )
    if not transaction.changes.is_empty or transaction.merging is not None:
        raise SessionStateError(
            "a merge goes on in a session without uncommitted changes: commit, stash or discard "
            "them first",
            ErrorKind.NOT_ALLOWED,
        )

    def go_on() -> None:
        assert transaction.branch is not None
        laid = _lay(transaction.ctx, tip, merging)
        if laid is None:
            raise _merged_already(merging, transaction.branch)
        former = _Former(tip, laid, stashed, set())
        _again(transaction, former, transaction.base_id, tuple(given))

    transaction.exclusively(go_on)
