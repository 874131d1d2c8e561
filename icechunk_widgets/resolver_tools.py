"""Deciding many chunks of a resolution: merges of cells, rules, files, and a check of the seams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from icechunk_widgets import decision_file, rules
from icechunk_widgets.base import BaseWidget, answers
from icechunk_widgets.chunk_refs import in_runs
from icechunk_widgets.conflict_entry import UNDECIDED, Entry
from icechunk_widgets.faults import refusal
from icechunk_widgets.merging import Chunks, Merged
from icechunk_widgets.plain import plural
from icechunk_widgets.seams import seams
from icechunk_widgets.survey import Survey

MOST_MERGED = 2_000
"""Chunks that are looked into at once."""


class ResolverTools(BaseWidget):
    """The part of the resolver that decides several chunks by looking into them."""

    _survey: Survey
    unwritten: list[Merged]

    def _check_open(self) -> None:
        raise NotImplementedError

    def _count(self) -> None:
        raise NotImplementedError

    def _chunks_of(self, path: str) -> Entry:
        return self._survey.plan.find(path, "ChunkDoubleUpdate")

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
            told = self._merge(entry, rows, both)
        self.refresh()
        return int(told["merged"])

    @answers("merge")
    def _merge_reply(
        self, path: str, runs: list[int] | None = None, both: str | None = None
    ) -> dict[str, Any]:
        with self.lock:
            self._check_open()
            entry = self._chunks_of(path)
            every = np.arange(len(entry.states))
            rows = every if runs is None else np.flatnonzero(in_runs(entry.positions, runs))
            told = self._merge(entry, rows, both)
            return {**self._survey.plan.summary(), **told}

    def _merge(self, entry: Entry, rows: Any, both: str | None) -> dict[str, int]:
        """Merge what can be merged; tells what is left for a person, in chunks and cells."""
        if both not in (None, "ours", "theirs"):
            raise refusal(f"{both!r} is no side", "choose 'ours' or 'theirs'")
        if len(rows) > MOST_MERGED:
            raise refusal(
                f"{len(rows)} chunks are more than can be looked into at once",
                f"choose at most {MOST_MERGED}",
            )
        held = Chunks(self._survey.sessions, entry.path)
        coords = entry.coords[rows].tolist()
        overlaps = [held.merged(chunk)[1].both for chunk in coords]
        good = [chunk for chunk, cells in zip(coords, overlaps, strict=True) if both or not cells]
        if good:
            self._survey.plan.decide(entry, f"merge-{both or 'ours'}", chunks=good)
            self._count()
        left = len(coords) - len(good)
        return {"merged": len(good), "left": left, "cells": sum(overlaps) if left else 0}

    @answers("cells")
    def _cells_reply(self, path: str, chunk: list[int]) -> dict[str, int]:
        """Who changed how many cells of a chunk."""
        cells = Chunks(self._survey.sessions, path).merged(chunk)[1]
        return {
            "ours": cells.ours,
            "theirs": cells.theirs,
            "both": cells.both,
            "alike": cells.alike,
        }

    # -- rules -----------------------------------------------------------------------------------

    @answers("rule")
    def rule(self, path: str, rule: str, limit: float = 0.0, apply: bool = False) -> dict[str, Any]:
        """Which undecided chunks a rule takes, and decide them when asked to.

        Parameters
        ----------
        path : str
            The array.
        rule : str
            One of `icechunk_widgets.rules.RULES`, or ``same-region``.
        limit : float
            For ``...-where-close``: the largest difference that counts as close.
        apply : bool
            Decide; else only tell.

        Returns
        -------
        dict
            ``takes`` and ``looked`` (chunks), ``parts`` by array and decision; when applied, also
            the small state of the resolution.
        """
        with self.lock:
            found, looked = rules.takes(self._survey, self._chunks_of(path), rule, float(limit))
            told = rules.summary(found, looked)
            if not apply:
                return told
            self._check_open()
            rules.apply(self._survey.plan, found)
            self._count()
            return {**self._survey.plan.summary(), **told}

    # -- files -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the decisions so far to a file."""
        with self.lock:
            text = decision_file.to_text(self._survey)
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
            name = f"decisions-{self._survey.branch}-{self._survey.tip[:8]}.json"
            return {"text": decision_file.to_text(self._survey), "name": name.replace("/", "-")}

    @answers("load")
    def _load(self, text: str) -> dict[str, Any]:
        with self.lock:
            self._check_open()
            taken, total = decision_file.take(self._survey, text)
            self._count()
            what = f"{taken} of {plural(total, 'decision')} in the file still hold"
            return {**self._survey.plan.summary(), "taken": taken, "told": f"{what}."}

    # -- seams -----------------------------------------------------------------------------------

    @answers("seams")
    def seams(self, path: str) -> dict[str, Any]:
        """Borders between chunks of different sides that stand out (`icechunk_widgets.seams`)."""
        with self.lock:
            survey, entry = self._survey, self._chunks_of(path)
        return seams(survey, entry)
