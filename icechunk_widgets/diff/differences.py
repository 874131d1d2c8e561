"""Differences of two states: changed nodes, and maps of changed chunks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk import Diff, ErrorKind, NodeNotFoundError, Repository
from icechunk_widgets.arrays.axis_labels import Axis, axes_of
from icechunk_widgets.arrays.chunk_refs import Coords, flat, inside, stored
from icechunk_widgets.arrays.nodes import ArrayShape, array_shape, is_array
from icechunk_widgets.diff.states import State
from icechunk_widgets.kernel.failures import refusal

SAME, CHANGED, ADDED, REMOVED = range(4)
MOST_CELLS = 16_000_000
MOST_NODES = 5_000


class Comparison:
    """Two states and their difference.

    Parameters
    ----------
    repo : Repository
        Where both are.
    a, b : State
        The earlier and the later state; `b` may be a session with uncommitted changes.
    """

    def __init__(self, repo: Repository, a: State, b: State) -> None:
        self.a, self.b = a, b
        self._repo = repo

    @cached_property
    def diff(self) -> Diff:
        """The difference as the engine reports it."""
        a, b = self.a.snapshot_id, self.b.snapshot_id
        if a == b and self.b.live:
            return self.b.session.status()
        committed = self._repo.diff(from_snapshot_id=a, to_snapshot_id=b, any_states=True)
        return union(committed, self.b.session.status()) if self.b.live else committed

    def summary(self) -> dict[str, Any]:
        """Changed nodes with their numbers of changed chunks.

        Returns
        -------
        dict
            ``a``, ``b``, ``nodes`` (sorted by path, at most 5000) and ``counts`` of all.
        """
        nodes = sorted(self._nodes(), key=lambda node: str(node["path"]))
        kinds = ("added", "removed", "changed", "moved")
        counts = {kind: sum(node["change"] == kind for node in nodes) for kind in kinds}
        counts["chunks"] = sum(node["chunks_changed"] for node in nodes)
        return {
            "a": {"id": self.a.snapshot_id, "label": self.a.label},
            "b": {"id": self.b.snapshot_id, "label": self.b.label},
            "nodes": nodes[:MOST_NODES],
            "counts": counts,
        }

    def _nodes(self) -> Iterable[dict[str, Any]]:
        diff = self.diff
        new = diff.new_arrays | diff.new_groups
        gone = diff.deleted_arrays | diff.deleted_groups
        moved = {new_path for _, new_path in diff.moved_nodes if self._exists(new_path)}
        updated = diff.updated_arrays | diff.updated_groups
        written = {path for path, coords in diff.chunk_coordinates.items() if len(coords)}
        for path in new | gone | moved | updated | written:
            if path in new and path not in gone:
                change = "added"
            elif path in gone and path not in new:
                change = "removed"
            else:
                change = "moved" if path in moved else "changed"
            array = self._is_array(path)
            changed, total = self._chunk_counts(path, change) if array else (0, 0)
            yield {
                "path": path,
                "type": "array" if array else "group",
                "change": change,
                "from": self.before_path(path) if change == "moved" else None,
                "metadata_changed": path in updated or path in new or path in gone,
                "chunks_changed": changed,
                "chunks_total": total,
            }

    def _exists(self, path: str) -> bool:
        return array_shape(self.b.session, path) is not None or _is_node(self.b, path)

    def _is_array(self, path: str) -> bool:
        diff = self.diff
        if path in diff.chunk_coordinates or path in diff.new_arrays | diff.updated_arrays:
            return True
        if path in diff.deleted_arrays:
            return path not in diff.new_groups
        return is_array(self.b.session, path)

    def _chunk_counts(self, path: str, change: str) -> tuple[int, int]:
        """Changed chunks and chunks of the whole grid."""
        after = array_shape(self.b.session, path)
        before = array_shape(self.a.session, self.before_path(path))
        shown = after if after is not None else before
        if shown is None:
            return 0, 0
        resized = before is not None and after is not None and before.grid != after.grid
        if change == "removed" or resized or path in self.diff.deleted_arrays:
            return int(np.count_nonzero(self._touched(path)[1])), shown.num_chunks
        coords = self.diff.chunk_coordinates.get(path)
        return 0 if coords is None else int(inside(coords, shown.grid).sum()), shown.num_chunks

    def before_path(self, path: str) -> str:
        """Path in the earlier state of a node of the later one."""
        moves = {target: source for source, target in self.diff.moved_nodes}
        for _ in range(len(moves)):
            head = path
            while head and head not in moves:
                head = head.rpartition("/")[0]
            if not head or moves[head] == path:
                break
            path = moves.pop(head) + path[len(head) :]
        return path

    def shapes(self, path: str) -> tuple[ArrayShape | None, ArrayShape | None]:
        """Geometry of an array before and after.

        Raises
        ------
        NodeNotFoundError
            When neither state has an array there.
        """
        before = array_shape(self.a.session, self.before_path(path))
        after = array_shape(self.b.session, path)
        if before is None and after is None:
            raise NodeNotFoundError(
                f"node not found at `{path}`: neither state has an array there; choose one of "
                "the listed nodes",
                ErrorKind.NODE_NOT_FOUND,
            )
        return before, after

    def chunk_map(self, path: str) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """The chunk grid of an array, and the change of every chunk.

        Returns
        -------
        dict, ndarray of uint8
            Geometry and labels; 0 same, 1 changed, 2 added, 3 removed, row-major.
        """
        before, after = self.shapes(path)
        shown = after if after is not None else before
        assert shown is not None
        session = self.b.session if after is not None else self.a.session
        grid = self.grid(before, after)
        held = geometry(shown, grid, axes_of(session, shown))
        cells = np.zeros(int(np.prod(grid, dtype=np.int64)), np.uint8)
        coords, states = self._touched(path)
        cells[flat(coords, grid)] = states
        return held, cells

    @staticmethod
    def grid(before: ArrayShape | None, after: ArrayShape | None) -> tuple[int, ...]:
        """A grid that contains the chunks of both states if they have the same chunk shape."""
        shown = after if after is not None else before
        assert shown is not None
        if before is not None and after is not None and before.chunks == after.chunks:
            return tuple(map(max, before.grid, after.grid))
        return shown.grid

    def _touched(self, path: str) -> tuple[Coords, NDArray[np.uint8]]:
        """Coordinates of the chunks that differ, with their states."""
        before, after = self.shapes(path)
        grid = self.grid(before, after)
        old = None if before is None else stored(self.a.session, before.path)
        new = None if after is None else stored(self.b.session, after.path)
        if before is not None and after is not None and before.chunks != after.chunks:
            old = None  # another chunk shape: chunks cannot be matched
        none = np.empty((0, len(grid)), np.uint32)
        old = none if old is None else old[inside(old, grid)]
        new = none if new is None else new[inside(new, grid)]
        candidates = self.diff.chunk_coordinates.get(path, none)
        parts = [candidates[inside(candidates, grid)] if candidates.shape[1] == len(grid) else none]
        if before is None or after is None or path in self.diff.deleted_arrays:
            parts += [old, new]
        elif before.grid != after.grid or before.chunks != after.chunks:
            parts += [old[~inside(old, after.grid)]]
            parts += [new] if before.chunks != after.chunks else []
        positions = np.unique(np.concatenate([flat(part, grid) for part in parts]))
        was = np.isin(positions, flat(old, grid))
        now = np.isin(positions, flat(new, grid))
        states = np.full(len(positions), SAME, np.uint8)
        states[was & now] = CHANGED
        states[~was & now] = ADDED
        states[was & ~now] = REMOVED
        return _coords(positions, grid), states


def geometry(shape: ArrayShape, grid: tuple[int, ...], axes: list[Axis | None]) -> dict[str, Any]:
    """Geometry and labels of a chunk grid, for the view.

    Raises
    ------
    IcechunkError
        When the grid has too many chunks for a browser.
    """
    cells = 1
    for count in grid:
        cells *= count
    if cells > MOST_CELLS:
        raise refusal(
            f"`{shape.path}` has {cells} chunks, more than the {MOST_CELLS} a map can show",
            "compare it in Python with `Repository.diff`",
            ErrorKind.UNIMPLEMENTED,
        )
    labels = [
        None if axis is None else axis.label(max(chunk, 1), count)
        for axis, chunk, count in zip(axes, shape.chunks, grid, strict=True)
    ]
    return {
        "path": shape.path,
        "shape": list(shape.shape),
        "chunks": list(shape.chunks),
        "grid": list(grid),
        "dims": list(shape.names),
        "dtype": shape.dtype,
        "labels": labels,
    }


def union(first: Diff, second: Diff) -> Diff:
    """The difference over two consecutive steps."""
    chunks = dict(first.chunk_coordinates)
    for path, coords in second.chunk_coordinates.items():
        former = chunks.get(path)
        if former is not None and former.shape[1] == coords.shape[1]:
            stacked = np.concatenate((former, coords))
            coords = np.unique(stacked, axis=0) if stacked.shape[1] else stacked[:1]
        chunks[path] = coords
    gone = second.deleted_arrays | second.deleted_groups
    return Diff(
        new_groups=(first.new_groups - second.deleted_groups) | second.new_groups,
        new_arrays=(first.new_arrays - second.deleted_arrays) | second.new_arrays,
        deleted_groups=first.deleted_groups | (second.deleted_groups - first.new_groups),
        deleted_arrays=first.deleted_arrays | (second.deleted_arrays - first.new_arrays),
        updated_groups=(first.updated_groups - gone) | (second.updated_groups - first.new_groups),
        updated_arrays=(first.updated_arrays - gone) | (second.updated_arrays - first.new_arrays),
        chunk_coordinates={
            p: c for p, c in chunks.items() if p not in gone or p in second.new_arrays
        },
        moved_nodes=[*first.moved_nodes, *second.moved_nodes],
    )


def _coords(positions: NDArray[np.int64], grid: tuple[int, ...]) -> Coords:
    if not grid:
        return np.empty((len(positions), 0), np.uint32)
    return np.stack(np.unravel_index(positions, grid), axis=1).astype(np.uint32)


def _is_node(state: State, path: str) -> bool:
    return state.session.store.get_sync(f"{path.strip('/')}/zarr.json".lstrip("/")) is not None
