"""The commit graph as text: one line per commit, one column per line of history."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LANES = 12


def lanes(commits: Sequence[tuple[str, str | None]]) -> list[str]:
    """Draw a graph in which every commit has at most one parent.

    Parameters
    ----------
    commits : sequence of (str, str or None)
        Snapshot id and parent, children before parents; the first one's line is the leftmost.

    Returns
    -------
    list of str
        Per commit, ``●`` in its column and ``│`` for the lines beside it; a line that started
        from a commit ends there, in ``╯``.
    """
    waiting: list[str | None] = []  # per column, the commit that its line leads to
    drawn = []
    for commit, parent in commits:
        columns = [number for number, target in enumerate(waiting) if target == commit]
        if not columns:
            free = next((n for n, target in enumerate(waiting) if target is None), len(waiting))
            waiting[free : free + 1] = [commit]
            columns = [free]
        own, *ending = columns
        row = ["│" if target is not None else " " for target in waiting]
        row[own] = "●"
        for column in ending:
            row[column] = "╯"
            waiting[column] = None
        joined = "".join(
            mark + ("─" if ending and own <= number < ending[-1] else " ")
            for number, mark in enumerate(row)
        )
        drawn.append(joined.rstrip()[: 2 * MOST_LANES])
        waiting[own] = parent
        while waiting and waiting[-1] is None:
            waiting.pop()
    return drawn
