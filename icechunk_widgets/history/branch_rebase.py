"""Whether a branch would rebase cleanly onto another: a dry run that writes nothing.

It looks below the engine's public face: the commits of a branch are taken together as changes that
nobody committed yet, and go through the rules that a rebase goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from icechunk import IcechunkError, Repository, Session
from icechunk.changes.change_set import ChangeSet, DeletedNode
from icechunk.changes.chunk_edits import ChunkEdits
from icechunk.changes.tree_view import TreeView
from icechunk.conflicts.detector import detect
from icechunk.conflicts.model import Conflict
from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.manifest.coordinates import Coords, sorted_unique
from icechunk.spec.manifest.references import deletions
from icechunk.spec.snapshot.nodes import NodeTable
from icechunk.spec.transaction_log.log import TransactionLog
from icechunk_widgets.commits.columns import Listing
from icechunk_widgets.kernel.failures import one_line
from icechunk_widgets.kernel.plain import plural

MOST_COMMITS = 1_000
"""Commits on either side that a dry run looks at."""
_MOST_NODES = 50

Cancelled = Callable[[], bool]


def of_branch(
    repo: Repository, held: Listing, branch: str, onto: str, cancelled: Cancelled
) -> dict[str, Any] | None:
    """What a rebase of one branch onto another would meet.

    Parameters
    ----------
    repo : Repository
        Where both are.
    held : Listing
        Its commits.
    branch, onto : str
        Names of branches.
    cancelled : callable
        Asked between two commits.

    Returns
    -------
    dict or None
        ``state`` (``same``, ``behind``, ``ahead``, ``clean``, ``conflicts`` or ``unknown``),
        ``text``, ``ours`` and ``theirs`` (numbers of commits since both were one), ``chunks`` and
        ``nodes`` (path, title and chunks of each conflict, at most 50).  None once cancelled.
    """
    ours, theirs = _apart(held, held.branches[branch], held.branches[onto])
    if not ours:
        state = "behind" if theirs else "same"
        text = f"{onto} has all of it" if theirs else f"the same commit as {onto}"
        return _told(state, text, ours, theirs)
    if not theirs:
        return _told("ahead", f"{plural(len(ours), 'commit')} ahead of {onto}", ours, theirs)
    if held.parents[ours[-1]] < 0:
        return _told("unknown", f"it shares no commit with {onto}", ours, theirs)
    if max(len(ours), len(theirs)) > MOST_COMMITS:
        many = f"more than {MOST_COMMITS} commits since it left {onto}: not tried"
        return _told("unknown", many, ours, theirs)
    try:
        logs: list[list[TransactionLog]] = []
        for side in (ours, theirs):
            logs.append([])
            for place in side:
                if cancelled():
                    return None
                logs[-1] += _logs(repo, held, place)
        if any(log.moved for log in logs[0]):
            return _told("unknown", "it moves nodes: only the rebase itself tells", ours, theirs)
        files = repo._ctx.files
        base, tip, goal = (
            files.snapshot(held.table.id_at(int(held.rows[place]))).nodes
            for place in (int(held.parents[ours[-1]]), ours[0], theirs[0])
        )
        mine = changes(united(logs[0]), base, tip)
        found = detect(united(logs[1]), goal, mine, TreeView(base, mine))
    except IcechunkError as error:
        return _told("unknown", one_line(error), ours, theirs)
    return _judged(found, onto, ours, theirs)


def of_session(session: Session) -> dict[str, Any] | None:
    """What a rebase of a session's uncommitted changes would meet; None for a read-only one."""
    if session.read_only or session.branch is None:
        return None
    try:
        report = session.conflicts()
    except IcechunkError as error:
        return _told("unknown", one_line(error), [], [])
    if report.tip == report.base:
        return _told("ahead", f"on the tip of {session.branch}", [], [])
    return _judged(report.conflicts, session.branch, [], [])


def _told(state: str, text: str, ours: list[int], theirs: list[int]) -> dict[str, Any]:
    sizes = {"ours": len(ours), "theirs": len(theirs)}
    return {"state": state, "text": text, **sizes, "chunks": 0, "nodes": []}


