"""`History`: branches, tags and commits of a repository as a graph."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from itertools import permutations
from typing import Any

import numpy as np
import traitlets

from icechunk import IcechunkError, Repository, Session
from icechunk_widgets.arrays.chunk_refs import written
from icechunk_widgets.commits import details
from icechunk_widgets.commits.columns import Listing, commit_row, listing, version
from icechunk_widgets.commits.tree import tree_at
from icechunk_widgets.diff.comparison import ComparisonView
from icechunk_widgets.diff.differences import Comparison
from icechunk_widgets.diff.states import snapshot_named, state_of
from icechunk_widgets.history.actions import plan
from icechunk_widgets.history.branch_rebase import of_branch, of_session
from icechunk_widgets.kernel.failures import describe, refusal
from icechunk_widgets.kernel.latest_job import LatestJob
from icechunk_widgets.kernel.plain import short
from icechunk_widgets.kernel.saved_page import Request
from icechunk_widgets.kernel.widget import STATIC, BaseWidget, Reply, answers
from icechunk_widgets.static_html import tables

FIRST_ROWS = 200
MOST_ROWS = 5_000
SAVED_ROWS = 2_000
MOST_AT_ONCE = 100
MOST_VERDICTS = 10_000
ACTIVITY_SECONDS = 0.3
_TEXT_ROWS = 20
_SAVED_COMMITS = 200
_SAVED_REFS = 6
_SAVED_BRANCHES = 60


class History(BaseWidget):
    """The history of a repository; select one commit for its changes, or two to compare them.

    Parameters
    ----------
    repo : Repository
        The repository.
    session : Session, optional
        Shown above its base while it has uncommitted changes.
    ref : str, optional
        Show only the ancestry of this branch, tag or snapshot id.
    **traits
        ``title`` and ``selected`` (0 to 2 snapshot ids).

    Raises
    ------
    RefNotFoundError
        When `ref` does not exist.
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
        self._activity: dict[str, dict[str, int | None] | None] = {}
        self._held: Listing | None = None
        self._seen = ""
        self._verdicts: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._dry_runs = LatestJob("icechunk-dry-run")
        traits.setdefault("title", "History" if ref is None else f"History of {ref}")
        super().__init__(**traits)

    # -- what there is -----------------------------------------------------------------------------

    def _listing(self, limit: int = details.MOST_COMMITS) -> Listing:
        """Read the commits, and keep the listing for later requests."""
        start = None if self._ref is None else snapshot_named(self._repo, self._ref)
        held = listing(self._repo, start, limit)
        with self.lock:
            self._held = held
        return held

    @answers("history")
    def columns(self, rows: int = FIRST_ROWS, limit: int = details.MOST_COMMITS) -> Reply:
        """All commits as columns, and the newest as rows.

        Returns
        -------
        dict, list of ndarray
            ``commits`` (the first `rows`), ``count``, ``refs`` (with their places), ``session``,
            ``truncated``, ``version``; and the ids as ASCII (uint8, 20 per commit), places of the
            first parents (int32; -1 none, -2 not listed), times (float64, ms since 1970), and
            pairs of a merge and a further parent (int32; -3 expired).
        """
        held = self._listing(max(1, min(int(limit), details.MOST_COMMITS)))
        result = details.summary(held, self._session, max(0, min(int(rows), MOST_ROWS)))
        self._seen = self._token(held.version)
        result["version"] = held.version
        return result, [held.ids(), held.parents, held.times(), held.merges]

    @answers("rows")
    def rows(self, ids: list[str]) -> list[dict[str, Any]]:
        """Rows of some commits, at most 500."""
        table = (self._held or self._listing()).table
        rows = map(table.find, ids[:500])
        return [commit_row(table[row]) for row in rows if row >= 0]

    @answers("search")
    def search(self, text: str, version: str) -> Reply:
        """Places (uint32) of the commits that contain a text; none if the listing is outdated."""
        held = self._held or self._listing()
        same = held.version == version
        return {"current": same}, [held.search(text) if same else np.zeros(0, np.uint32)]

    @answers("look")
    def look(self) -> None:
        """Refresh when the repository or session changed; views request it periodically."""
        start = None if self._ref is None else snapshot_named(self._repo, self._ref)
        token = self._token(version(self._repo, start))
        if token != self._seen:
            self._seen = token
            self.refresh()

    def _token(self, of_repo: str) -> str:
        session = self._session
        if session is None or session.read_only:
            return of_repo
        return f"{of_repo} {session.snapshot_id} {session.revision}"

    def payload(self, rows: int | None = None) -> dict[str, Any]:
        """Commits (all, or the newest), refs and the working session."""
        return details.summary(self._listing(), self._session, rows)

    @property
    def commits(self) -> list[dict[str, Any]]:
        """The commits shown, newest first."""
        shown: list[dict[str, Any]] = self.payload()["commits"]
        return shown

    # -- dry runs ----------------------------------------------------------------------------------

    @answers("rebases")
    def rebases(self, onto: str, branches: list[str]) -> dict[str, Any]:
        """Whether branches, and the session, would rebase cleanly onto a branch.

        Parameters
        ----------
        onto : str
            A branch.
        branches : list of str
            Branches to test; an empty name means the session.

        Returns
        -------
        dict
            ``onto`` and ``verdicts``: results of `branch_rebase` by name, None for those still
            being computed.  These follow as ``rebases`` events, unless another request cancels
            them.
        """
        held = self._held or self._listing()
        known, missing = self._known_verdicts(held, onto, branches)
        if missing:

            def work(cancelled: Callable[[], bool]) -> None:
                for name in missing:
                    verdict = self._verdict(held, onto, name, cancelled)
                    if cancelled():
                        return
                    self.push("rebases", onto=onto, verdicts={name: verdict})

            self._dry_runs.start(work)
        return {"onto": onto, "verdicts": {**known, **dict.fromkeys(missing)}}

    def _known_verdicts(
        self, held: Listing, onto: str, branches: list[str]
    ) -> tuple[dict[str, Any], list[str]]:
        """Results that are known, and the names of the others."""
        there = [name for name in branches if name in held.branches or name == ""]
        if onto not in held.branches:
            return {}, []
        known: dict[str, Any] = {}
        for name in there:
            key = self._verdict_key(held, onto, name)
            if key in self._verdicts:
                known[name] = self._verdicts[key]
        return known, [name for name in there if name not in known]

    def _verdict_key(self, held: Listing, onto: str, name: str) -> tuple[Any, ...]:
        """The two tips identify a result, since commits do not change."""
        if name:
            return name, held.branches[name], onto, held.branches[onto]
        return "", self._token(held.version)

    def _verdict(
        self, held: Listing, onto: str, name: str, cancelled: Callable[[], bool]
    ) -> dict[str, Any] | None:
        try:
            if name:
                verdict = of_branch(self._repo, held, name, onto, cancelled)
            else:
                verdict = None if self._session is None else of_session(self._session)
        except Exception as error:  # a worker thread has no caller that would report it
            described = describe(error)
            return {"state": "unknown", "text": described["message"], "chunks": 0, "nodes": []}
        if verdict is not None:
            if len(self._verdicts) > MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[self._verdict_key(held, onto, name)] = verdict
        return verdict

    # -- one commit, two commits -------------------------------------------------------------------

    @answers("commit")
    def commit(self, id: str) -> dict[str, Any]:
        """One commit and what it changed."""
        return details.commit(self._repo, id)

    @answers("diff_summary")
    def diff_summary(self, a: str, b: str) -> dict[str, Any]:
        """Changed nodes between two commits."""
        return Comparison(self._repo, state_of(self._repo, a), state_of(self._repo, b)).summary()

    @answers("compare")
    def compare(self, a: str, b: str, method: str, params: dict[str, Any]) -> Any:
        """Answer a request of the diff view about two commits."""
        with self.lock:
            if self._compared is None or self._compared[0] != (a, b):
                states = state_of(self._repo, a), state_of(self._repo, b)
                self._compared = (a, b), ComparisonView(Comparison(self._repo, *states))
            view = self._compared[1]
        if method == "diff":
            return view.comparison.summary()
        if method not in ("chunk_map", "preview", "metadata", "magnitudes", "sizes", "writers"):
            raise refusal(f"unknown request {method!r} about two commits", "reload the page")
        return getattr(view, method)(**params)

    @answers("activity")
    def activity(self, ids: list[str]) -> dict[str, dict[str, int | None] | None]:
        """How much commits wrote; looks for a fraction of a second per request.

        Returns
        -------
        dict
            ``chunks`` and ``bytes`` by id; None for a commit without a parent.  Ids that are
            missing were not read yet.
        """
        end = time.monotonic() + ACTIVITY_SECONDS
        for id in ids[:MOST_AT_ONCE]:
            self._look_at(id)
            if time.monotonic() > end:
                break
        return {id: self._activity[id] for id in ids[:MOST_AT_ONCE] if id in self._activity}

    def _look_at(self, id: str) -> None:
        if id in self._activity:
            return
        try:
            self._activity[id] = written(self._repo, id)
        except IcechunkError:  # its log is missing or damaged: show no bar for this commit
            self._activity[id] = None

    @answers("tree")
    def tree(self, id: str) -> dict[str, Any]:
        """The hierarchy at a commit, and the Python code that opens it."""
        return tree_at(self._repo, id)

    @answers("action")
    def action(self, action: str, id: str, name: str = "", run: bool = False) -> dict[str, Any]:
        """Plan an action on a commit, and run it if `run` is set.

        Parameters
        ----------
        action : str
            ``branch``, ``tag``, ``checkout``, ``reset``, ``merge``, ``pick`` or ``revert``.
        id : str
            Snapshot id.
        name : str
            Name of the branch or tag; of the last three, the branch that gets a commit.
        run : bool
            Run the action.

        Returns
        -------
        dict
            ``python``, ``warning`` and, once it ran, ``done``; of the last three also
            ``outcome``: what a dry run found.
        """
        planned = plan(self._repo, action, id, name.strip(), notebook_variables(), self._session)
        result: dict[str, Any] = {"python": planned.python, "warning": planned.warning}
        if planned.outcome is not None:
            result["outcome"] = planned.outcome
        if not run:
            return result
        planned.run()
        self.refresh()
        return {**result, "done": planned.done}

    def saved_requests(self) -> Iterable[Request]:
        """The commits, the changes of the newest, and comparisons of refs."""
        yield "history", {"rows": SAVED_ROWS, "limit": SAVED_ROWS}
        held = self.payload(SAVED_ROWS)
        for row in held["commits"][:_SAVED_COMMITS]:
            yield "commit", {"id": row["id"]}
        for row in held["commits"][:_SAVED_REFS]:
            yield "tree", {"id": row["id"]}
        newest = [row["id"] for row in held["commits"][:MOST_AT_ONCE]]
        for id in newest:  # no time limit when a page is saved
            self._look_at(id)
        yield "activity", {"ids": newest}
        branches = [ref["name"] for ref in held["refs"] if ref["kind"] == "branch"]
        if branches:
            onto = default_branch(self._session, branches)
            names = ([""] if (held["session"] or {}).get("dirty") else []) + branches
            for name in names[:_SAVED_BRANCHES]:
                self._verdict(self._held or self._listing(), onto, name, lambda: False)
            yield "rebases", {"onto": onto, "branches": names}
        tips = list(dict.fromkeys(ref["id"] for ref in held["refs"]))[:_SAVED_REFS]
        for a, b in permutations(tips, 2):
            yield "diff_summary", {"a": a, "b": b}

    def static_html(self) -> str:
        """The newest commits as a table."""
        return tables.history_html(self.payload(tables.MOST_ROWS), self.title)

    def __repr__(self) -> str:
        held = self.payload(_TEXT_ROWS)
        names: dict[str, list[str]] = {}
        for ref in held["refs"]:
            names.setdefault(ref["id"], []).append(ref["name"])
        lines = []
        shown = held["commits"]
        graph = tables.graph_lines(shown, held["refs"])
        wide = max(map(len, graph), default=0)
        for row, drawn in zip(shown, graph, strict=True):
            refs = names.get(row["id"])
            label = f" ({', '.join(refs)})" if refs else ""
            when = row["time"][:16].replace("T", " ")
            message = row["message"].split("\n")[0]
            lines.append(f"{drawn:<{wide}} {short(row['id'])} {when}{label} {message}")
        more = held["count"] - len(lines)
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)


def default_branch(session: Session | None, branches: list[str]) -> str:
    """The branch with which others are compared: the session's, else main."""
    for name in (None if session is None else session.branch, "main"):
        if name in branches:
            return str(name)
    return branches[0]


def notebook_variables() -> dict[str, Any] | None:
    """The variables of the running notebook or console; None outside IPython."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if shell is None else shell.user_ns
