"""The last step of a resolution: rebase as decided, commit, and try again when the branch moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icechunk import (
    Conflict,
    ConflictError,
    ErrorKind,
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
    "this session was committed elsewhere, nothing can be rebased with it any more; save the "
    "decisions, another session that wrote the same can take them"
)


@dataclass(frozen=True)
class Outcome:
    """How a rebase ended.

    Attributes
    ----------
    status : str
        ``committed``; ``rebased`` when nothing of ours was left to commit; ``pending`` when the
        branch moved and there is more to decide.
    snapshot_id : str
        The new snapshot, or the tip.
    text : str
        One sentence for a person.
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
        With uncommitted changes.
    resolution : Resolution
        The decisions.
    message, metadata
        Of the commit.
    progress : callable
        Told about every stage: name, done, total.

    Raises
    ------
    IcechunkError
        When a decision cannot be carried out, or the commit fails; the session keeps its changes.
    """
    if session.read_only:
        raise SessionStateError(CLOSED, ErrorKind.READ_ONLY_SESSION)
    more: list[Conflict] = []
    stuck: list[Any] = []
    for _ in range(MOST_ATTEMPTS):
        progress("Looking for new commits", 0, 3)
        _write(session, resolution)
        scan = resolution.look_again(more)
        plan = scan.plan
        if plan.undecided:
            return Outcome(
                "pending",
                "",
                f"{scan.branch} has moved to {short(scan.tip)}: "
                f"{plural(plan.undecided, 'decision')} more. Decisions that still hold are kept.",
            )
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
    raise ConflictError(
        message=f"the branch moved {MOST_ATTEMPTS} times while rebasing; complete again when "
        "fewer writers are at work",
        kind=ErrorKind.UPDATE_ATTEMPTS_EXHAUSTED,
    )


def _rebase(session: Session, resolution: Resolution, scan: ConflictScan) -> None:
    """Rebase as decided, and write what was merged cell by cell."""
    plan = scan.plan
    # Read before the rebase, which drops our values of these chunks.
    resolution.unwritten = merges(scan.sessions, plan.merges())
    try:
        session.rebase(SeenOnly(plan.decisions(), scan.base, scan.tip))
    except BaseException:
        if session.snapshot_id == scan.base:
            resolution.unwritten = []  # nothing was passed, and nothing dropped
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
