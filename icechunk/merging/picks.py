"""Lay single commits on a branch, forwards (cherry-pick) or backwards (revert)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from icechunk.core.errors import (
    ConflictError,
    ErrorKind,
    InvalidInputError,
    MergeConflictError,
    SnapshotNotFoundError,
)
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.engine.context import RepoContext
from icechunk.merging.chunk_values import ChunkValues
from icechunk.merging.graph import CommitGraph
from icechunk.merging.laying import Laid, commit_laid, result_of, same_content, state_of
from icechunk.merging.merge import MergeOptions
from icechunk.merging.merged import Merged
from icechunk.merging.result import MergeResult
from icechunk.merging.state import State
from icechunk.merging.three_way import three_way
from icechunk.spec.repo.lineage import Lineage, refuse_lineage_key


@dataclass(frozen=True, slots=True)
class Step:
    """One commit to lay: what changed from `before` to `after`, and how the new one is called."""

    before: ObjectId
    after: ObjectId
    commit: ObjectId
    kind: str
    message: str


def picks(ctx: RepoContext, snapshot_ids: Sequence[ObjectId]) -> list[Step]:
    """What cherry-picks of commits lay, in the given order.

    Raises
    ------
    InvalidInputError
        For the first commit of a repository, and for a parent that expired.
    """
    graph = CommitGraph(ctx.ref_store)
    return [
        Step(_parent(graph, one, 1), one, one, "pick", _message_of(graph, one))
        for one in snapshot_ids
    ]


def reversals(ctx: RepoContext, snapshot_ids: Sequence[ObjectId], parent: int = 1) -> list[Step]:
    """What reverts of commits lay, in the given order.

    Parameters
    ----------
    parent : int
        Of a merge: which parent to go back to, from 1; other commits have one.

    Raises
    ------
    InvalidInputError
        For the first commit of a repository, a parent that does not exist or that expired.
    """
    graph = CommitGraph(ctx.ref_store)
    steps = []
    for one in snapshot_ids:
        message = _message_of(graph, one).partition("\n")[0]
        text = f'Revert "{message}"\n\nThis reverts commit {id_text(one)}.'
        steps.append(Step(one, _parent(graph, one, parent), one, "revert", text))
    return steps


def _message_of(graph: CommitGraph, snapshot_id: ObjectId) -> str:
    record = graph.record(snapshot_id)
    if record is None:
        raise SnapshotNotFoundError(
            f"snapshot {id_text(snapshot_id)} is not in the repository",
            ErrorKind.SNAPSHOT_NOT_FOUND,
        )
    return record.message


def _parent(graph: CommitGraph, snapshot_id: ObjectId, number: int) -> ObjectId:
    _message_of(graph, snapshot_id)
    parents = graph.parents(snapshot_id)
    if not parents:
        raise InvalidInputError(
            f"{id_text(snapshot_id)} is the first commit of the repository: there is nothing "
            "before it. Name a later commit",
            ErrorKind.NOT_ALLOWED,
        )
    if not 1 <= number <= len(parents):
        raise InvalidInputError(
            f"{id_text(snapshot_id)} has no parent {number}; it has {len(parents)}",
            ErrorKind.NOT_ALLOWED,
        )
    parent = parents[number - 1]
    if parent not in graph:
        raise InvalidInputError(
            f"the parent of {id_text(snapshot_id)} expired, so what this commit changed is not "
            "known any more. `Session.restore` takes values from a state that is still there",
            ErrorKind.SNAPSHOT_NOT_FOUND,
        )
    return parent


def replay(
    ctx: RepoContext,
    steps: Sequence[Step],
    branch: str,
    options: MergeOptions,
    message: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> list[MergeResult]:
    """Lay commits on a branch, one commit each; nothing is committed when one of them conflicts.

    Returns
    -------
    list of MergeResult
        One per step; ``"up-to-date"`` where the branch has the change already.

    Raises
    ------
    MergeConflictError
        Conflicts are left; nothing was changed.
    ConflictError
        The branch moved after a part of several commits was laid; the message names them.
    """
    refuse_lineage_key(metadata)
    values = ChunkValues(ctx, dry=options.dry_run)
    for attempt in range(options.tries + 1):
        tip = ctx.ref_store.branch_tip(branch)
        dry = _dry(ctx, steps, branch, tip, options, values)
        if options.dry_run:
            return dry
        ctx.ref_store.writable_tip(branch)
        for step, found in zip(steps, dry, strict=True):
            if found.conflicts:
                values.discard()
                raise MergeConflictError(branch, [id_text(step.commit)], found.conflicts)
        done: list[MergeResult] = []
        try:
            for step in steps:
                text = message if message is not None and len(steps) == 1 else None
                done.append(_lay(ctx, step, branch, tip, options, text, metadata, values))
                tip = _after(done[-1])
        except ConflictError as error:
            stale = error.kind == ErrorKind.COMMIT_CONFLICT and error.actual_parent is not None
            made = [one.snapshot_id for one in done if one.outcome == "merged"]
            if made:
                raise ConflictError(
                    error.expected_parent,
                    error.actual_parent,
                    f"{branch} was changed by another writer after {len(made)} of {len(steps)} "
                    f"commits were laid ({', '.join(made)}); call again with the rest",
                ) from error
            if not stale or attempt == options.tries:
                values.discard()
                raise
        else:
            return done
    raise AssertionError("unreachable")


def _after(result: MergeResult) -> ObjectId:
    return parse_object_id(result.snapshot_id)


def _three_way(
    ctx: RepoContext, step: Step, target: State, options: MergeOptions, values: ChunkValues
) -> Merged:
    before, after = state_of(ctx, step.before), state_of(ctx, step.after)
    same = partial(same_content, ctx)
    return three_way(before, after, target, options.verdicts, same, values=values)


def _dry(
    ctx: RepoContext,
    steps: Sequence[Step],
    branch: str,
    tip: ObjectId,
    options: MergeOptions,
    values: ChunkValues,
) -> list[MergeResult]:
    target = state_of(ctx, tip)
    found = []
    for step in steps:
        merged = _three_way(ctx, step, target, options, values)
        laid = Laid.of(merged, step.before)
        outcome = "conflicts" if merged.conflicts else "merged"
        found.append(
            MergeResult(
                "up-to-date" if merged.log.is_empty and not merged.conflicts else outcome,
                branch,
                id_text(tip),
                id_text(step.before),
                merged.conflicts,
                laid.diff(),
                dry_run=True,
            )
        )
        target = result_of(ctx, merged)
    return found


def _lay(
    ctx: RepoContext,
    step: Step,
    branch: str,
    tip: ObjectId,
    options: MergeOptions,
    message: str | None,
    metadata: dict[str, Any] | None,
    values: ChunkValues,
) -> MergeResult:
    target = state_of(ctx, tip)
    merged = _three_way(ctx, step, target, options, values)
    values.close()
    if merged.conflicts:
        raise MergeConflictError(branch, [id_text(step.commit)], merged.conflicts)
    result = MergeResult("up-to-date", branch, id_text(tip), id_text(step.before))
    if merged.log.is_empty:
        return result
    lineage = Lineage(step.kind, (tip,), step.before, of=(step.commit,))
    text = step.message if message is None else message
    laid = Laid.of(merged, step.before)
    new = commit_laid(ctx, branch, laid, lineage, text, metadata)
    return replace(result, outcome="merged", snapshot_id=id_text(new), changes=laid.diff())