def _judged(
    found: Sequence[Conflict], onto: str, ours: list[int], theirs: list[int]
) -> dict[str, Any]:
    if not found:
        return _told("clean", f"rebases cleanly onto {onto}", ours, theirs)
    nodes: list[dict[str, Any]] = []
    for conflict in found:
        chunks = 0 if conflict.chunk_array is None else len(conflict.chunk_array)
        nodes.append(
            {"path": conflict.path, "title": str(conflict.conflict_type), "chunks": chunks}
        )
    chunks = sum(node["chunks"] for node in nodes)
    others = sum(not node["chunks"] for node in nodes)
    parts = [plural(chunks, "chunk conflict")] if chunks else []
    parts += [plural(others, "other conflict" if chunks else "conflict")] if others else []
    told = _told("conflicts", f"{' and '.join(parts)} with {onto}", ours, theirs)
    return {**told, "chunks": chunks, "nodes": nodes[:_MOST_NODES]}


def _apart(held: Listing, one: ObjectId, two: ObjectId) -> tuple[list[int], list[int]]:
    """Places of the commits that only one of two snapshots descends from, newest first."""
    parents = held.parents.tolist()
    sides: list[list[int]] = []
    for start in (held.place(one), held.place(two)):
        sides.append([])
        while start >= 0:
            sides[-1].append(start)
            start = parents[start]
    shared = set(sides[0]) & set(sides[1])
    ours, theirs = ([place for place in side if place not in shared] for side in sides)
    return ours, theirs


def _logs(repo: Repository, held: Listing, place: int) -> list[TransactionLog]:
    """What a commit changed: the logs of pruned ancestors first, then its own."""
    row = int(held.rows[place])
    files, table = repo._ctx.files, held.table
    return [files.log(id) for id in (*table.pruned_of(row), table.id_at(row))]


def united(logs: Iterable[TransactionLog]) -> TransactionLog:
    """Several logs as one."""
    listed = list(logs)
    sets = {
        name: frozenset[NodeId]().union(*(getattr(log, name) for log in listed))
        for name in (
            "new_groups",
            "new_arrays",
            "deleted_groups",
            "deleted_arrays",
            "updated_groups",
            "updated_arrays",
        )
    }
    chunks: dict[NodeId, Coords] = {}
    for log in listed:
        for node_id, coords in log.updated_chunks.items():
            former = chunks.get(node_id)
            if former is None or former.shape[1] != coords.shape[1]:
                chunks[node_id] = coords
            else:
                chunks[node_id] = sorted_unique(np.concatenate((former, coords)))
    moved = tuple(move for log in listed for move in log.moved)
    return TransactionLog(listed[0].id, **sets, updated_chunks=chunks, moved=moved)


def changes(log: TransactionLog, base: NodeTable, tip: NodeTable) -> ChangeSet:
    """Committed changes as a session would hold them: what the rules of a rebase look at.

    Parameters
    ----------
    log : TransactionLog
        All that was changed.
    base, tip : NodeTable
        The hierarchy before and after.
    """
    found = ChangeSet()
    for node_id in log.new_groups | log.new_arrays:
        node = tip.by_id(node_id)
        if node is not None:
            found.insert(node)
    for node_id in log.updated_groups | log.updated_arrays:
        node = tip.by_id(node_id)
        if node is not None and base.by_id(node_id) is not None:
            found.updated[node_id] = node
            if node.array is not None:
                found.kept[node_id] = node.array.num_chunks
    for node_id in log.deleted_groups | log.deleted_arrays:
        node = base.by_id(node_id)
        if node is not None and tip.by_id(node_id) is None:
            found.deleted[node_id] = DeletedNode(node_id, node.path, node.is_array)
    for node_id, coords in log.updated_chunks.items():
        node = tip.by_id(node_id)
        if node is None or node.array is None or not len(coords):
            continue
        edits = found.chunks[node_id] = ChunkEdits(node.array.num_chunks)
        edits.extend(deletions(coords))
    return found
