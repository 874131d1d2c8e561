"""Decisions as a Python program that applies them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def script(
    decisions: list[dict[str, Any]],
    message: str,
    tip: str,
    merged: Sequence[tuple[str, Sequence[int], Sequence[int], str]] = (),
    *,
    merging: bool = False,
) -> str:
    """A program in which `session` is the session to rebase.

    Parameters
    ----------
    decisions : list of dict
        Decisions in the form of `icechunk.DecisionSolver`.
    message : str
        Commit message.
    tip : str
        Snapshot that the decisions were made against.
    merged : sequence of (str, sequence of int, sequence of int, str)
        Chunks to merge, as arguments of `icechunk_widgets.arrays.merging.spread`.
    merging : bool
        Whether `session` holds a merge; then ours is the source and theirs the target.
    """
    ours, base = "session", "session.snapshot_id"
    settle = "session.rebase(icechunk.DecisionSolver(decisions))"
    if merging:
        ours, base = "session.at_snapshot(session.merging.source_ids[0])", "session.merging.base_id"
        settle = "session.solve(decisions)"
    before = [
        "from icechunk_widgets.arrays.merging import merges, spread, write",
        "",
        "sides = {",
        f'    "ours": {ours},',
        f'    "theirs": session.at_snapshot({tip!r}),',
        f'    "base": session.at_snapshot({base}),',
        "}",
        "merged = merges(",
        "    sides,",
        "    [",
        *(f"        *spread{one!r}," for one in merged),
        "    ],",
        ")",
    ]
    lines = [
        *([] if merging else ["import icechunk", ""]),
        f"# decided against snapshot {tip}",
        "decisions = [",
        *(f"    {decision!r}," for decision in decisions),
        "]",
        *(before if merged else []),
        settle,
        *(["write(session, merged)"] if merged else []),
        f"session.commit({message!r})",
        "",
    ]
    return "\n".join(lines)
