"""Merge branches: find the merge base, lay the source's changes over the target, commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from icechunk.conflicts.decision import Decision
from icechunk.core.errors import ConflictError, ErrorKind, InvalidInputError, MergeConflictError
from icechunk.core.ids import ObjectId, id_text
from icechunk.engine.context import RepoContext
from icechunk.engine.open_merge import merge_message
from icechunk.merging.bases import Sides, base_of
from icechunk.merging.chunk_values import ChunkValues
from icechunk.merging.graph import CommitGraph
from icechunk.merging.laying import Laid, commit_laid, result_of, same_content, state_of
from icechunk.merging.merged import Merged
from icechunk.merging.result import MergeResult
from icechunk.merging.state import State
from icechunk.merging.three_way import three_way
from icechunk.merging.verdicts import Verdicts
from icechunk.spec.repo.lineage import Lineage, refuse_lineage_key

FAST_FORWARD = ("auto", "only", "never")


@dataclass(frozen=True, slots=True)
class Source:
    """What is merged: a snapshot, and its name for people."""

    id: ObjectId
    name: str


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How to merge.

    Attributes
    ----------
    fast_forward : str
        ``"auto"`` moves the branch where that is enough, ``"never"`` makes a commit in any case,
        ``"only"`` refuses to make one.
    squash : bool
        Do not record the source as a parent.
    prefer : str or None
        ``"source"`` or ``"target"``: the side of conflicts that no decision is about.
    decisions : tuple of Decision
        What was decided about single conflicts.
    cells, tolerance
        See `Verdicts`.
    allow_unrelated : bool
        Also merge histories that have nothing in common.
    dry_run : bool
        Only say what would happen.
    tries : int
        How often the merge is laid again because the branch moved meanwhile.
    """

    fast_forward: str = "auto"
    squash: bool = False
    prefer: str | None = None
    decisions: tuple[Decision, ...] = ()
    cells: str = "never"
    tolerance: Mapping[str, float] | None = None
    allow_unrelated: bool = False
    dry_run: bool = False
    tries: int = 1000

    def __post_init__(self) -> None:
        if self.fast_forward not in FAST_FORWARD:
            raise InvalidInputError(
                f"`fast_forward` is {self.fast_forward!r}; it must be one of "
                f"{', '.join(map(repr, FAST_FORWARD))}",
                ErrorKind.NOT_ALLOWED,
            )

    @property
    def verdicts(self) -> Verdicts:
        """The decisions, for a merge."""
        return Verdicts(self.decisions, self.prefer, self.cells, self.tolerance)


