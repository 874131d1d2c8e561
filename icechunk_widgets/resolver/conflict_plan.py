"""The conflicts of a rebase and the decisions about them, with undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from icechunk import Conflict, ConflictType, Diff, ErrorKind, InvalidInputError
from icechunk_widgets.arrays.chunk_refs import Coords, differing, flat, in_runs, inside
from icechunk_widgets.resolver.conflict_entry import (
    BASE,
    CODE,
    MERGES,
    THEIRS,
    UNDECIDED,
    Entry,
    Key,
    NodeChoice,
)

# When one of these is decided by dropping our chunks, the chunks need no further decisions.
_DROPPING = (ConflictType.ChunksUpdatedInDeletedArray, ConflictType.ChunksUpdatedInUpdatedArray)


@dataclass(frozen=True)
class _Step:
    """One decision, with what it replaced."""

    entry: Entry
    rows: NDArray[np.int64]
    before: NDArray[np.uint8]
    after: int
    node_before: NodeChoice | None
    node_after: NodeChoice | None

    def undo(self) -> None:
        self.entry.states[self.rows] = self.before
        self.entry.node = self.node_before

    def redo(self) -> None:
        self.entry.states[self.rows] = self.after
        self.entry.node = self.node_after


class ConflictPlan:
    """Conflicts and the decisions about them, with undo and redo.

    Parameters
    ----------
    entries : iterable of Entry
        The conflicts, in the order of the view.

    Attributes
    ----------
    version : int
        Increases with every change of a decision.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = list(entries)
        self._by_key = {entry.key: entry for entry in self.entries}
        self.version = 0
        self._done: list[list[_Step]] = []
        self._undone: list[list[_Step]] = []
        self._open: list[_Step] | None = None

    # -- what is left ----------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Number of decisions: chunks, and whole nodes."""
        return sum(entry.total for entry in self.entries)

    @property
    def undecided(self) -> int:
        """Number of decisions left."""
        return sum(self.left_in(entry) for entry in self.entries)

    def left_in(self, entry: Entry) -> int:
        """Number of decisions left in one entry; 0 if another decision drops its chunks."""
        return 0 if self.chunks_dropped(entry) else entry.undecided

    def chunks_dropped(self, entry: Entry) -> bool:
        """Whether another decision drops all our chunks of this entry's array."""
        if not entry.is_chunks:
            return False
        others = (self._by_key.get((kind, entry.path)) for kind in _DROPPING)
        return any(other is not None and other.choice == "theirs" for other in others)

    @property
    def can_undo(self) -> bool:
        """Whether there is a decision to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a decision to redo."""
        return bool(self._undone)

    def summary(self) -> dict[str, Any]:
        """Counts and choices, which the reply to every decision contains."""
        return {
            "undecided": self.undecided,
            "total": self.total,
            "can_undo": self.can_undo,
            "can_redo": self.can_redo,
            "conflicts": [
                {"key": entry.number, "undecided": self.left_in(entry), "choice": entry.choice}
                for entry in self.entries
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """The list of conflicts for the view."""
        return [entry.payload(self.left_in(entry)) for entry in self.entries]

    def shown(self, entry: Entry) -> NDArray[np.uint8]:
        """Effective state of every conflicting chunk of an entry."""
        if self.chunks_dropped(entry):
            return np.full(len(entry.states), THEIRS, np.uint8)
        return entry.states

    # -- deciding --------------------------------------------------------------------------------

    def find(self, path: str, kind: ConflictType | str | None = None) -> Entry:
        """The conflict of a type at a path; without a type, the only conflict at the path.

        Raises
        ------
        InvalidInputError
            When there is none, or several.
        """
        name = kind.name if isinstance(kind, ConflictType) else kind
        found = [
            entry
            for entry in self.entries
            if entry.path == path and name in (None, entry.key[0].name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            kinds = ", ".join(entry.key[0].name for entry in found)
            raise InvalidInputError(
                f"there are {len(found)} conflicts at `{path}`; choose one by `type`: {kinds}",
                ErrorKind.CONFLICTING_PATH_NOT_FOUND,
            )
        raise InvalidInputError(
            f"there is no {name or 'conflict'} at `{path}`; `conflicts` lists the conflicts",
            ErrorKind.CONFLICTING_PATH_NOT_FOUND,
        )

    def decide(
        self,
        entry: Entry,
        choice: str | None,
        *,
        runs: Sequence[int] | None = None,
        chunks: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> int:
        """Decide all of a conflict, or some of its chunks.

        Parameters
        ----------
        entry : Entry
            The conflict.
        choice : str or None
            One of ``entry.choices``; None makes it undecided again.
        runs : sequence of int, optional
            ``[start, length, ...]`` over the chunk grid; chunks not in conflict are ignored.
        chunks : sequence of (sequence of int), optional
            Coordinates; every one must be in conflict.
        extra : dict, optional
            ``metadata`` or ``new_path``, for the choices that need them.

        Returns
        -------
        int
            Number of decisions that changed.

        Raises
        ------
        InvalidInputError
            For a choice that is not offered, or chunks that are not in conflict.
        """
        if choice is not None and choice not in entry.choices:
            offered = " or ".join(map(repr, entry.choices))
            raise InvalidInputError(
                f"{choice!r} cannot be chosen for {entry.key[0].name} at `{entry.path}`; "
                + (
                    f"choose {offered}"
                    if offered
                    else "it has no choices: start again from the tip"
                ),
                ErrorKind.NOT_ALLOWED,
            )
        if not entry.is_chunks:
            node = None if choice is None else NodeChoice(choice, extra or {})
            return self._take(_step(entry, np.empty(0, np.int64), 0, node))
        rows = np.arange(len(entry.states))
        if chunks is not None:
            rows = _rows_of(entry, chunks)
        elif runs is not None:
            rows = np.flatnonzero(in_runs(entry.positions, runs))
        code = CODE[choice]
        rows = rows[entry.states[rows] != code]
        return self._take(_step(entry, rows, code, None))

    def _take(self, step: _Step) -> int:
        if not len(step.rows) and step.node_before == step.node_after:
            return 0
        step.redo()
        self.version += 1
        if self._open is None:
            self._done.append([step])
        else:
            self._open.append(step)
        self._undone.clear()
        return max(1, len(step.rows))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Group the decisions made inside into one step of undo."""
        assert self._open is None
        self._open = []
        try:
            yield
        finally:
            steps, self._open = self._open, None
            if steps:
                self._done.append(steps)

    def undo(self) -> bool:
        """Undo the last decision; False when there is none."""
        if not self._done:
            return False
        steps = self._done.pop()
        for step in reversed(steps):
            step.undo()
        self._undone.append(steps)
        self.version += 1
        return True

    def redo(self) -> bool:
        """Redo the decision that was undone last; False when there is none."""
        if not self._undone:
            return False
        steps = self._undone.pop()
        for step in steps:
            step.redo()
        self._done.append(steps)
        self.version += 1
        return True

    def decisions(self) -> list[dict[str, Any]]:
        """All decisions in the form of `icechunk.DecisionSolver`."""
        return [
            decision
            for entry in self.entries
            for decision in entry.decisions(self.shown(entry) if entry.is_chunks else None)
        ]

    def merges(self) -> list[tuple[str, list[int], Literal["ours", "theirs"]]]:
        """Chunks to merge cell by cell: path, coordinates, side for cells that both changed."""
        held = [
            entry for entry in self.entries if entry.is_chunks and not self.chunks_dropped(entry)
        ]
        return [one for entry in held for one in entry.merges()]

    def merge_runs(self) -> list[tuple[str, list[int], list[int], str]]:
        """The same as runs: path, grid, ``[start, length, ...]`` over the grid, side."""
        held = [
            entry for entry in self.entries if entry.is_chunks and not self.chunks_dropped(entry)
        ]
        return [one for entry in held for one in entry.merge_runs()]

    # -- when the branch or the session moved on -------------------------------------------------

    def same_as(self, other: ConflictPlan) -> bool:
        """Whether another plan has the same conflicts, with the same content on our side."""
        return len(self.entries) == len(other.entries) and all(
            mine.key == its.key and mine.conflict == its.conflict and _same_ours(mine, its)
            for mine, its in zip(self.entries, other.entries, strict=True)
        )

    def carry_over(self, former: ConflictPlan, theirs: Diff, *, same_base: bool = True) -> int:
        """Copy the decisions of another plan for which neither side changed since.

        Parameters
        ----------
        former : ConflictPlan
            The plan with the decisions.
        theirs : Diff
            Changes of the branch since.
        same_base : bool
            Whether both sides still have the same common ancestor; otherwise decisions for
            ``"base"`` are not copied.

        Returns
        -------
        int
            Number of decisions copied.
        """
        kept = 0
        touched = touched_nodes(theirs)
        for entry in self.entries:
            old = former._by_key.get(entry.key)
            if old is None or entry.path in touched:
                continue
            if entry.is_chunks:
                moved = theirs.chunk_coordinates.get(entry.path)
                kept += _carry_chunks(entry, old, moved, same_base)
            elif old.node and _same_ours(entry, old) and entry.path not in theirs.chunk_coordinates:
                entry.node = old.node
                kept += 1
        return kept


def _step(entry: Entry, rows: NDArray[np.int64], code: int, node: NodeChoice | None) -> _Step:
    return _Step(entry, rows, entry.states[rows].copy(), code, entry.node, node)


def _rows_of(entry: Entry, chunks: Any) -> NDArray[np.int64]:
    """Rows of the listed chunks, each once.

    Raises
    ------
    InvalidInputError
        When one is not in conflict.
    """
    rank = len(entry.grid)
    listed = [tuple(int(part) for part in chunk) for chunk in chunks]
    if any(len(chunk) != rank or min(chunk, default=0) < 0 for chunk in listed):
        raise InvalidInputError(
            f"`chunks` must list coordinates of {rank} whole numbers each",
            ErrorKind.INVALID_CHUNK_INDEX,
        )
    coords = np.array(listed, np.int64).reshape(len(listed), rank)
    on_grid = inside(coords.astype(np.uint32), entry.grid)
    sought = np.unique(flat(coords[on_grid].astype(np.uint32), entry.grid))
    rows = np.searchsorted(entry.positions, sought)
    hit = rows < len(entry.positions)
    hit[hit] = entry.positions[rows[hit]] == sought[hit]
    if not on_grid.all() or not hit.all():
        known = {tuple(row) for row in entry.coords.tolist()}
        odd = next(chunk for chunk in listed if chunk not in known)
        raise InvalidInputError(
            f"chunk {list(odd)} of `{entry.path}` is not in conflict; "
            "`conflicts` lists those that are",
            ErrorKind.INVALID_CHUNK_INDEX,
        )
    return rows


def _carry_chunks(entry: Entry, old: Entry, theirs: Coords | None, same_base: bool) -> int:
    ours = differing(old.ours, entry.ours)
    if ours is None or len(old.grid) != len(entry.grid):
        return 0
    stays = inside(old.coords, entry.grid) & (old.states != UNDECIDED)
    if not same_base:
        stays &= ~np.isin(old.states, (BASE, *MERGES))
    positions = flat(old.coords[stays], entry.grid)
    for moved in (ours, theirs):
        if moved is not None and len(moved):
            gone = flat(moved[inside(moved, entry.grid)], entry.grid)
            keep = ~np.isin(positions, gone)
            stays[stays] = keep
            positions = positions[keep]
    rows = np.searchsorted(entry.positions, positions)
    hit = rows < len(entry.positions)
    hit[hit] = entry.positions[rows[hit]] == positions[hit]
    entry.states[rows[hit]] = old.states[stays][hit]
    return int(hit.sum())


def _same_ours(one: Entry, two: Entry) -> bool:
    if one.metadata != two.metadata or (one.ours is None) != (two.ours is None):
        return False
    moved = differing(one.ours, two.ours)
    return moved is None or not len(moved)


def touched_nodes(diff: Diff) -> set[str]:
    """Paths of nodes that were created, deleted, moved or changed in their metadata."""
    return (
        diff.new_arrays
        | diff.new_groups
        | diff.deleted_arrays
        | diff.deleted_groups
        | diff.updated_arrays
        | diff.updated_groups
        | {path for move in diff.moved_nodes for path in move}
    )


def entry_key(conflict: Conflict) -> Key:
    """Type and path, which identify a conflict."""
    return conflict.conflict_type, conflict.path
