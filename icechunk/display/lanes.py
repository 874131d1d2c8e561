"""Which column of a drawing every commit of a history stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GraphCommit:
    """A commit to draw: its id and its parent's (None for a root), and the message."""

    id: str
    parent_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A column: a run of commits that descend from one another.

    Attributes
    ----------
    top, bottom : int
        First and last row with a commit of this lane.
    joins : int or None
        Row of the commit that the last one descends from, in a lane further left; None when it
        is a root, or its parent is not drawn.
    """

    top: int
    bottom: int
    joins: int | None

    def passes(self, row: int) -> bool:
        """Whether its line crosses a row without a commit or a bend there."""
        return self.top < row < (self.bottom if self.joins is None else self.joins)


@dataclass(frozen=True, slots=True)
class Layout:
    """Lanes from left to right, and the lane of every row."""

    lanes: tuple[Lane, ...]
    lane_of_row: tuple[int, ...]


def in_order(branches: Iterable[str]) -> list[str]:
    """Branches from left to right: `main` first, the others by name."""
    return sorted(branches, key=lambda name: (name != "main", name))


def arrange(commits: Sequence[GraphCommit], tips: Iterable[str]) -> Layout:
    """Give every commit a lane.

    Parameters
    ----------
    commits : sequence of GraphCommit
        Rows from top to bottom: a commit comes before its parent.
    tips : iterable of str
        Where lanes may begin, from left to right. The first one takes its whole ancestry, each
        further one what those before it left.
    """
    row_of = {commit.id: row for row, commit in enumerate(commits)}
    lane_of: dict[int, int] = {}
    lanes: list[Lane] = []
    for tip in (*tips, *(commit.id for commit in commits)):
        rows: list[int] = []
        row = row_of.get(tip)
        while row is not None and row not in lane_of:
            rows.append(row)
            lane_of[row] = len(lanes)
            row = _parent_row(commits[row], row_of)
        if rows:
            lanes.append(Lane(rows[0], rows[-1], row))
    return Layout(tuple(lanes), tuple(lane_of[row] for row in range(len(commits))))


def _parent_row(commit: GraphCommit, row_of: Mapping[str, int]) -> int | None:
    return None if commit.parent_id is None else row_of.get(commit.parent_id)