def merge(
    ctx: RepoContext,
    sources: Sequence[Source],
    branch: str,
    options: MergeOptions,
    message: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> MergeResult:
    """Merge states into a branch.

    Raises
    ------
    MergeConflictError
        Conflicts are left; nothing was changed.
    InvalidInputError
        Kind ``unrelated-histories``, or ``fast-forward-only`` where a commit would be needed.
    RefNotFoundError
        There is no such branch.
    """
    refuse_lineage_key(metadata)
    values = ChunkValues(ctx, dry=options.dry_run)
    for attempt in range(options.tries + 1):
        tip = (
            ctx.ref_store.branch_tip(branch)
            if options.dry_run
            else ctx.ref_store.writable_tip(branch)
        )
        try:
            return _merge(ctx, sources, branch, tip, options, message, metadata, values)
        except ConflictError as error:
            moved = error.kind in (ErrorKind.COMMIT_CONFLICT, ErrorKind.BRANCH_UPDATE_CONFLICT)
            if not moved or error.actual_parent is None or attempt == options.tries:
                values.discard()
                raise
    raise AssertionError("unreachable")


def _merge(
    ctx: RepoContext,
    sources: Sequence[Source],
    branch: str,
    tip: ObjectId,
    options: MergeOptions,
    message: str | None,
    metadata: dict[str, Any] | None,
    values: ChunkValues,
) -> MergeResult:
    graph = CommitGraph(ctx.ref_store)
    known = graph.ancestors([tip])
    news = [source for source in sources if source.id not in known]
    result = MergeResult("up-to-date", branch, id_text(tip), dry_run=options.dry_run)
    if not news:
        return result
    heads = [one for one in news if graph.is_ancestor(tip, one.id)] if len(news) == 1 else []
    if heads and options.fast_forward != "never" and not options.squash:
        return _fast_forward(ctx, branch, tip, heads[0], result)
    if options.fast_forward == "only":
        raise InvalidInputError(
            f"{branch} cannot be fast-forwarded to {news[0].name}: both have commits of their own. "
            "Merge with `fast_forward='auto'`, which makes a merge commit",
            ErrorKind.FAST_FORWARD_ONLY,
        )
    laid = lay(ctx, graph, tip, news, options, values)
    result = replace(
        result,
        base=None if laid.base is None else id_text(laid.base),
        conflicts=laid.conflicts,
        changes=laid.diff(),
        outcome="conflicts" if laid.conflicts else "merged",
    )
    if options.dry_run:
        return result
    if laid.conflicts:
        values.discard()
        raise MergeConflictError(branch, [one.name for one in news], laid.conflicts)
    lineage = Lineage(
        "squash" if options.squash else "merge",
        (tip,) if options.squash else (tip, *(one.id for one in news)),
        laid.base,
        ", ".join(one.name for one in news),
        tuple(one.id for one in news) if options.squash else (),
    )
    text = message if message is not None else merge_message([one.name for one in news], branch)
    ids = [one.id for one in news]
    new = commit_laid(ctx, branch, laid, lineage, text, metadata, ids)
    return replace(result, snapshot_id=id_text(new))


def _fast_forward(
    ctx: RepoContext, branch: str, tip: ObjectId, source: Source, result: MergeResult
) -> MergeResult:
    before, after = state_of(ctx, tip), state_of(ctx, source.id)
    merged = three_way(before, after, before, Verdicts(), partial(same_content, ctx))
    changes = Laid.of(merged, tip).diff()
    result = replace(result, outcome="fast-forward", base=id_text(tip), changes=changes)
    if result.dry_run:
        return result
    ctx.ref_store.reset_branch(branch, source.id, tip)
    return replace(result, snapshot_id=id_text(source.id))


def lay(
    ctx: RepoContext,
    graph: CommitGraph,
    tip: ObjectId,
    sources: Sequence[Source],
    options: MergeOptions,
    values: ChunkValues | None = None,
) -> Laid:
    """Lay sources over a state, one after the other; only merged cells are written.

    Parameters
    ----------
    sources : sequence of Source
        At least one.
    values : ChunkValues, optional
        Reads and stores chunks whose cells are merged; without it none are.

    Raises
    ------
    InvalidInputError
        Kind ``unrelated-histories``.
    """
    laid: Laid | None = None
    bases = merge_bases(graph, tip, sources, allow_unrelated=options.allow_unrelated)
    steps = lay_each(
        ctx,
        graph,
        tip,
        sources,
        bases,
        options.verdicts,
        lambda merged: result_of(ctx, merged),
        values,
    )
    for merged, its in zip(steps, bases, strict=True):
        step = Laid.of(merged, its[0] if len(its) == 1 else None)
        laid = step if laid is None else laid.then(step)
    assert laid is not None
    if values is not None:
        values.close()
    return laid


def merge_bases(
    graph: CommitGraph, tip: ObjectId, sources: Sequence[Source], *, allow_unrelated: bool
) -> list[list[ObjectId]]:
    """Best common ancestors of a commit and each source.

    Raises
    ------
    InvalidInputError
        Kind ``unrelated-histories``.
    """
    found = []
    for source in sources:
        bases = graph.merge_bases(tip, source.id)
        if not allow_unrelated and not bases:
            raise InvalidInputError(
                f"{source.name} and the branch have no commit in common: their histories are "
                "unrelated. Merge with `allow_unrelated=True` if that is wanted",
                ErrorKind.UNRELATED_HISTORIES,
            )
        found.append(bases)
    return found


def lay_each(
    ctx: RepoContext,
    graph: CommitGraph,
    tip: ObjectId,
    sources: Sequence[Source],
    bases: Sequence[Sequence[ObjectId]],
    verdicts: Verdicts,
    after: Callable[[Merged], State],
    values: ChunkValues | None = None,
) -> Iterator[Merged]:
    """Lay sources over a state, one after the other.

    Parameters
    ----------
    bases : sequence of (sequence of ObjectId)
        Of each source.
    verdicts : Verdicts
        What was decided.
    after : callable
        The state that the next source is laid over.
    values : ChunkValues, optional
        Reads and stores chunks whose cells are merged; without it none are.
    """
    target = state_of(ctx, tip)
    done: list[Merged] = []
    for source, its in zip(sources, bases, strict=True):
        sides = Sides(source.id, state_of(ctx, source.id), tip, target, done)
        base, unclear = base_of(ctx, graph, its, sides, verdicts)
        merged = three_way(
            base, sides.source, target, verdicts, partial(same_content, ctx), values=values
        )
        merged.conflicts.extend(unclear)
        done.append(merged)
        target = after(merged)
        yield merged
