"""Layout of a commit graph: assigns each commit to a lane, and each lane to a column."""

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
    """A run of commits that descend from one another, drawn as one line.

    Attributes
    ----------
    column : int
        Column, counted from the left. Lanes without a common row may share a column.
    top, bottom : int
        First and last row with a commit of this lane.
    end : int
        Row where the line ends: that of the parent of its last commit, `bottom` for a root, and
        the number of rows when the parent is not listed.
    joins : int or None
        Row of the commit that the last one descends from, in a lane further left; None when it
        is a root, or its parent is not listed.
    """

    column: int
    top: int
    bottom: int
    end: int
    joins: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The lanes, in the order of their tips, and the lane of every row."""

    lanes: tuple[Lane, ...]
    lane_of_row: tuple[int, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return 1 + max((lane.column for lane in self.lanes), default=-1)

    def cells(self, row: int) -> list[tuple[str, int]]:
        """Return the characters of a row, two per column, each with the lane that it belongs to.

        ``●`` is the commit, ``│`` a lane that passes, ``╯`` one that ends at this commit.
        """
        own = self.lane_of_row[row]
        active = {
            lane.column: number
            for number, lane in enumerate(self.lanes)
            if lane.top < row <= lane.end or number == own
        }
        at = self.lanes[own].column
        joining = [column for column, lane in active.items() if self.lanes[lane].joins == row]
        end = max(joining, default=at)
        found: list[tuple[str, int]] = []
        for column in range(self.width):
            bend = active[min((one for one in joining if one > column), default=at)]
            line = "─" if at <= column < end else " "
            if column in active:
                glyph = "●" if column == at else "╯" if column in joining else "│"
                found.append((glyph, active[column]))
            else:
                found.append((line, bend))
            found.append((line, bend))
        return found

    def text(self, row: int) -> str:
        """Return a row as text without colours."""
        return "".join(glyph for glyph, _ in self.cells(row)).rstrip()


def in_order(branches: Iterable[str]) -> list[str]:
    """Sort branches from left to right: `main` first, the others by name."""
    return sorted(branches, key=lambda name: (name != "main", name))


def arrange(commits: Sequence[GraphCommit], tips: Iterable[str]) -> Layout:
    """Assign every commit to a lane.

    Parameters
    ----------
    commits : sequence of GraphCommit
        Rows from top to bottom: a commit comes before its parent.
    tips : iterable of str
        Commits at which lanes may begin, from left to right. The lane of the first one has its
        whole ancestry; each further lane has the commits that earlier lanes do not have.
    """
    row_of = {commit.id: row for row, commit in enumerate(commits)}
    lane_of: dict[int, int] = {}
    lanes: list[Lane] = []
    taken: list[int] = []  # rows in use, as bits, of each column
    for tip in (*tips, *(commit.id for commit in commits)):
        rows: list[int] = []
        row = row_of.get(tip)
        while row is not None and row not in lane_of:
            rows.append(row)
            lane_of[row] = len(lanes)
            row = _parent_row(commits[row], row_of)
        if not rows:
            continue
        top, bottom = rows[0], rows[-1]
        first = 0 if row is None else lanes[lane_of[row]].column + 1
        end = row
        if end is None:
            end = bottom if commits[bottom].parent_id is None else len(commits)
        span = ((1 << (end - top + 1)) - 1) << top
        free = (column for column in range(first, len(taken)) if not taken[column] & span)
        column = next(free, len(taken))
        if column == len(taken):
            taken.append(0)
        taken[column] |= span
        lanes.append(Lane(column, top, bottom, end, row))
    return Layout(tuple(lanes), tuple(lane_of[row] for row in range(len(commits))))


def _parent_row(commit: GraphCommit, row_of: Mapping[str, int]) -> int | None:
    return None if commit.parent_id is None else row_of.get(commit.parent_id)
