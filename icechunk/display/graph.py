"""Draws the history of a repository as text, coloured text or SVG."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from icechunk.display.lanes import GraphCommit, Lane, Layout, arrange, in_order

_MAIN_COLOUR = "#B7E400"
_LANE_COLOURS = ("#A653FF", "#FF6554", "#FF9E0D", "#F881D1")
_TAG_COLOUR = "#5EC4F7"
_LONGEST_MESSAGE = 60
_ID_LENGTH = 8
_RESET = "\x1b[0m"

_ROW, _COLUMN, _MARGIN, _RADIUS, _LETTER = 28, 20, 15, 5, 8


def lane_colour(lane: int) -> str:
    """Return the colour of a lane, counted from the left, as ``#RRGGBB``."""
    return _MAIN_COLOUR if lane == 0 else _LANE_COLOURS[(lane - 1) % len(_LANE_COLOURS)]


@dataclass(frozen=True, slots=True)
class _Label:
    """A part of the text of a row, and its style."""

    text: str
    colour: str | None = None
    bold: bool = False
    italic: bool = False
    dim: bool = False

    def ansi(self) -> str:
        codes = "\x1b[2m" if self.dim else ""
        codes += "\x1b[1m" if self.bold else ""
        codes += "\x1b[3m" if self.italic else ""
        codes += _ansi_colour(self.colour) if self.colour else ""
        return f"{codes}{self.text}{_RESET}" if codes else self.text

    def svg(self) -> str:
        style = ' font-weight="bold"' if self.bold else ""
        style += ' font-style="italic"' if self.italic else ""
        colour = "#888" if self.dim else self.colour
        style += f' fill="{colour}"' if colour else ""
        text = html.escape(self.text)
        return f"<tspan{style}>{text}</tspan>" if style else text


