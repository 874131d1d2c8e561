"""The difference of two states: nodes made, changed, removed and moved, and chunks written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from icechunk.config.rendering import Entry, Label, Shown
from icechunk.core.ids import NodeId
from icechunk.core.paths import by_segments
from icechunk.spec.manifest.coordinates import Coords
from icechunk.spec.protocols import NodeReader
from icechunk.spec.transaction_log.log import TransactionLog


class Diff(Shown):
    """Changes by absolute path.

    Attributes
    ----------
    new_groups, new_arrays : set of str
        Nodes made.
    deleted_groups, deleted_arrays : set of str
        Nodes removed.
    updated_groups, updated_arrays : set of str
        Nodes with other metadata.
    moved_nodes : list of (str, str)
        From and to, sorted by the final path.
    chunk_coordinates : dict of str to numpy.ndarray
        For every array with written or removed chunks their coordinates, uint32, one row each,
        in row-major order.
    """

    __module__ = "icechunk"

    new_groups: set[str]
    new_arrays: set[str]
    deleted_groups: set[str]
    deleted_arrays: set[str]
    updated_groups: set[str]
    updated_arrays: set[str]
    chunk_coordinates: dict[str, Coords]
    moved_nodes: list[tuple[str, str]]

    def __init__(
        self,
        *,
        new_groups: Iterable[str] = (),
        new_arrays: Iterable[str] = (),
        deleted_groups: Iterable[str] = (),
        deleted_arrays: Iterable[str] = (),
        updated_groups: Iterable[str] = (),
        updated_arrays: Iterable[str] = (),
        chunk_coordinates: Mapping[str, Coords] | None = None,
        moved_nodes: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.new_groups = set(new_groups)
        self.new_arrays = set(new_arrays)
        self.deleted_groups = set(deleted_groups)
        self.deleted_arrays = set(deleted_arrays)
        self.updated_groups = set(updated_groups)
        self.updated_arrays = set(updated_arrays)
        self.chunk_coordinates = dict(chunk_coordinates or {})
        self.moved_nodes = sorted(moved_nodes, key=lambda move: by_segments(move[1]))

    @cached_property
    def updated_chunks(self) -> dict[str, list[list[int]]]:
        """Coordinates of the written or removed chunks of every array, as nested lists."""
        return {path: coords.tolist() for path, coords in self.chunk_coordinates.items()}

    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (
            self.new_groups
            or self.new_arrays
            or self.deleted_groups
            or self.deleted_arrays
            or self.updated_groups
            or self.updated_arrays
            or self.chunk_coordinates
            or self.moved_nodes
        )

    def _facts(self) -> tuple[Any, ...]:
        return (
            self.new_groups,
            self.new_arrays,
            self.deleted_groups,
            self.deleted_arrays,
            self.updated_groups,
            self.updated_arrays,
            self.chunk_coordinates.keys(),
            self.moved_nodes,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Diff):
            return NotImplemented
        return self._facts() == other._facts() and all(
            np.array_equal(coords, other.chunk_coordinates[path])
            for path, coords in self.chunk_coordinates.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in _FACTS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __str__(self) -> str:
        moves = [f"{old} -> {new}" for old, new in self.moved_nodes]
        sections = [
            ("Groups created:", sorted(self.new_groups)),
            ("Arrays created:", sorted(self.new_arrays)),
            ("Group definitions updated:", sorted(self.updated_groups)),
            ("Array definitions updated:", sorted(self.updated_arrays)),
            ("Groups deleted:", sorted(self.deleted_groups)),
            ("Arrays deleted:", sorted(self.deleted_arrays)),
            ("Chunks updated:", _chunk_lines(self.chunk_coordinates)),
            ("Nodes moved/renamed:", moves),
        ]
        # An empty line ends every section but that of the chunks: the reference library's text,
        # which programs compare.
        return "".join(
            "".join(f"{line}\n" for line in [title, *(f"    {line}" for line in lines)])
            + ("" if title == "Chunks updated:" else "\n")
            for title, lines in sections
            if lines
        )

    __repr__ = __str__

    def _path(self) -> str:
        return "icechunk.snapshots.Diff"

    def _entries(self) -> Iterable[Entry]:
        named = [Entry(name, Label(_names(sorted(getattr(self, name))))) for name in _ID_SETS]
        chunks = {path: _rows(coords) for path, coords in self.chunk_coordinates.items()}
        moved = [f"{old} -> {new}" for old, new in self.moved_nodes]
        return [
            *named,
            Entry("updated_chunks", Label(_names(f"{p}: {rows}" for p, rows in chunks.items()))),
            Entry("moved_nodes", Label(_names(moved))),
        ]


_LISTED = 10
_NAMED = 1000


def _names(items: Iterable[str]) -> str:
    """Items on one line, as many as a reader can use."""
    listed = list(items)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f", ... {more} more" if more > 0 else "")


def _rows(coords: Coords) -> str:
    shown = ", ".join(map(str, coords[:_LISTED].tolist()))
    more = len(coords) - _LISTED
    return shown + (f", ... {more} more" if more > 0 else "")


def _chunk_lines(chunks: Mapping[str, Coords]) -> list[str]:
    """Per array its path, then one chunk per line, the first ones only."""
    lines: list[str] = []
    for path, coords in chunks.items():
        lines.append(f"{path}:")
        lines += [f"    {row}" for row in coords[:_LISTED].tolist()]
        if len(coords) > _LISTED:
            lines.append(f"    ... {len(coords) - _LISTED} more")
    return lines


class DiffBuilder:
    """Unites transaction logs, then names what they touched.

    Rules of ``Repository.diff``: id sets are united, moves are kept one by one, and ids become
    paths by the earlier state's nodes overlaid by the later state's.
    """

    def __init__(self) -> None:
        self._ids: dict[str, set[NodeId]] = {}
        self._chunks: dict[NodeId, list[Coords]] = {}
        self._moves: list[tuple[str, str]] = []

    def add(self, log: TransactionLog) -> None:
        """Take in one log."""
        for name in _ID_SETS:
            self._ids.setdefault(name, set()).update(getattr(log, name))
        for node_id, coords in log.updated_chunks.items():
            self._chunks.setdefault(node_id, []).append(coords)
        self._moves.extend((move.source, move.target) for move in log.moved)

    def build(self, before: NodeReader, after: NodeReader) -> Diff:
        """Name everything taken in."""

        def paths(name: str) -> set[str]:
            found = (self._path(node_id, before, after) for node_id in self._ids.get(name, ()))
            return {path for path in found if path is not None}

        chunks: dict[str, Coords] = {}
        for node_id, several in self._chunks.items():
            path = self._path(node_id, before, after)
            coords = several[0] if len(several) == 1 else _unite(several)
            # A rebase may leave an array without any of its edits: nothing to show.
            if path is not None and len(coords):
                chunks[path] = coords
        return Diff(
            **{name: paths(name) for name in _ID_SETS},
            chunk_coordinates=dict(sorted(chunks.items())),
            moved_nodes=self._moves,
        )

    @staticmethod
    def _path(node_id: NodeId, before: NodeReader, after: NodeReader) -> str | None:
        node = after.by_id(node_id) or before.by_id(node_id)
        return None if node is None else node.path


_ID_SETS = (
    "new_groups",
    "new_arrays",
    "deleted_groups",
    "deleted_arrays",
    "updated_groups",
    "updated_arrays",
)
_FACTS = (*_ID_SETS, "chunk_coordinates", "moved_nodes")


def _unite(several: list[Coords]) -> Coords:
    ranks = {coords.shape[1] for coords in several}
    if len(ranks) > 1:  # the array was created again with another rank: the last one counts
        several = [coords for coords in several if coords.shape[1] == several[-1].shape[1]]
    stacked = np.concatenate(several)
    return np.unique(stacked, axis=0) if stacked.shape[1] else stacked[:1]
