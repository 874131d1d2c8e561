"""Deciding many chunks of a resolution: merges of cells, rules, files, and a check of the seams."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from icechunk_widgets.arrays.chunk_refs import in_runs, runs_of
from icechunk_widgets.arrays.merging import Chunks, Merged
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import plural
from icechunk_widgets.kernel.widget import BaseWidget, answers
from icechunk_widgets.resolver import decision_file, rules
from icechunk_widgets.resolver.chunk_search import UNREADABLE, ChunkSearch
from icechunk_widgets.resolver.conflict_entry import UNDECIDED, Entry
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.seams import seams


class ResolverTools(BaseWidget):
    """The part of the resolver that decides several chunks by looking into them."""

    _scan: ConflictScan
    _search: tuple[tuple[Hashable, Hashable], ChunkSearch] | None = None
    unwritten: list[Merged]

    def _check_open(self) -> None:
        raise NotImplementedError

    def _count(self) -> None:
        raise NotImplementedError

    def _chunks_of(self, path: str) -> Entry:
        return self._scan.plan.find(path, "ChunkDoubleUpdate")

    def _moment(self) -> Hashable:
        """What changes with every decision, and with the conflicts themselves."""
        return id(self._scan), self._scan.plan.version

    def _search_of(self, question: Hashable, begin: Callable[[], ChunkSearch]) -> ChunkSearch:
        """The search for an answer: the one under way, unless something was decided since."""
        key = (question, self._moment())
        if self._search is None or self._search[0] != key:
            self._search = (key, begin())
        return self._search[1]

    def _check_current(self, question: Hashable, found: ChunkSearch) -> None:
        """Nobody decides by an answer that something else has overtaken."""
        self._check_open()
        if self._search != ((question, self._moment()), found):
            raise refusal("something else was decided meanwhile", "look again, then decide")

    # -- cell by cell ----------------------------------------------------------------------------

    def merge_cells(
        self,
        path: str,
        chunks: Sequence[Sequence[int]] | None = None,
        *,
        both: str | None = None,
    ) -> int:
        """Take every cell from the side that changed it.

        Parameters
        ----------
        path : str
            The array.
        chunks : sequence of (sequence of int), optional
            Coordinates of conflicting chunks; all that are undecided by default.
        both : str, optional
            ``"ours"`` or ``"theirs"``: whose value a cell gets that both changed differently.
            Without it, chunks with such cells are left as they are.

        Returns
        -------
        int
            How many chunks were decided.
        """
        with self.lock:
            self._check_open()
            entry = self._chunks_of(path)
            rows = np.flatnonzero(entry.states == UNDECIDED)
            if chunks is not None:
                wanted = {tuple(map(int, chunk)) for chunk in chunks}
                held = enumerate(entry.coords.tolist())
                rows = np.array([row for row, at in held if tuple(at) in wanted], np.int64)
        told = self._merge(entry, rows, both, math.inf)
        self.refresh()
        return int(told["merged"])

    @answers("merge")
    def _merge_reply(
        self,
        path: str,
        runs: list[int] | None = None,
        both: str | None = None,
        seconds: float = math.inf,
    ) -> dict[str, Any]:
        """Merge, or tell after a while how many chunks were looked into; ask again to go on."""
        with self.lock:
            self._check_open()
            entry = self._chunks_of(path)
            every = np.arange(len(entry.states))
            rows = every if runs is None else np.flatnonzero(in_runs(entry.positions, runs))
        told = self._merge(entry, rows, both, seconds)
        with self.lock:
            return {**self._scan.plan.summary(), **told}

    def _merge(
        self, entry: Entry, rows: Any, both: str | None, seconds: float
    ) -> dict[str, int | bool]:
        """Merge what can be merged; tells what is left for a person, in chunks and cells."""
        if both not in (None, "ours", "theirs"):
            raise refusal(f"{both!r} is no side", "choose 'ours' or 'theirs'")
        with self.lock:
            held = Chunks(self._scan.sessions, entry.path)
            question = ("merge", entry.path, rows.tobytes())
            if both:  # nobody needs to look
                last = self._search
                if last is not None and last[0][0] == question and last[1].done:
                    rows = rows[last[1].answers != UNREADABLE]
                self._scan.plan.decide(
                    entry, f"merge-{both}", runs=runs_of(entry.positions[np.sort(rows)])
                )
                self._count()
                return {"done": True, "merged": len(rows), "left": 0, "cells": 0, "unreadable": 0}
            found = self._search_of(
                question,
                lambda: ChunkSearch(
                    rows, lambda row: held.merged(entry.coords[row].tolist())[1].both
                ),
            )
        if not found.go_on(seconds):
            return {"done": False, "looked": found.looked, "of": len(rows)}
        with self.lock:
            self._check_current(question, found)
            good = rows[found.answers == 0]
            if len(good):
                self._scan.plan.decide(
                    entry, "merge-ours", runs=runs_of(entry.positions[np.sort(good)])
                )
                self._count()
        return {
            "done": True,
            "merged": len(good),
            "left": len(rows) - len(good) - found.unreadable,
            "cells": int(found.answers[found.answers != UNREADABLE].sum()),
            "unreadable": found.unreadable,
        }

    @answers("cells")
    def _cells_reply(self, path: str, chunk: list[int]) -> dict[str, int]:
        """Who changed how many cells of a chunk."""
        cells = Chunks(self._scan.sessions, path).merged(chunk)[1]
        return {
            "ours": cells.ours,
            "theirs": cells.theirs,
            "both": cells.both,
            "alike": cells.alike,
        }

    # -- rules -----------------------------------------------------------------------------------

    @answers("rule")
    def rule(
        self,
        path: str,
        rule: str,
        limit: float = 0.0,
        apply: bool = False,
        seconds: float = math.inf,
    ) -> dict[str, Any]:
        """Which undecided chunks a rule takes, and decide them when asked to.

        Parameters
        ----------
        path : str
            The array.
        rule : str
            One of `icechunk_widgets.resolver.rules.RULES`, or ``same-region``.
        limit : float
            For ``...-where-close``: the largest difference that counts as close.
        apply : bool
            Decide; else only tell.
        seconds : float
            Look for so long; asked again, it goes on where it stopped, and what is applied is
            what was found so far.

        Returns
        -------
        dict
            ``takes``, ``looked``, ``of`` and ``unreadable`` (chunks), ``parts`` by array and
            decision; when applied, also the small state of the resolution.
        """
        with self.lock:
            entry, limit = self._chunks_of(path), float(limit)
            if rule == rules.SAME_REGION:
                return self._take(*rules.same_region(self._scan, entry), apply)
            question = ("rule", path, rule, limit)
            found = self._search_of(question, lambda: rules.search(self._scan, entry, rule, limit))
        found.go_on(seconds)
        with self.lock:
            if apply:
                self._check_current(question, found)
            told = self._take(rules.taken(entry, rule, found), found.looked, apply)
            return {**told, "of": len(found.rows), "unreadable": found.unreadable}

    def _take(self, found: list[rules.Take], looked: int, apply: bool) -> dict[str, Any]:
        told = {**rules.summary(found, looked), "of": looked, "unreadable": 0}
        if not apply:
            return told
        self._check_open()
        rules.apply(self._scan.plan, found)
        self._count()
        return {**self._scan.plan.summary(), **told}

    # -- files -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the decisions so far to a file."""
        with self.lock:
            text = decision_file.to_text(self._scan)
        Path(path).write_text(text, encoding="utf-8")

    def load(self, path: str | Path) -> int:
        """Take decisions from a file, where they still hold.

        Parameters
        ----------
        path : str or Path
            A file from `save`.  The session must hold what it held then.

        Returns
        -------
        int
            How many decisions were taken.
        """
        taken = self._load(Path(path).read_text(encoding="utf-8"))
        self.refresh()
        return int(taken["taken"])

    @answers("save")
    def _save_reply(self) -> dict[str, str]:
        with self.lock:
            name = f"decisions-{self._scan.branch}-{self._scan.tip[:8]}.json"
            return {"text": decision_file.to_text(self._scan), "name": name.replace("/", "-")}

    @answers("load")
    def _load(self, text: str) -> dict[str, Any]:
        with self.lock:
            self._check_open()
            taken, total = decision_file.take(self._scan, text)
            self._count()
            what = f"{taken} of {plural(total, 'decision')} in the file still hold"
            return {**self._scan.plan.summary(), "taken": taken, "told": f"{what}."}

    # -- seams -----------------------------------------------------------------------------------

    @answers("seams")
    def seams(self, path: str) -> dict[str, Any]:
        """Borders between chunks of different sides that stand out, as `seams` tells them."""
        with self.lock:
            scan, entry = self._scan, self._chunks_of(path)
        return seams(scan, entry)
