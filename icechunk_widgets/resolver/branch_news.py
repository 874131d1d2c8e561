"""What happened to the branch or the session while somebody was deciding."""

from __future__ import annotations

from icechunk import Session
from icechunk_widgets.commits.columns import author_of
from icechunk_widgets.kernel.plain import short
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.rebase_job import CLOSED


def news(session: Session, scan: ConflictScan) -> tuple[str, str] | None:
    """Why the conflicts on show are not those that a rebase would meet; nothing is changed.

    Parameters
    ----------
    session : Session
        The session to rebase.
    survey : Survey
        What is on show.

    Returns
    -------
    str, str or None
        What the news goes by, and a sentence for a person; None where all is as it was.
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
        "What you decided stays where both sides are as they were."
    )
