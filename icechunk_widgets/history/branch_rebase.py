"""Find out whether a branch or a session would rebase without conflicts; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from icechunk import Conflict, ConflictType, IcechunkError, Repository, Session
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
        The repository.
    held : Listing
        Its commits.
    branch, onto : str
        Names of branches.
    cancelled : callable
        Whether the result is still needed; asked before the commits are read.

    Returns
    -------
    dict or None
        ``state`` (``same``, ``behind``, ``ahead``, ``clean``, ``conflicts`` or ``unknown``),
        ``text``, ``ours`` and ``theirs`` (numbers of commits since the common ancestor),
        ``chunks`` and ``nodes`` (path, title and chunks of each conflict, at most 50).  None once
        cancelled.
    """
    ours, theirs, shared = _apart(held, held.branches[branch], held.branches[onto])
    if not ours:
        state = "behind" if theirs else "same"
        text = f"{onto} has all of it" if theirs else f"the same commit as {onto}"
        return _verdict(state, text, ours, theirs)
    if not theirs:
        return _verdict("ahead", f"{plural(len(ours), 'commit')} ahead of {onto}", ours, theirs)
    if not shared:
        return _verdict("unknown", f"it shares no commit with {onto}", ours, theirs)
    if max(len(ours), len(theirs)) > MOST_COMMITS:
        many = f"more than {MOST_COMMITS} commits since it left {onto}: not tried"
        return _verdict("unknown", many, ours, theirs)
    if cancelled():
        return None
    try:
        found = repo.rebase_conflicts(branch, onto)
        moves = any(one.conflict_type is ConflictType.MoveOperationCannotBeRebased for one in found)
        if moves and any(repo.transaction_log(held[at].id).moved_nodes for at in ours):
            return _verdict("unknown", "it moves nodes: only a rebase can say", ours, theirs)
    except IcechunkError as error:
        return _verdict("unknown", one_line(error), ours, theirs)
    return None if cancelled() else _judged(found, onto, ours, theirs)


def of_session(session: Session) -> dict[str, Any] | None:
    """What a rebase of a session's uncommitted changes would meet; None for a read-only one."""
    if session.read_only or session.branch is None:
        return None
    try:
        report = session.conflicts()
    except IcechunkError as error:
        return _verdict("unknown", one_line(error), [], [])
    if report.tip == report.base:
        return _verdict("ahead", f"on the tip of {session.branch}", [], [])
    return _judged(report.conflicts, session.branch, [], [])


def _verdict(state: str, text: str, ours: list[int], theirs: list[int]) -> dict[str, Any]:
    sizes = {"ours": len(ours), "theirs": len(theirs)}
    return {"state": state, "text": text, **sizes, "chunks": 0, "nodes": []}


def _judged(
    found: Sequence[Conflict], onto: str, ours: list[int], theirs: list[int]
) -> dict[str, Any]:
    if not found:
        return _verdict("clean", f"rebases cleanly onto {onto}", ours, theirs)
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
    verdict = _verdict("conflicts", f"{' and '.join(parts)} with {onto}", ours, theirs)
    return {**verdict, "chunks": chunks, "nodes": nodes[:_MOST_NODES]}


def _apart(held: Listing, one: str, two: str) -> tuple[list[int], list[int], bool]:
    """Places of the commits that only one of two snapshots descends from, newest first.

    Returns
    -------
    list of int, list of int, bool
        Those of either side, and whether both descend from any commit.
    """
    parents = held.parents.tolist()
    others: dict[int, list[int]] = {}
    for merge, parent in held.merges.tolist():
        others.setdefault(merge, []).append(parent)
    sides: list[set[int]] = []
    for start in (held.place(one), held.place(two)):
        seen: set[int] = set()
        pending = [start]
        while pending:
            place = pending.pop()
            while place >= 0 and place not in seen:
                seen.add(place)
                pending += others.get(place, ())
                place = parents[place]
        sides.append(seen)
    ours, theirs = sides
    return sorted(ours - theirs), sorted(theirs - ours), bool(ours & theirs)
