"""Changes of the branch or the session while a resolver is open."""

from __future__ import annotations

from icechunk import Session
from icechunk_widgets.commits.columns import author_of
from icechunk_widgets.kernel.plain import short
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.rebase_job import CLOSED


def changed(session: Session, scan: ConflictScan) -> tuple[str, str] | None:
    """Find out whether the displayed conflicts are outdated.

    Parameters
    ----------
    session : Session
        The session to rebase.
    scan : ConflictScan
        The displayed conflicts.

    Returns
    -------
    str, str or None
        A key of the change, and a sentence about it; None when nothing changed.
    """
    if session.read_only:
        return "closed", f"{CLOSED[0].upper()}{CLOSED[1:]}."
    tip = scan.repo.lookup_branch(scan.branch)
    if tip == scan.tip:
        return None
    info = scan.repo.lookup_snapshot(tip)
    author = author_of(info)
    what = f"“{info.message.splitlines()[0] if info.message else short(tip)}”"
    return tip, (
        f"{scan.branch} has moved to {short(tip)}: {what}{f', {author}' if author else ''}. "
        "Decisions are kept where neither side changed."
    )
