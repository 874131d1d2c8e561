"""Layout of a commit graph: assigns each commit to a lane, and each lane to a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GraphCommit:
    """A commit to draw.

    Attributes
    ----------
    id : str
        Snapshot id.
    parent_id : str or None
        First parent; None for a root.
    message : str
        Commit message.
    others : tuple of str
        Further parents of a merge; those that are not listed have expired.
    """

    id: str
    parent_id: str | None
    message: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """A run of commits that descend from one another, drawn as one line.

    A lane may begin above its first commit, at a merge of that commit. A lane without commits leads
    from a merge to a commit in the middle of another lane.

    Attributes
    ----------
    column : int
        Column, counted from the left. Lanes without a common row may share a column.
    top, bottom : int
        First and last row with a commit of this lane; both the row of the merge if it has none.
    begin : int
        Row where the line begins: `top`, or that of a merge above.
    end : int
        Row where the line ends: that of the parent of its last commit, `bottom` for a root, and
        the number of rows when the parent is not listed.
    joins : int or None
        Row of the commit that the last one descends from, in a lane further left; None when it
        is a root, or its parent is not listed.
    empty : bool
        Whether it has no commits.
    """

    column: int
    begin: int
    top: int
    bottom: int
    end: int
    joins: int | None
    empty: bool = False

    @property
    def first_row(self) -> int:
        """First row that the line itself is in, without the curve from a merge."""
        return self.begin + 1 if self.empty or self.begin < self.top else self.top


@dataclass(frozen=True, slots=True)
class Layout:
    """The lanes of a graph, and how its rows use them.

    Attributes
    ----------
    lanes : tuple of Lane
        In the order of their tips.
    lane_of_row : tuple of int
        Lane of the commit in each row.
    merges : mapping of int to tuple of int
        Lanes that lead to the further parents of the merge in a row.
    cut : frozenset of int
        Rows of merges with a further parent that is not listed.
    """

    lanes: tuple[Lane, ...]
    lane_of_row: tuple[int, ...]
    merges: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    cut: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Number of columns."""
        return 1 + max((lane.column for lane in self.lanes), default=-1)

    def cells(self, row: int) -> list[tuple[str, int]]:
        """Return the characters of a row, two per column, each with the lane that it belongs to.

        ``●`` is the commit, ``│`` a lane that passes, ``╯`` one that ends at this commit; ``╮`` and
        ``╭`` begin at this merge, ``┤`` and ``├`` pass and lead to a parent of it.  ``╌`` follows a
        merge with a parent that is not listed.
        """
        own = self.lane_of_row[row]
        active = {
            lane.column: number
            for number, lane in enumerate(self.lanes)
            if lane.begin < row <= lane.end or number == own
        }
        at = self.lanes[own].column
        # Columns with a bend at this row, and the lane and character of each.
        bends = {
            column: (number, "╯")
            for column, number in active.items()
            if self.lanes[number].joins == row
        }
        for number in self.merges.get(row, ()):
            lane = self.lanes[number]
            passes, right = lane.begin < row, lane.column > at
            bends[lane.column] = number, ("┤" if right else "├") if passes else "╮╭"[not right]
        found: list[tuple[str, int]] = []
        for column in range(self.width):
            later = [one for one in bends if one > column >= at]
            before = [one for one in bends if one <= column < at]
            nearest = min(later) if later else max(before) if before else None
            line = " " if nearest is None else "─"
            bend = own if nearest is None else bends[nearest][0]
            if column == at:
                found.append(("●", own))
            elif column in bends:
                number, glyph = bends[column]
                found.append((glyph, number))
            elif column in active:
                found.append(("│", active[column]))
            else:
                found.append((line, bend))
            cut = column == at and row in self.cut and line == " "
            found.append(("╌" if cut else line, bend))
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
    edges = [
        (row, row_of[other])
        for row, commit in enumerate(commits)
        for other in commit.others
        if row_of.get(other, row) > row
    ]
    first_merge: dict[int, int] = {}
    for row, parent in edges:
        first_merge.setdefault(parent, row)
    lane_of: dict[int, int] = {}
    lanes: list[Lane] = []
    columns = _Columns()
    for tip in (*tips, *(commit.id for commit in commits)):
        rows: list[int] = []
        at = row_of.get(tip)
        while at is not None and at not in lane_of:
            rows.append(at)
            lane_of[at] = len(lanes)
            at = _parent_row(commits[at], row_of)
        if not rows:
            continue
        top, bottom = rows[0], rows[-1]
        begin = first_merge.get(top, top)
        first = 0 if at is None else lanes[lane_of[at]].column + 1
        end = at
        if end is None:
            end = bottom if commits[bottom].parent_id is None else len(commits)
        lanes.append(Lane(columns.take(first, begin, end), begin, top, bottom, end, at))
    merges: dict[int, tuple[int, ...]] = {}
    own = tuple(lane_of[row] for row in range(len(commits)))
    for row, parent in edges:
        number = lane_of[parent]
        if lanes[number].begin > row:
            # The parent is in the middle of a lane that begins further down.
            column = columns.take(lanes[number].column + 1, row, parent)
            number = len(lanes)
            lanes.append(Lane(column, row, row, row, parent, parent, empty=True))
        if number != own[row] and number not in merges.get(row, ()):
            merges[row] = (*merges.get(row, ()), number)
    cut = (
        row for row, commit in enumerate(commits) if any(one not in row_of for one in commit.others)
    )
    return Layout(tuple(lanes), own, merges, frozenset(cut))


class _Columns:
    """The rows in use of each column."""

    def __init__(self) -> None:
        self._taken: list[int] = []  # as bits

    def take(self, first: int, begin: int, end: int) -> int:
        """Reserve some rows of the leftmost column, from `first` on, in which they are free."""
        span = ((1 << (end - begin + 1)) - 1) << begin
        free = (one for one in range(first, len(self._taken)) if not self._taken[one] & span)
        column = next(free, max(first, len(self._taken)))
        self._taken += [0] * (column + 1 - len(self._taken))
        self._taken[column] |= span
        return column


def _parent_row(commit: GraphCommit, row_of: Mapping[str, int]) -> int | None:
    return None if commit.parent_id is None else row_of.get(commit.parent_id)
