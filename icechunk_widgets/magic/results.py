"""Results of commands: small objects with a text and an HTML form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from typing import Any, overload

from icechunk import Repository, Session, SnapshotInfo
from icechunk.cli.addresses import At
from icechunk.cli.history_commands import log as commit_lines
from icechunk.cli.output import Answer
from icechunk_widgets.kernel.plain import plain, plural, short
from icechunk_widgets.static_html import tables


class Note:
    """A sentence about what a command did.

    Parameters
    ----------
    text : str
        The sentence.
    **attributes
        Further attributes, such as ``snapshot_id``.
    """

    def __init__(self, text: str, **attributes: Any) -> None:
        self.text = text
        self.__dict__.update(attributes)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this result has no `{name}`; it has {', '.join(self.__dict__)}")

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<pre style="margin:0">{escape(self.text)}</pre>'


class Report:
    """The result of a command that the shell has too.

    Parameters
    ----------
    answer : Answer
        Result of the shell command.

    Attributes
    ----------
    data : object
        The result in JSON types; the entries of a map are attributes too.
    text : str
        The same as text.
    """

    def __init__(self, answer: Answer) -> None:
        self.data: Any = plain(answer.data)
        self.text = "\n".join(str(line) for line in answer.lines)

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__.get("data")
        if isinstance(held, dict) and name in held:
            return held[name]
        offered = ", ".join(held) if isinstance(held, dict) else "data and text"
        raise AttributeError(f"this result has no `{name}`; it has {offered}")

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return True

    def to_pandas(self) -> Any:
        """The rows, if there are any, as a data frame; needs pandas."""
        import pandas

        rows = self.data
        if isinstance(rows, dict):
            rows = next((value for value in rows.values() if isinstance(value, list)), [rows])
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        return self.text or "nothing"

    def _repr_html_(self) -> str:
        return f'<pre style="margin:0">{escape(repr(self))}</pre>'


class Log(Sequence[SnapshotInfo]):
    """Commits, newest first; displayed as the history widget, or with a number as lines.

    Parameters
    ----------
    at : At
        The repository and its open session.
    ref : str, optional
        Only the ancestry of this ref.
    count : int, optional
        Show at most this number of commits.
    """

    def __init__(self, at: At, ref: str | None = None, count: int | None = None) -> None:
        self._at, self._ref, self._count = at, ref, count
        self._start = None if ref is None else at.named(ref)
        held: Sequence[SnapshotInfo] = (
            at.repo.history()["commits"]
            if self._start is None
            else list(at.repo.ancestry(snapshot_id=self._start))
        )
        self._infos = held if count is None else held[:count]

    def __len__(self) -> int:
        return len(self._infos)

    @overload
    def __getitem__(self, index: int) -> SnapshotInfo: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SnapshotInfo]: ...

    def __getitem__(self, index: int | slice) -> SnapshotInfo | Sequence[SnapshotInfo]:
        return self._infos[index]

    @cached_property
    def widget(self) -> Any:
        """The `icechunk_widgets.History` of the same commits."""
        from icechunk_widgets.history.widget import History

        title = {} if self._ref is None else {"title": f"History of {self._ref}"}
        return History(self._at.repo, self._at.session, self._start, **title)

    def to_pandas(self) -> Any:
        """One row per commit; needs pandas."""
        import pandas

        return pandas.DataFrame(
            [
                {"id": i.id, "written_at": i.written_at, "message": i.message, **i.metadata}
                for i in self._infos
            ]
        )

    @property
    def text(self) -> str:
        """One line per commit."""
        answer = commit_lines(self._at, self._ref, False, self._count)
        return "\n".join(str(line) for line in answer.lines)

    def __repr__(self) -> str:
        return self.text if self._count is not None else repr(self.widget)

    def _repr_mimebundle_(self, **_: Any) -> Any:
        if self._count is None:
            return self.widget._repr_mimebundle_()
        text = self.text
        return {"text/plain": text, "text/html": f'<pre style="margin:0">{escape(text)}</pre>'}


class Shown(Report):
    """A commit and what it changed; `data` has its ``id``, ``message``, ``metadata``, ``changes``.

    Parameters
    ----------
    repo : Repository
        The repository.
    snapshot_id : str
        The commit.
    answer : Answer
        Result of the shell command.
    """

    def __init__(self, repo: Repository, snapshot_id: str, answer: Answer) -> None:
        super().__init__(answer)
        self._repo = repo
        self._id = snapshot_id

    def _repr_html_(self) -> str:
        from icechunk_widgets.formatters import diff_html

        info = self._repo.lookup_snapshot(self._id)
        when = f"{info.written_at:%Y-%m-%d %H:%M:%S} UTC, {info.id}"
        parts = [tables.line(when), tables.line(info.message)]
        if info.metadata:
            parts.append(
                tables.table(("key", "value"), sorted(_flat(info.metadata), key=lambda row: row[0]))
            )
        if info.parent_id is not None:
            parts.append(
                diff_html(
                    self._repo.diff(
                        from_snapshot_id=info.parent_id, to_snapshot_id=info.id, any_states=True
                    )
                )
            )
        return tables.box(f"Commit {short(info.id)}", *parts)


def _flat(held: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Entries of a map of maps, with dotted keys."""
    for key, value in held.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


class Status:
    """A session and what it changed.

    Parameters
    ----------
    session : icechunk.Session
        The session.
    tip : str, optional
        Snapshot that its branch points to now.
    """

    def __init__(self, session: Session, tip: str | None = None) -> None:
        self.branch: str | None = session.branch
        self.snapshot_id: str = session.snapshot_id
        self.read_only: bool = session.read_only
        self.diff = session.status()
        self.moved = tip is not None and tip != session.snapshot_id
        self.merges = () if session.merging is None else session.merging.names
        self.open = 0 if session.merging is None else len(session.merging.conflicts)

    @property
    def clean(self) -> bool:
        """Whether there is nothing to commit."""
        return bool(self.diff.is_empty())

    @property
    def headline(self) -> str:
        """Branch and base of the session."""
        where = f"on {self.branch}" if self.branch else "read-only"
        merging = ""
        if self.merges:
            merging = f", merging {', '.join(self.merges)} ({plural(self.open, 'conflict')} open)"
        look = "rebase" if self.merges else "rebase --dry-run"
        moved = f"; {self.branch} moved on since: `%icechunk {look}`" * self.moved
        return f"{where}, based on {self.snapshot_id}{merging}{moved}"

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.diff if not self.clean else 'nothing to commit'}"

    def _repr_html_(self) -> str:
        from icechunk_widgets.formatters import diff_html

        state = tables.line("nothing to commit") if self.clean else diff_html(self.diff)
        return tables.box(self.headline, state)
