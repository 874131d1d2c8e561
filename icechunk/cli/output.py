"""The result of a command, as text and as JSON; control characters are escaped."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

Cell = str | Text | int | None


@dataclass
class Answer:
    """The result of a command.

    Parameters
    ----------
    data : object
        For ``--json``: anything that `plain` can turn into JSON.
    lines : sequence of str or Text
        Text output; strings are escaped, a `Text` is printed as it is.
    pending : str
        What was printed and not done, because it needs ``--yes``; empty when nothing is pending.
    bad : bool
        Whether the command failed: the shell's exit status is 1.
    """

    data: Any
    lines: Sequence[str | Text] = ()
    pending: str = ""
    bad: bool = False


def show(answer: Answer, as_json: bool) -> None:
    """Print an answer on standard output."""
    if as_json:
        click.echo(json.dumps(plain(answer.data), indent=2))
        return
    screen = console()
    for line in answer.lines:
        text = line if isinstance(line, Text) else Text(visible(line))
        screen.print(text, soft_wrap=True)


def console(stderr: bool = False) -> Console:
    """Standard output or error, in colour on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # an old terminal still gets every name
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def visible(text: str) -> str:
    """Text on one line with control characters escaped.

    Control characters, line breaks, changes of direction and lone surrogates become ``\\x1b``,
    ``\\n``, ``\\u202e`` and the like.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def styled(text: str, style: str) -> Text:
    """Escaped text in a colour."""
    return Text(visible(text), style=style)


def joined(*parts: str | Text) -> Text:
    """One line of several parts."""
    line = Text()
    for part in parts:
        line.append_text(part if isinstance(part, Text) else Text(visible(part)))
    return line


def table(rows: Iterable[Sequence[Cell]], *, indent: str = "") -> list[str | Text]:
    """Rows with aligned columns, numbers to the right, without truncation."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    lines: list[str | Text] = []
    for row, source in zip(cells, cells, strict=True):
        line = Text(indent)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell.cell_len)
            line.append("  " if number else "")
            right = cell.justify == "right"
            line.append(space if right else "")
            line.append_text(cell)
            line.append("" if right or number == len(source) - 1 else space)
        line.rstrip()
        lines.append(line)
    return lines


def _cell(value: Cell) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, int):
        return Text(f"{value:,}", justify="right")
    return Text(visible(value or ""))


def first_line(message: str) -> str:
    """The first line of a commit message."""
    return message.strip().split("\n")[0]


def moment(when: datetime) -> str:
    """A time as text: UTC, to the second."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 snapshot``, ``12,000 snapshots``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def size(count: int) -> str:
    """A number of bytes as text: ``512 bytes``, ``1.2 MB``."""
    if count < 1000:
        return plural(count, "byte")
    power = min(int(math.log10(count)) // 3, 6)
    return f"{count / 1000**power:.1f} {'kMGTPE'[power - 1]}B"


def plain(value: Any) -> Any:
    """A copy made of JSON types; sets are sorted, times are ISO 8601, bytes are hexadecimal."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)
