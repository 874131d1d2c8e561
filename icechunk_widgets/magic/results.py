"""What the commands return: small objects with a text and an HTML form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from icechunk_widgets import fallback


class Note:
    """One sentence about what was done.

    Parameters
    ----------
    text : str
        The sentence.
    **facts
        Further attributes, e.g. ``snapshot_id``.
    """

    def __init__(self, text: str, **facts: Any) -> None:
        self.text = text
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this result has no `{name}`; it has {', '.join(self.__dict__)}")

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return fallback.line(self.text)


class Listing:
    """Rows under a heading.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : sequence of sequence
        One per line.
    title : str
        What they are.
    """

    def __init__(self, title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.title = title
        self.head = tuple(head)
        self.rows = [tuple(row) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def to_pandas(self) -> Any:
        """The rows as a data frame; needs pandas."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.head))

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.title}: none"
        texts = [[str("" if cell is None else cell) for cell in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in texts
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return fallback.box(self.title, fallback.line("none"))
        return fallback.box(self.title, fallback.table(self.head, self.rows))


class Status:
    """A session and what it changed.

    Parameters
    ----------
    session : icechunk.Session
        The session.
    """

    def __init__(self, session: Any) -> None:
        self.branch: str | None = session.branch
        self.snapshot_id: str = session.snapshot_id
        self.read_only: bool = session.read_only
        self.diff = session.status()

    @property
    def clean(self) -> bool:
        """Whether there is nothing to commit."""
        return bool(self.diff.is_empty())

    @property
    def headline(self) -> str:
        """Where the session stands."""
        where = f"on {self.branch}" if self.branch else "read-only"
        return f"{where}, based on {self.snapshot_id}"

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.diff if not self.clean else 'nothing to commit'}"

    def _repr_html_(self) -> str:
        from icechunk_widgets.formatters import diff_html

        state = fallback.line("nothing to commit") if self.clean else diff_html(self.diff)
        return fallback.box(self.headline, state)
