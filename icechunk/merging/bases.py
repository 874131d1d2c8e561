"""The state that both sides of a merge started from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from icechunk.conflicts.model import Conflict
from icechunk.core.ids import ObjectId
from icechunk.engine.commit_logs import united
from icechunk.engine.context import RepoContext
from icechunk.merging.expired_base import expired_base, logs_of
from icechunk.merging.graph import CommitGraph
from icechunk.merging.laying import result_of, same_content, state_of
from icechunk.merging.merged import Merged
from icechunk.merging.state import State
from icechunk.merging.three_way import three_way
from icechunk.merging.verdicts import Verdicts
from icechunk.refs.capabilities import Capability
from icechunk.spec.transaction_log.log import TransactionLog

MOST_BASES = 8
"""Merge bases of a criss-cross history that are merged with each other."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Two states to merge, the commits that they come from, and what was laid on the target."""

    source_id: ObjectId
    source: State
    tip: ObjectId
    target: State
    laid: Sequence[Merged] = ()


def base_of(
    ctx: RepoContext,
    graph: CommitGraph,
    bases: Sequence[ObjectId],
    sides: Sides,
    verdicts: Verdicts,
) -> tuple[State | None, list[Conflict]]:
    """The state that both sides started from, and conflicts because it is not known whole.

    Where its snapshot expired it is rebuilt from the transaction logs.
    """
    if not bases:
        return None, []
    state = base_state(ctx, graph, bases)
    if state is not None and not _older_than_it_seems(ctx, graph, bases[0], state, sides):
        return state, []
    ours: TransactionLog | None = None
    theirs: TransactionLog | None = None
    if state is None and Capability.REPO_OBJECT in ctx.ref_store.capabilities:
        ours = logs_of(ctx, graph.way(bases[0], sides.source_id))
        theirs = logs_of(ctx, graph.way(bases[0], sides.tip))
        if theirs is not None:
            theirs = united([theirs, *(merged.log for merged in sides.laid)])
    return expired_base(sides.source, sides.target, ours, theirs, verdicts)


def _older_than_it_seems(
    ctx: RepoContext, graph: CommitGraph, base_id: ObjectId, base: State, sides: Sides
) -> bool:
    """Whether both sides have a node that the root of the history lacks, and neither made it.

    Then commits expired that no list of pruned ancestors names, as in spec 1.
    """
    if graph.parents(base_id):
        return False
    shared = (sides.source.ids & sides.target.ids) - base.ids
    if not shared:
        return False
    log = logs_of(ctx, graph.way(base_id, sides.source_id))
    return log is None or not shared <= log.new_groups | log.new_arrays


def base_state(ctx: RepoContext, graph: CommitGraph, bases: Sequence[ObjectId]) -> State | None:
    """The state that both sides started from; several are merged with each other first."""
    held = [one for one in bases[:MOST_BASES] if one in graph]
    if not held:
        return None
    state = state_of(ctx, held[0])
    for other_id in held[1:]:
        further = graph.merge_bases(held[0], other_id)
        other = state_of(ctx, other_id)
        merged = three_way(
            base_state(ctx, graph, further), other, state, Verdicts(), partial(same_content, ctx)
        )
        # Where the bases disagree neither of them is what both sides started from.
        paths = {conflict.path for conflict in merged.conflicts}
        nodes = result_of(ctx, merged)
        unknown = [node.id for node in (*nodes, *other) if node.path in paths]
        state = State(*merged.laid, ctx.files, unknown)
    return state
