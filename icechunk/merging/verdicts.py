"""What was decided about the conflicts of a merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from icechunk.conflicts.decision import Decision
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.conflicts.selection import ListedChunks
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.merging.cells import CELLS as POLICIES
from icechunk.merging.cells import Tolerance
from icechunk.spec.manifest.coordinates import member, sorted_unique

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.spec.manifest.coordinates import Coords

UNDECIDED, SOURCE, TARGET, BASE = range(4)
CELLS = 4
"""Plus a side: merge the cells of a chunk, and take that side of those both sides changed."""
MERGED = 8
"""Code of a chunk with merged cells, which is neither side's."""
_CODES: Final = {"ours": SOURCE, "theirs": TARGET, "base": BASE}
_SIDES: Final = {
    "source": "ours",
    "target": "theirs",
    "source then target": "ours then theirs",
    "target then source": "theirs then ours",
}
_PREFERENCES: Final = {None: UNDECIDED, "source": SOURCE, "target": TARGET}


def decisions_of(entries: Iterable[Decision | Mapping[str, Any]]) -> tuple[Decision, ...]:
    """Decisions from values or their JSON-able form; ``source`` and ``target`` name sides too.

    Raises
    ------
    InvalidInputError
        When an entry is wrong.
    """
    return tuple(
        one if isinstance(one, Decision) else Decision.from_dict(_in_sides(one)) for one in entries
    )


def answers_of(conflict: Conflict, answer: object) -> tuple[Decision, ...]:
    """Decisions from what a function said about a conflict.

    Parameters
    ----------
    conflict : Conflict
        What it was asked about.
    answer : object
        None leaves it open; a str is a choice; mappings and decisions, also several, say more, and
        need neither path nor type.

    Raises
    ------
    InvalidInputError
        When an entry is wrong.
    TypeError
        For another answer.
    """
    if answer is None:
        return ()
    if isinstance(answer, str):
        answer = {"choice": answer}
    entries = [answer] if isinstance(answer, Decision | Mapping) else answer
    if not isinstance(entries, list | tuple):
        raise TypeError(
            f"the solver returned {answer!r} for {conflict.conflict_type} at {conflict.path}; it "
            "must return None, a choice such as 'source', a mapping or a `Decision`"
        )
    about = {"path": conflict.path, "type": conflict.conflict_type}
    return decisions_of({**about, **one} if isinstance(one, Mapping) else one for one in entries)


def _in_sides(entry: Mapping[str, Any]) -> dict[str, Any]:
    form = dict(entry)
    form["choice"] = _SIDES.get(form.get("choice", ""), form.get("choice"))
    if isinstance(form.get("keys"), Mapping):
        form["keys"] = {key: _SIDES.get(side, side) for key, side in form["keys"].items()}
    if "otherwise" in form:
        form["otherwise"] = _SIDES.get(form["otherwise"], form["otherwise"])
    return form


class Verdicts:
    """Decisions by kind and path, and what holds for all other conflicts.

    Parameters
    ----------
    decisions : iterable of Decision
        In the order they were made; the last about a chunk or a node counts. ``"ours"`` is the
        source, whose changes are laid, ``"theirs"`` the target.
    prefer : str, optional
        ``"source"`` or ``"target"``: the side of conflicts that no decision is about.
    cells : {"never", "auto"}
        Whether the cells of chunks that both sides wrote are merged without a decision. `prefer` is
        about the cells that both changed then.
    tolerance : mapping, optional
        See `Tolerance`.

    Attributes
    ----------
    asked : dict
        By kind and path the conflicts that a merge met, decided or not; coordinates of chunks.

    Raises
    ------
    InvalidInputError
        Kind ``not-allowed`` for another preference, policy or tolerance.
    """

    def __init__(
        self,
        decisions: Iterable[Decision] = (),
        prefer: str | None = None,
        cells: str = "never",
        tolerance: Mapping[str, float] | None = None,
    ) -> None:
        if prefer not in _PREFERENCES:
            raise InvalidInputError(
                f"`prefer` is {prefer!r}; it must be 'source', 'target' or None",
                ErrorKind.NOT_ALLOWED,
            )
        if cells not in POLICIES:
            raise InvalidInputError(
                f"`cells` is {cells!r}; it must be 'never' or 'auto'", ErrorKind.NOT_ALLOWED
            )
        self.decisions = tuple(decisions)
        self.asked: dict[tuple[ConflictType, str], Coords | None] = {}
        self._grids: dict[str, tuple[int, ...]] = {}
        self._otherwise = _PREFERENCES[prefer]
        self._chunks = self._otherwise + (CELLS if cells == "auto" else 0)
        self.tolerance = Tolerance.of(tolerance)
        self._by_key: dict[tuple[ConflictType, str], list[Decision]] = {}
        for one in self.decisions:
            self._by_key.setdefault((one.type, one.path), []).append(one)

    def decision(self, kind: ConflictType, path: str) -> Decision | None:
        """The last decision about a conflict of a whole node, or None."""
        self.asked[kind, path] = None
        found = self._by_key.get((kind, path))
        return found[-1] if found else None

    def side(self, kind: ConflictType, path: str) -> int:
        """Side that was chosen for a conflict of a whole node."""
        decision = self.decision(kind, path)
        return self._otherwise if decision is None else _CODES.get(decision.choice, UNDECIDED)

    def sides(self, path: str, coords: Coords, grid: tuple[int, ...]) -> NDArray[np.uint8]:
        """Code of each chunk of an array that both sides wrote: a side, or `CELLS` plus a side.

        Shape ``(n,)``.
        """
        if len(coords):
            self._ask_about(path, coords, grid)
        codes: NDArray[Any] = np.full(len(coords), self._chunks, np.uint8)
        for one in self._by_key.get((ConflictType.ChunkDoubleUpdate, path), ()):
            code = _CODES.get(one.choice, UNDECIDED)
            if one.choice == "cells":
                code = CELLS + _CODES.get(one.otherwise or "", UNDECIDED)
            if one.selection is None:
                codes[:] = code
            else:
                codes[one.selection.mask(coords, grid)] = code
        return codes

    def _ask_about(self, path: str, coords: Coords, grid: tuple[int, ...]) -> None:
        key = ConflictType.ChunkDoubleUpdate, path
        former = self.asked.get(key)
        if former is not None and former.shape[1] == coords.shape[1]:
            coords = sorted_unique(np.concatenate((former, coords)))
        self.asked[key] = coords
        self._grids[path] = grid

    def in_force(self) -> tuple[Decision, ...]:
        """The decisions that conflicts were asked about, each about exactly what it decided."""
        found: list[Decision] = []
        decided: dict[tuple[ConflictType, str], Coords | None] = {}
        for one in reversed(self.decisions):
            key = one.type, one.path
            if key not in self.asked:
                continue
            coords = self.asked[key]
            if coords is None:
                if key not in decided:
                    decided[key] = None
                    found.append(one)
                continue
            before = decided.get(key)
            mine = coords if before is None else coords[~member(coords, before)]
            if one.selection is not None:
                mine = mine[one.selection.mask(mine, self._grids[one.path])]
            if len(mine):
                found.append(replace(one, selection=ListedChunks(mine)))
                decided[key] = mine if before is None else np.concatenate((before, mine))
        return tuple(reversed(found))
