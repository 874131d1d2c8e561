"""The conflicts of one rebase and the decisions taken about them, without a view."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk import Conflict, ConflictType
from icechunk_widgets.arrays.merging import Merged
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.resolver import cell_merging, decision_file, rules
from icechunk_widgets.resolver.chunk_search import UNREADABLE, ChunkSearch
from icechunk_widgets.resolver.conflict_entry import Entry
from icechunk_widgets.resolver.conflict_plan import ConflictPlan
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.node_conflict import keys_of_merge


class Resolution:
    """The conflicts of one rebase, with methods that decide them.

    Parameters
    ----------
    scan : ConflictScan
        The conflicts.
    lock : RLock
        Held while decisions change.
    check_open : callable
        Raises when no decision can be taken; called with the lock held.
    changed : callable
        Called after every change of the decisions, with the lock held.

    Attributes
    ----------
    scan : ConflictScan
        The conflicts as they were last found.
    unwritten : list of Merged
        Chunks merged cell by cell whose values are in no session yet.
    """

    def __init__(
        self,
        scan: ConflictScan,
        lock: threading.RLock,
        check_open: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self.scan = scan
        self.unwritten: list[Merged] = []
        self._lock = lock
        self._check_open = check_open
        self._changed = changed
        self._search: tuple[Hashable, Hashable, ChunkSearch] | None = None

    @contextmanager
    def deciding(self) -> Iterator[ConflictPlan]:
        """The plan, to change decisions in."""
        with self._lock:
            self._check_open()
            yield self.scan.plan
            self._changed()

    def look_again(self, more: list[Conflict]) -> ConflictScan:
        """Find the conflicts again; decisions that are still valid are kept.

        Parameters
        ----------
        more : list of Conflict
            Conflicts that a rebase met beyond those that the plan shows.
        """
        with self._lock:
            self.scan = self.scan.renewed(more)
            self._changed()
            return self.scan

    def decide(
        self,
        path: str,
        kind: ConflictType | str | None,
        choice: str | None,
        *,
        keys: dict[str, str] | None = None,
        **which: Any,
    ) -> dict[str, Any]:
        """Decide all of a conflict, or some chunks of it; see `ConflictPlan.decide`."""
        with self.deciding() as plan:
            entry = plan.find(path, kind)
            if choice == "merge":
                which["extra"] = keys_of_merge(self.scan, entry, keys)
            if which.get("chunks") is not None and not entry.is_chunks:
                raise refusal(
                    f"{entry.key[0].name} at `{path}` is about the whole node", "leave out `chunks`"
                )
            plan.decide(entry, choice, **which)
            return plan.summary()

    def undo(self) -> bool:
        """Take back the last decision; False when there is none."""
        with self.deciding() as plan:
            return plan.undo()

    def redo(self) -> bool:
        """Take the decision again that was taken back last; False when there is none."""
        with self.deciding() as plan:
            return plan.redo()

    def load(self, text: str) -> tuple[int, int]:
        """Take decisions from a saved file; returns how many, and how many are in the file."""
        with self.deciding():
            return decision_file.take(self.scan, text)

    def chunks_of(self, path: str) -> Entry:
        """The conflict about chunks of an array."""
        return self.scan.plan.find(path, "ChunkDoubleUpdate")

    # -- searches: the lock is released while chunks are read --------------------------------------

    def _version(self) -> Hashable:
        """Changes with every decision, and with the conflicts themselves."""
        return id(self.scan), self.scan.plan.version

    def _search_of(self, question: Hashable, begin: Callable[[], ChunkSearch]) -> ChunkSearch:
        """The search that answers a question: the one in progress, unless decisions changed."""
        version = self._version()
        if self._search is None or self._search[:2] != (question, version):
            self._search = (question, version, begin())
        return self._search[2]

    def _check_current(self, question: Hashable, found: ChunkSearch) -> None:
        """Refuse to decide by what was found before another decision was taken."""
        if self._search != (question, self._version(), found):
            raise refusal("something else was decided meanwhile", "look again, then decide")

    def merge(
        self,
        path: str,
        rows_of: Callable[[Entry], NDArray[np.int64]],
        both: str | None = None,
        seconds: float = math.inf,
    ) -> dict[str, int | bool]:
        """Merge chunks cell by cell.

        Parameters
        ----------
        path : str
            The array.
        rows_of : callable
            The rows of the chunks, given the conflict.
        both : str or None
            Side of cells that both changed differently; None leaves their chunks undecided.
        seconds : float
            Read chunks for so long; the next call with the same question goes on.

        Returns
        -------
        dict
            ``done``; once done ``merged``, ``left`` and ``unreadable`` (chunks) and ``cells``,
            before that ``looked`` and ``of``.
        """
        if both not in (None, "ours", "theirs"):
            raise refusal(f"{both!r} is no side", "choose 'ours' or 'theirs'")
        with self._lock:
            self._check_open()
            scan, entry = self.scan, self.chunks_of(path)
            rows = rows_of(entry)
            question = ("merge", path, rows.tobytes())
            if both:
                return self._merge_all(entry, rows, both, question)
            found = self._search_of(question, lambda: cell_merging.search(scan, entry, rows))
        if not found.go_on(seconds):
            return {"done": False, "looked": found.looked, "of": len(rows)}
        with self.deciding() as plan:
            self._check_current(question, found)
            return cell_merging.merge_clean(plan, entry, found)

    def _merge_all(
        self, entry: Entry, rows: NDArray[np.int64], both: str, question: Hashable
    ) -> dict[str, int | bool]:
        """Merge without reading, except chunks that the last search could not read."""
        if self._search is not None:
            asked, _, last = self._search
            if asked == question and last.done:
                rows = rows[last.answers != UNREADABLE]
        with self.deciding():
            return cell_merging.merge_all(self.scan, entry, rows, both)

    def rule(
        self, path: str, rule: str, limit: float, apply: bool, seconds: float
    ) -> dict[str, Any]:
        """Report which undecided chunks a rule takes, and decide them when `apply` is set."""
        with self._lock:
            entry = self.chunks_of(path)
            if rule == rules.SAME_REGION:
                return self._take(*rules.same_region(self.scan, entry), apply)
            question = ("rule", path, rule, limit)
            found = self._search_of(question, lambda: rules.search(self.scan, entry, rule, limit))
        found.go_on(seconds)
        with self._lock:
            if apply:
                self._check_open()
                self._check_current(question, found)
            report = self._take(rules.taken(entry, rule, found), found.looked, apply)
            return {**report, "of": len(found.rows), "unreadable": found.unreadable}

    def _take(self, found: list[rules.Take], looked: int, apply: bool) -> dict[str, Any]:
        report = {**rules.summary(found, looked), "of": looked, "unreadable": 0}
        if not apply:
            return report
        with self.deciding() as plan:
            rules.apply(plan, found)
            return {**plan.summary(), **report}
