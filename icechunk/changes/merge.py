"""Bring the changes of a fork into the session it came from; never losing a write silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.overlay import TreeView
from icechunk.ground.errors import ConflictError, ErrorKind
from icechunk.ground.ids import NodeId
from icechunk.model.chunk_table import TOMBSTONE, ChunkTable
from icechunk.model.coordinates import Coords
from icechunk.model.nodes import NodeSnapshot
from icechunk.model.references import clashing

_NAMED = 10

SameBytes = Callable[[ChunkTable, ChunkTable], "np.ndarray[Any, np.dtype[np.bool_]]"]
"""Which rows of two tables, chunk by chunk, refer to equal bytes in different places."""


def merge(
    into: ChangeSet,
    other: ChangeSet,
    tree: TreeView,
    known: ChangeSet | None,
    same: SameBytes,
) -> None:
    """Add another change set to one; both were made over the same hierarchy.

    Parameters
    ----------
    into : ChangeSet
        Receives the changes; untouched when anything collides.
    other : ChangeSet
        The fork's own changes.
    tree : TreeView
        The hierarchy of the receiving session, to name nodes.
    known : ChangeSet or None
        Changes that the receiving session had when it was forked: the fork may overwrite those.
        None: it may overwrite all chunks.
    same : callable
        Asked about the chunks that both wrote; of equal ones the receiver's reference stays.

    Raises
    ------
    ConflictError
        Kind ``merge-failed``: both made the same node, changed the same metadata differently,
        removed what the other changed, or wrote the same chunk differently.
    """
    seen = ChangeSet() if known is None else known
    problems = [*_node_problems(into, other, seen), *_homeless(into, other, tree)]
    twice: dict[NodeId, Coords] = {}
    if known is not None:
        problems += _lost_by_resizing(into, other, tree, known)
        problems += _chunk_problems(into, other, tree, known, same, twice)
    if problems:
        raise ConflictError(
            message="cannot merge the forked sessions, both sides changed the same things: "
            + "; ".join(problems)
            + ". Let every fork write chunks of its own (align the regions to chunks and shards)",
            kind=ErrorKind.MERGE_FAILED,
        )
    for node in other.deleted.values():
        made_here = into.new.get(node.path)
        if made_here is not None and made_here.id == node.id:
            into.remove(made_here)
        elif node.id not in into.deleted:
            into.deleted[node.id] = node
            into.updated.pop(node.id, None)
            into.chunks.pop(node.id, None)
    for made in other.new.values():
        into.insert(made)
    for node_id, changed in other.updated.items():
        _update(into, node_id, changed)
    for node_id, edits in other.chunks.items():
        mine = into.chunks.get(node_id)
        if mine is None:
            into.chunks[node_id] = edits.copy()
        else:
            table = edits.table()
            if node_id in twice:
                table = table.select(~_rows_at(table, twice[node_id]))
            mine.extend(table)
    for node_id, grid in other.kept.items():
        former = into.kept.get(node_id, grid)
        into.kept[node_id] = tuple(map(min, former, grid))
    into.objects |= other.objects


def _update(into: ChangeSet, node_id: NodeId, changed: NodeSnapshot) -> None:
    made = into.new.get(changed.path)
    if made is not None and made.id == node_id:
        into.new[changed.path] = changed
    else:
        into.updated[node_id] = changed
    edits = into.chunks.get(node_id)
    if edits is not None and changed.array is not None:
        edits.regrid(changed.array.num_chunks)


def _node_problems(into: ChangeSet, other: ChangeSet, known: ChangeSet) -> list[str]:
    problems = [
        f"both created {path}"
        for path, node in other.new.items()
        if path in into.new and into.new[path].id != node.id
    ]
    # What the fork saw already is the state it went on from.
    updated = {
        node_id: node
        for node_id, node in into.updated.items()
        if node_id not in known.updated or known.updated[node_id].user_data != node.user_data
    }
    problems += [
        f"both changed the metadata of {node.path}"
        for node_id, node in other.updated.items()
        if node_id in updated and updated[node_id].user_data != node.user_data
    ]
    problems += [
        f"one deleted {node.path}, the other changed it"
        for node_id, node in other.deleted.items()
        if node_id in updated or _wrote_since(node_id, into, known)
    ]
    problems += [
        f"one deleted {node.path}, the other changed it"
        for node_id, node in into.deleted.items()
        if node_id in other.updated or node_id in other.chunks
    ]
    return problems


def _wrote_since(node_id: NodeId, into: ChangeSet, known: ChangeSet) -> bool:
    now, before = into.chunks.get(node_id), known.chunks.get(node_id)
    if now is None or before is None:
        return now is not None
    return len(_since(now.table(), before.table())) > 0


def _homeless(into: ChangeSet, other: ChangeSet, tree: TreeView) -> list[str]:
    """Changes of nodes that the receiving session does not have, e.g. over another base."""
    made = {node.id for node in (*other.new.values(), *into.new.values())} | into.deleted.keys()
    missing = [
        node_id
        for node_id in other.updated.keys() | other.chunks.keys()
        if node_id not in made and tree.by_id(node_id) is None
    ]
    return [f"{len(missing)} nodes that one changed do not exist in the other"] if missing else []


def _chunk_problems(
    into: ChangeSet,
    other: ChangeSet,
    tree: TreeView,
    known: ChangeSet,
    same: SameBytes,
    twice: dict[NodeId, Coords],
) -> list[str]:
    """What both wrote differently; what both wrote alike is noted in `twice`."""
    problems = []
    for node_id, edits in other.chunks.items():
        mine = into.chunks.get(node_id)
        if mine is None:
            continue
        mine_table = mine.table()
        before = known.chunks.get(node_id)
        if before is not None:
            mine_table = _since(mine_table, before.table())
        theirs = edits.table()
        both = clashing(mine_table, theirs)
        if len(both):
            rows = mine_table.find_many(both), theirs.find_many(both)
            equal = same(mine_table.select(rows[0]), theirs.select(rows[1]))
            twice[node_id], both = both[equal], both[~equal]
        if len(both):
            node = tree.by_id(node_id)
            shown = ", ".join(str(row) for row in both[:_NAMED].tolist())
            more = len(both) - _NAMED
            problems.append(
                f"both wrote chunks of {node.path if node else 'an array'}: {shown}"
                + (f" and {more} more" if more > 0 else "")
            )
    return problems


def _lost_by_resizing(
    into: ChangeSet, other: ChangeSet, tree: TreeView, known: ChangeSet
) -> list[str]:
    """What one wrote where the other made the array smaller."""
    problems = []
    for shrunk, writer, before in ((other, into, known), (into, other, ChangeSet())):
        for node_id, edits in writer.chunks.items():
            node = shrunk.updated.get(node_id)
            if node is None or node.array is None:
                continue
            table = edits.table()
            if node_id in before.chunks:
                table = _since(table, before.chunks[node_id].table())
            coords = table.coords()[table.kind != TOMBSTONE]
            seen = None if shrunk is other else known.updated.get(node_id)
            if seen is not None and seen.array == node.array:
                continue  # it was that small when the fork was made
            beyond = (coords >= np.maximum(node.array.num_chunks, 1)).any(axis=1)
            base, kept = tree.base.by_id(node_id), shrunk.kept.get(node_id)
            if base is not None and base.array is not None and kept is not None:
                grid = np.array(base.array.num_chunks)
                if len(grid) == len(kept) == coords.shape[1]:
                    # made smaller, and larger again: what was beyond is gone all the same
                    beyond |= ((coords >= np.maximum(kept, 1)) & (coords < grid)).any(axis=1)
            if beyond.any():
                lost = ", ".join(str(row) for row in coords[beyond][:_NAMED].tolist())
                problems.append(
                    f"one made {node.path} smaller, the other wrote chunks there: {lost}"
                )
    return problems


def _since(now: ChunkTable, before: ChunkTable) -> ChunkTable:
    """Rows of `now` that `before` does not hold identically."""
    fresh = ~before.contains(now.coords())
    return now.select(fresh | _rows_at(now, clashing(now, before)))


def _rows_at(table: ChunkTable, coords: Coords) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows of a table are at given coordinates, all of which it has; shape ``(n,)``."""
    found = np.zeros(len(table), np.bool_)
    found[table.find_many(coords)] = True
    return found
