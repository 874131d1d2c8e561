"""Keep decisions about a merge where what they were made about is unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from icechunk.conflicts.decision import Decision
from icechunk.conflicts.model import ConflictType
from icechunk.conflicts.selection import ListedChunks
from icechunk.merging.documents import same_document
from icechunk.merging.state import State
from icechunk.spec.manifest.coordinates import member
from icechunk.spec.manifest.references import changed
from icechunk.spec.snapshot.nodes import NodeSnapshot


def carried(
    decisions: Iterable[Decision], states: Iterable[tuple[State | None, State | None]]
) -> tuple[Decision, ...]:
    """Decisions whose nodes or chunks are the same now as when they were made.

    Parameters
    ----------
    decisions : iterable of Decision
        Those about chunks list them.
    states : iterable of (State or None, State or None)
        What the decisions looked at: then and now.
    """
    kept = tuple(decisions)
    for then, now in states:
        kept = tuple(same for one in kept if (same := _same(one, then, now)) is not None)
    return kept


def _same(decision: Decision, then: State | None, now: State | None) -> Decision | None:
    """The decision, with the chunks for which nothing changed; None where none is left."""
    if then is None or now is None:
        return decision if then is now else None
    was, its = then.get(decision.path), now.get(decision.path)
    if was is None or its is None:
        return decision if was is its else None
    if was.id != its.id:
        return None
    if isinstance(decision.selection, ListedChunks):
        return _same_chunks(decision, decision.selection, (then, was), (now, its))
    if not same_document(was, its):
        return None
    if decision.type is not ConflictType.ZarrMetadataDoubleUpdate and not _same_data(
        (then, was), (now, its)
    ):
        return None
    return decision


def _same_data(then: tuple[State, NodeSnapshot], now: tuple[State, NodeSnapshot]) -> bool:
    """Whether a node has the same chunks; groups have none."""
    (before, was), (after, its) = then, now
    if was.array is None or its.array is None:
        return was.array is its.array
    if was.array.manifests == its.array.manifests:
        return True
    return not len(changed(before.table(was), after.table(its)))


def _same_chunks(
    decision: Decision,
    chunks: ListedChunks,
    then: tuple[State, NodeSnapshot],
    now: tuple[State, NodeSnapshot],
) -> Decision | None:
    (before, was), (after, its) = then, now
    if was.array is None or its.array is None or was.array.shape != its.array.shape:
        return None
    if was.array.manifests == its.array.manifests:
        return decision
    coords = chunks.coords
    left = coords[~member(coords, changed(before.table(was), after.table(its)))]
    return replace(decision, selection=ListedChunks(left)) if len(left) else None
