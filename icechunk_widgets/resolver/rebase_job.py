"""Rebase or merge with the decisions and commit; repeat when the branch moved meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icechunk import (
    Conflict,
    ConflictError,
    ErrorKind,
    MergeConflictError,
    RebaseFailedError,
    Session,
    SessionStateError,
)
from icechunk_widgets.arrays.merging import merges, write
from icechunk_widgets.commits.details import count_changes
from icechunk_widgets.kernel.plain import plural, short
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.resolution import Resolution
from icechunk_widgets.resolver.seen_solver import SeenOnly

MOST_ATTEMPTS = 100
CLOSED = (
    "this session was committed elsewhere and cannot be rebased any more; save the decisions to "
    "load them for another session with the same changes"
)


@dataclass(frozen=True)
class Outcome:
    """Result of a rebase.

    Attributes
    ----------
    status : str
        ``committed``; ``rebased`` when nothing was left to commit; ``pending`` when the branch
        moved and more decisions are needed.
    snapshot_id : str
        The new snapshot, or the tip.
    text : str
        One sentence that reports the result.
    """

    status: str
    snapshot_id: str
    text: str


def complete(
    session: Session,
    resolution: Resolution,
    message: str,
    metadata: dict[str, Any] | None,
    progress: Callable[[str, int, int], None],
) -> Outcome:
    """Rebase and commit; runs on a worker thread.

    Parameters
    ----------
    session : Session
        A session with uncommitted changes.
    resolution : Resolution
        The decisions.
    message, metadata
        Message and metadata of the commit.
    progress : callable
        Called at every stage with its name, and the numbers of stages done and in total.

    Raises
    ------
    IcechunkError
        When a decision cannot be applied, or the commit fails; the session keeps its changes.
    """
    if session.read_only:
        raise SessionStateError(CLOSED, ErrorKind.READ_ONLY_SESSION)
    if session.merging is not None:
        return _complete_merge(session, resolution, message, metadata, progress)
    more: list[Conflict] = []
    stuck: list[Any] = []
    for _ in range(MOST_ATTEMPTS):
        progress("Looking for new commits", 0, 3)
        _write(session, resolution)
        scan = resolution.look_again(more)
        plan = scan.plan
        if plan.undecided:
            return _pending(scan)
        progress("Rebasing", 1, 3)
        try:
            _rebase(session, resolution, scan)
        except RebaseFailedError as error:
            met = [error.snapshot, plan.decisions(), session.snapshot_id]
            if met == stuck:
                raise
            stuck, more = met, error.conflicts
            continue
        if not count_changes(session.status()):
            return _nothing_left(session, scan)
        progress("Writing the commit", 2, 3)
        try:
            snapshot_id = session.commit(message, metadata)
        except ConflictError as error:
            if error.kind != ErrorKind.COMMIT_CONFLICT:
                raise
            more = []
            continue
        return Outcome("committed", snapshot_id, f"Rebased and committed to {scan.branch}.")
    raise _moved_too_often()


def _complete_merge(
    session: Session,
    resolution: Resolution,
    message: str,
    metadata: dict[str, Any] | None,
    progress: Callable[[str, int, int], None],
) -> Outcome:
    """Decide the merge that a session holds, and commit it."""
    for _ in range(MOST_ATTEMPTS):
        progress("Looking for new commits", 0, 3)
        _write(session, resolution)
        scan = resolution.look_again([])
        if scan.plan.undecided:
            return _pending(scan)
        if session.merging is None:
            text = f"{scan.branch} has this merge already; nothing was left to commit."
            return Outcome("rebased", session.snapshot_id, text)
        progress("Merging", 1, 3)
        resolution.unwritten = merges(scan.sessions, scan.plan.merges())
        session.solve(scan.plan.decisions())
        _write(session, resolution)
        progress("Writing the commit", 2, 3)
        try:
            snapshot_id = session.commit(message, metadata)
        except MergeConflictError:
            continue  # the branch moved; what it has meanwhile is in conflict
        text = f"Merged {scan.source} into {scan.branch} and committed."
        return Outcome("committed", snapshot_id, text)
    raise _moved_too_often()


def _pending(scan: ConflictScan) -> Outcome:
    return Outcome(
        "pending",
        "",
        f"{scan.branch} has moved to {short(scan.tip)}: "
        f"{plural(scan.plan.undecided, 'decision')} more. Decisions that are still valid are kept.",
    )


def _moved_too_often() -> ConflictError:
    return ConflictError(
        message=f"the branch moved {MOST_ATTEMPTS} times meanwhile; complete again when fewer "
        "writers are at work",
        kind=ErrorKind.UPDATE_ATTEMPTS_EXHAUSTED,
    )


def _rebase(session: Session, resolution: Resolution, scan: ConflictScan) -> None:
    """Rebase with the decisions, and write the merged chunks."""
    plan = scan.plan
    # Computed before the rebase, which discards our values of these chunks.
    resolution.unwritten = merges(scan.sessions, plan.merges())
    try:
        session.rebase(SeenOnly(plan.decisions(), scan.base, scan.tip))
    except BaseException:
        if session.snapshot_id == scan.base:
            resolution.unwritten = []  # no commit was passed; the session still has our values
        else:
            _write(session, resolution)
        raise
    _write(session, resolution)


def _write(session: Session, resolution: Resolution) -> None:
    write(session, resolution.unwritten)
    resolution.unwritten = []


def _nothing_left(session: Session, scan: ConflictScan) -> Outcome:
    text = f"Rebased onto {scan.branch}; nothing of this session was left to commit."
    return Outcome("rebased", session.snapshot_id, text)