def _ansi_colour(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"\x1b[38;2;{red};{green};{blue}m"


def _printable(text: str) -> str:
    """Replace control characters, which could rewrite a terminal or break an SVG."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _first_line(message: str) -> str:
    lines = message.splitlines()
    line = _printable(lines[0]) if lines else ""
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 3] + "..."


class AncestryGraph:
    """Drawing of commits with their branches and tags; print it, or display it in a notebook.

    Returned by `Repository.ancestry_graph`.

    Parameters
    ----------
    commits : sequence of GraphCommit
        Newest first.
    branches, tags : mapping of str to str
        Snapshot id by name.
    plain : bool
        Draw text without colours.
    start : str, optional
        Snapshot whose ancestry is the leftmost line; that of `main` by default.
    """

    __module__ = "icechunk"

    def __init__(
        self,
        commits: Sequence[GraphCommit],
        branches: Mapping[str, str],
        tags: Mapping[str, str],
        *,
        plain: bool = False,
        start: str | None = None,
    ) -> None:
        self._commits = tuple(commits)
        self._plain = plain
        self._listed = {commit.id for commit in self._commits}
        ordered = in_order(branches)
        first = () if start is None else (start,)
        tips = [
            *first,
            *(branches[name] for name in ordered),
            *(tags[name] for name in sorted(tags)),
        ]
        self._layout = arrange(self._commits, tips)
        self._branches = _by_target(ordered, branches)
        self._tags = _by_target(sorted(tags), tags)

    def __len__(self) -> int:
        """Number of commits."""
        return len(self._commits)

    def __str__(self) -> str:
        layout = self._layout
        lines: list[str] = []
        for row, commit in enumerate(self._commits):
            if row:
                lines.append(self._lines_between(row))
            labels = self._labels(commit, layout.lane_of_row[row])
            text = "".join(label.text if self._plain else label.ansi() for label in labels)
            lines.append(self._cells(row) + text)
        return "".join(f"{line}\n" for line in lines)

    __repr__ = __str__

    def _paint(self, glyph: str, lane: int) -> str:
        if self._plain or glyph == " ":
            return glyph
        return f"{_ansi_colour(lane_colour(lane))}{glyph}{_RESET}"

    def _cells(self, row: int) -> str:
        """Return the left part of a commit's row: its dot, lanes that pass, lanes that end here."""
        return "".join(self._paint(glyph, lane) for glyph, lane in self._layout.cells(row))

    def _lines_between(self, row: int) -> str:
        """Return the lines between a row and the one above."""
        cells = [" "] * self._layout.width
        for number, lane in enumerate(self._layout.lanes):
            if lane.begin < row <= lane.end:
                cells[lane.column] = self._paint("│", number)
        return "".join(f"{cell} " for cell in cells)

    def _labels(self, commit: GraphCommit, lane: int) -> list[_Label]:
        """Return the text of a row: id, names of branches and tags, message."""
        labels = [_Label(commit.id[:_ID_LENGTH], dim=True), _Label(" ")]
        names = [
            *(
                _Label(_printable(name), lane_colour(lane), bold=True)
                for name in self._branches.get(commit.id, ())
            ),
            *(
                _Label(_printable(name), _TAG_COLOUR, bold=True, italic=True)
                for name in self._tags.get(commit.id, ())
            ),
        ]
        for position, name in enumerate(names):
            labels += [_Label(", " if position else "("), name]
        if names:
            labels.append(_Label(") "))
        lost = [one for one in commit.others if one not in self._listed]
        if lost:
            ids = ", ".join(one[:_ID_LENGTH] for one in lost)
            labels.append(_Label(f"[merged {ids}, expired] ", dim=True))
        return [*labels, _Label(_first_line(commit.message))]

    def _repr_svg_(self) -> str:
        """Return the drawing for notebooks, with all text escaped."""
        layout = self._layout
        left = 2 * _MARGIN + _COLUMN * layout.width
        texts: list[str] = []
        widest = 0
        for row, commit in enumerate(self._commits):
            labels = self._labels(commit, layout.lane_of_row[row])
            widest = max(widest, sum(len(label.text) for label in labels))
            inside = "".join(label.svg() for label in labels)
            texts.append(f'  <text x="{left}" y="{_y(row) + 4}" fill="#888">{inside}</text>')
        height = 2 * _MARGIN + _ROW * max(len(self._commits) - 1, 0)
        dots = [
            f'  <circle cx="{_x(layout.lanes[number])}" cy="{_y(row)}" r="{_RADIUS}" '
            f'fill="{lane_colour(number)}" />'
            for row, number in enumerate(layout.lane_of_row)
        ]
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
                f'aria-label="history of {len(self)} commits" '
                f'width="{left + _LETTER * widest + _MARGIN}" height="{height}" '
                f'style="font-family: monospace; font-size: 13px;">',
                *_lines(layout),
                *dots,
                *texts,
                "</svg>",
            ]
        )


def _by_target(names: Iterable[str], targets: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(targets[name], []).append(name)
    return found


def _x(lane: Lane) -> int:
    return _MARGIN + _COLUMN * lane.column


def _y(row: int) -> int:
    return _MARGIN + _ROW * row


def _lines(layout: Layout) -> list[str]:
    """Return the lines of the lanes, with curves to the parents of their last commit and merges."""
    found: list[str] = []
    for number, lane in enumerate(layout.lanes):
        style = f'fill="none" stroke="{lane_colour(number)}" stroke-width="2"'
        x, top = _x(lane), _y(lane.first_row)
        if lane.joins is None:
            path = f"M {x} {top} V {_y(lane.bottom)}"
        else:
            target, last = _y(lane.joins), _y(lane.joins - 1)
            middle, home = target - _ROW // 2, _x(layout.lanes[layout.lane_of_row[lane.joins]])
            path = f"M {x} {top} V {last} C {x} {middle}, {home} {middle}, {home} {target}"
        found.append(f'  <path d="{path}" {style} />')
    for row, numbers in layout.merges.items():
        for number in numbers:
            start, end = _x(layout.lanes[layout.lane_of_row[row]]), _x(layout.lanes[number])
            middle = _y(row) + _ROW // 2
            path = f"M {start} {_y(row)} C {start} {middle}, {end} {middle}, {end} {_y(row + 1)}"
            found.append(
                f'  <path d="{path}" fill="none" stroke="{lane_colour(number)}" stroke-width="2" />'
            )
    return found
