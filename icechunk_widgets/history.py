"""`History`: branches, tags and commits of a repository, drawn as lanes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import permutations
from typing import Any

import traitlets

from icechunk import Repository, Session
from icechunk_widgets import commits, fallback
from icechunk_widgets.base import STATIC, BaseWidget, answers
from icechunk_widgets.commit_actions import plan
from icechunk_widgets.comparison_view import ComparisonView
from icechunk_widgets.differences import Comparison
from icechunk_widgets.faults import refusal
from icechunk_widgets.lanes import lanes
from icechunk_widgets.plain import short
from icechunk_widgets.saved_page import Request
from icechunk_widgets.states import snapshot_named, state_of

MOST_AT_ONCE = 100
_TEXT_ROWS = 20
_SAVED_COMMITS = 200
_SAVED_REFS = 6


class History(BaseWidget):
    """The history of a repository: select a commit for its changes, two to compare them.

    Parameters
    ----------
    repo : Repository
        Whose history.
    session : Session, optional
        Shown on top while it has uncommitted changes.
    ref : str, optional
        Branch, tag or snapshot id: show only its ancestry.
    **traits
        ``title`` and ``selected`` (0 to 2 snapshot ids).

    Raises
    ------
    RefNotFoundError
        When nothing has the name `ref`.
    """

    _esm = STATIC / "history.js"
    _css = STATIC / "history.css"

    selected = traitlets.List(traitlets.Unicode(), maxlen=2).tag(sync=True)

    def __init__(
        self,
        repo: Repository,
        session: Session | None = None,
        ref: str | None = None,
        **traits: Any,
    ) -> None:
        if not isinstance(repo, Repository):
            raise TypeError(f"repo must be an icechunk.Repository, not {type(repo).__name__}")
        self._repo = repo
        self._session = session
        self._ref = ref
        if ref is not None:
            snapshot_named(repo, ref)
        self._compared: tuple[tuple[str, str], ComparisonView] | None = None
        self._activity: dict[str, int | None] = {}
        traits.setdefault("title", "History" if ref is None else f"History of {ref}")
        super().__init__(**traits)

    @answers("history")
    def payload(self) -> dict[str, Any]:
        """Commits, refs and the working session, as the view gets them."""
        start = None if self._ref is None else snapshot_named(self._repo, self._ref)
        return commits.history(self._repo, self._session, start)

    @property
    def commits(self) -> list[dict[str, Any]]:
        """The commits shown, newest first."""
        shown: list[dict[str, Any]] = self.payload()["commits"]
        return shown

    @answers("commit")
    def commit(self, id: str) -> dict[str, Any]:
        """One commit and what it changed."""
        return commits.commit(self._repo, id)

    @answers("diff_summary")
    def diff_summary(self, a: str, b: str) -> dict[str, Any]:
        """Changed nodes between two commits."""
        return Comparison(self._repo, state_of(self._repo, a), state_of(self._repo, b)).summary()

    @answers("compare")
    def compare(self, a: str, b: str, method: str, params: dict[str, Any]) -> Any:
        """A request of the diff view about two commits."""
        with self.lock:
            if self._compared is None or self._compared[0] != (a, b):
                states = state_of(self._repo, a), state_of(self._repo, b)
                self._compared = (a, b), ComparisonView(Comparison(self._repo, *states))
            view = self._compared[1]
        if method == "diff":
            return view.comparison.summary()
        if method not in ("chunk_map", "preview", "metadata", "magnitudes"):
            raise refusal(f"there is no request {method!r} about two commits", "reload the page")
        return getattr(view, method)(**params)

    @answers("activity")
    def activity(self, ids: list[str]) -> dict[str, int | None]:
        """How many chunks commits wrote or removed; None where there is no parent."""
        for id in ids[:MOST_AT_ONCE]:
            if id not in self._activity:
                self._activity[id] = commits.chunks_written(self._repo, id)
        return {id: self._activity[id] for id in ids[:MOST_AT_ONCE]}

    @answers("action")
    def action(self, action: str, id: str, name: str = "", run: bool = False) -> dict[str, str]:
        """What can be done with a commit, as Python, and done when `run`.

        Parameters
        ----------
        action : str
            ``branch``, ``tag``, ``checkout`` or ``reset``.
        id : str
            Snapshot id.
        name : str
            Of the branch or tag.
        run : bool
            Do it.

        Returns
        -------
        dict
            ``python``, ``warning`` and, once done, ``done``.
        """
        planned = plan(self._repo, action, id, name.strip(), notebook_variables())
        told = {"python": planned.python, "warning": planned.warning}
        if not run:
            return told
        planned.run()
        self.refresh()
        return {**told, "done": planned.done}

    def saved_requests(self) -> Iterable[Request]:
        """All commits, the changes of the newest, and refs compared with each other."""
        held = self.payload()
        yield "history", {}
        for row in held["commits"][:_SAVED_COMMITS]:
            yield "commit", {"id": row["id"]}
        tips = list(dict.fromkeys(ref["id"] for ref in held["refs"]))[:_SAVED_REFS]
        for a, b in permutations(tips, 2):
            yield "diff_summary", {"a": a, "b": b}

    def static_html(self) -> str:
        """The newest commits as a table."""
        return fallback.history_html(self.payload(), self.title)

    def __repr__(self) -> str:
        held = self.payload()
        names: dict[str, list[str]] = {}
        for ref in held["refs"]:
            names.setdefault(ref["id"], []).append(ref["name"])
        lines = []
        shown = held["commits"][:_TEXT_ROWS]
        graph = lanes([(row["id"], row["parent"]) for row in shown])
        wide = max(map(len, graph), default=0)
        for row, drawn in zip(shown, graph, strict=True):
            refs = names.get(row["id"])
            label = f" ({', '.join(refs)})" if refs else ""
            when = row["time"][:16].replace("T", " ")
            message = row["message"].split("\n")[0]
            lines.append(f"{drawn:<{wide}} {short(row['id'])} {when}{label} {message}")
        more = len(held["commits"]) - len(lines)
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)


def notebook_variables() -> dict[str, Any] | None:
    """The variables of the running notebook or console; None in a plain program."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if shell is None else shell.user_ns
