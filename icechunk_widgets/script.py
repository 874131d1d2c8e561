"""Decisions as a Python program that takes them again."""

from __future__ import annotations

from typing import Any


def script(decisions: list[dict[str, Any]], message: str, tip: str) -> str:
    """Python text; `session` in it is the session to rebase.

    Parameters
    ----------
    decisions : list of dict
        As `icechunk.DecisionSolver` takes them.
    message : str
        Commit message.
    tip : str
        Snapshot that the decisions were made against.
    """
    lines = [
        "import icechunk",
        "",
        f"# decided against snapshot {tip}",
        "decisions = [",
        *(f"    {decision!r}," for decision in decisions),
        "]",
        "session.rebase(icechunk.DecisionSolver(decisions))",
        f"session.commit({message!r})",
        "",
    ]
    return "\n".join(lines)
