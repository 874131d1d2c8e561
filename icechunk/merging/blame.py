"""Which commit wrote each chunk of an array last, from the transaction logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.core.clock import to_datetime
from icechunk.core.errors import ErrorKind, InvalidInputError, NodeNotFoundError, StorageError
from icechunk.core.ids import NodeId, ObjectId, id_text
from icechunk.engine.context import RepoContext
from icechunk.merging.graph import CommitGraph
from icechunk.merging.laying import state_of
from icechunk.spec.manifest.coordinates import inside
from icechunk.spec.manifest.references import same

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from icechunk.spec.manifest.chunk_table import ChunkTable
    from icechunk.spec.manifest.coordinates import Coords

Region = tuple[slice, ...]

NOT_FOUND = -1
_NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Blame:
    """Who wrote the chunks of an array.

    Attributes
    ----------
    path : str
        The array.
    chunks : ndarray
        Coordinates of the chunks that have a value, uint32 of shape ``(n, d)``, row-major.
    commit : ndarray
        Row in `snapshot_ids` of the commit that wrote each chunk, int64 of shape ``(n,)``; -1
        where the log that names it was collected.
    snapshot_ids : tuple of str
        The commits, newest first.
    messages : tuple of str
        Their messages; empty for expired commits.
    written_at : tuple of (datetime or None)
        Their times, UTC; None for expired commits.
    authors : tuple of str
        Their author, as commit metadata names it (``author``, ``author_name`` or ``user``).
    """

    path: str
    chunks: Coords
    commit: NDArray[np.int64]
    snapshot_ids: tuple[str, ...]
    messages: tuple[str, ...]
    written_at: tuple[datetime | None, ...]
    authors: tuple[str, ...]

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self.chunks)

    def snapshot_id(self, *coords: int) -> str | None:
        """Commit that wrote a chunk; None for a chunk without a value."""
        rows = np.flatnonzero((self.chunks == np.array(coords, np.uint32)).all(axis=1))
        row = int(self.commit[rows[0]]) if len(rows) else NOT_FOUND
        return None if row == NOT_FOUND else self.snapshot_ids[row]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many chunks each commit wrote last; int64 of the length of `snapshot_ids`."""
        known = self.commit[self.commit >= 0]
        return np.bincount(known, minlength=len(self.snapshot_ids))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: one entry per commit, with its chunks."""
        return {
            "path": self.path,
            "commits": [
                {
                    "snapshot_id": self.snapshot_ids[row],
                    "message": self.messages[row],
                    "written_at": None if at is None else at.isoformat(),
                    "author": self.authors[row],
                    "chunks": self.chunks[self.commit == row].tolist(),
                }
                for row, at in enumerate(self.written_at)
            ],
            "unknown": self.chunks[self.commit == NOT_FOUND].tolist(),
        }

    def to_pandas(self) -> Any:
        """One row per chunk as a `pandas.DataFrame`, for which pandas must be installed."""
        import pandas as pd  # an optional dependency

        return pd.DataFrame(self._columns())

    def to_arrow(self) -> Any:
        """One row per chunk as a `pyarrow.Table`, for which pyarrow must be installed."""
        import pyarrow as pa  # an optional dependency

        return pa.table(self._columns())

    def _columns(self) -> dict[str, Any]:
        """Columns of a table with one row per chunk."""
        rank = self.chunks.shape[1]
        columns: dict[str, Any] = {f"chunk_{axis}": self.chunks[:, axis] for axis in range(rank)}
        for name, values in (
            ("snapshot_id", self.snapshot_ids),
            ("message", self.messages),
            ("written_at", self.written_at),
            ("author", self.authors),
        ):
            table = np.array([*values, None], object)
            columns[name] = table[self.commit]
        return columns

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self)} chunks"]
        for row, count in enumerate(self.counts.tolist()):
            at = self.written_at[row]
            when = "expired" if at is None else f"{at:%Y-%m-%d %H:%M}"
            first = self.messages[row].partition("\n")[0]
            lines.append(f"  {count:>8}  {self.snapshot_ids[row]}  {when}  {first}")
        unknown = int((self.commit == NOT_FOUND).sum())
        if unknown:
            lines.append(f"  {unknown:>8}  written by commits whose logs were collected")
        return "\n".join(lines)


def blame(
    ctx: RepoContext, snapshot_id: ObjectId, path: str, region: Sequence[Any] | None = None
) -> Blame:
    """Find the commit that wrote each chunk of an array last.

    Follows first parents; a chunk that a merge took from another parent is followed there. Nodes
    are followed by id, through moves, to the commit that made them.

    Parameters
    ----------
    region : sequence of slice or int, optional
        Elements of the array, one item per axis or fewer; all by default.

    Raises
    ------
    NodeNotFoundError
        There is no such node.
    InvalidInputError
        Kind ``not-an-array`` for a group, ``invalid-region`` for a region that does not fit.
    """
    state = state_of(ctx, snapshot_id)
    node = state.get(path)
    if node is None:
        raise NodeNotFoundError(
            f"node not found at `{path}` in {id_text(snapshot_id)}", ErrorKind.NODE_NOT_FOUND
        )
    if node.array is None:
        raise InvalidInputError(
            f"`{path}` is a group; blame needs an array", ErrorKind.NOT_AN_ARRAY
        )
    table = state.table(node)
    coords = table.coords()
    if region is not None:
        box = chunk_box(node.document, node.array.shape, region)
        table = table.within(box)
        coords = coords[inside(coords, box)]
    search = _Search(ctx, node.id, coords, table)
    search.run(snapshot_id)
    return search.result(path)


def chunk_box(
    document: dict[str, Any], shape: tuple[int, ...], region: Sequence[Any]
) -> tuple[tuple[int, int], ...]:
    """The chunks that hold a region of elements, half-open per axis.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-region``.
    """
    if len(region) > len(shape):
        raise InvalidInputError(
            f"the region has {len(region)} axes, the array {len(shape)}", ErrorKind.INVALID_REGION
        )
    grid = document["chunk_grid"]
    box = []
    for axis, length in enumerate(shape):
        item = region[axis] if axis < len(region) else slice(None)
        if isinstance(item, int):
            item = slice(item, item + 1 or None)
        start, stop, step = item.indices(length)
        if step != 1 or (start >= stop and length):
            raise InvalidInputError(
                f"the region {item} of axis {axis} holds no element of {length}; give slices "
                "without a step inside the array",
                ErrorKind.INVALID_REGION,
            )
        if grid["name"] == "regular":
            chunk = max(int(grid["configuration"]["chunk_shape"][axis]), 1)
            box.append((start // chunk, max(-(-stop // chunk), start // chunk + 1)))
        else:
            edges = np.cumsum(_lengths(grid["configuration"]["chunk_shapes"][axis]))
            first = int(np.searchsorted(edges, start, "right"))
            box.append((first, int(np.searchsorted(edges, stop - 1, "right")) + 1))
    return tuple(box)


def _lengths(chunks: Any) -> list[int]:
    """Chunk lengths along an axis of a rectilinear grid; pairs are a length and its count."""
    if isinstance(chunks, int):
        return [chunks]
    lengths: list[int] = []
    for one in chunks:
        lengths += [one] if isinstance(one, int) else [one[0]] * one[1]
    return lengths


class _Search:
    """Chunks whose commit is not known yet, while a history is walked."""

    def __init__(
        self, ctx: RepoContext, node_id: NodeId, coords: Coords, table: ChunkTable
    ) -> None:
        self._ctx = ctx
        self._node_id = node_id
        self._coords = coords
        self._table = table
        self._graph = CommitGraph(ctx.ref_store)
        self._owner = np.full(len(coords), NOT_FOUND, np.int64)
        self._commits: dict[ObjectId, int] = {}

    def run(self, tip: ObjectId) -> None:
        pending = [(tip, np.ones(len(self._coords), np.bool_))]
        while pending:
            start, left = pending.pop()
            count = int(left.sum())
            current: ObjectId | None = start
            # A commit costs what its log names, not the number of chunks that are left.
            while current is not None and count:
                parents = self._graph.parents(current)
                hit = self._written_by(current, left) if parents else _NO_ROWS
                left[hit] = False
                count -= len(hit)
                for parent in parents[1:]:
                    if parent in self._graph and len(hit):
                        taken = self._equal_in(parent, hit)
                        if len(taken):
                            mask = np.zeros(len(left), np.bool_)
                            mask[taken] = True
                            pending.append((parent, mask))
                            hit = hit[~mask[hit]]
                if len(hit):
                    self._owner[hit] = self._commits.setdefault(current, len(self._commits))
                current = parents[0] if parents else None

    def _written_by(self, snapshot_id: ObjectId, left: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rows still left that a commit wrote: its log names them, or it made the array."""
        try:
            log = self._ctx.files.log(snapshot_id)
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return _NO_ROWS
        theirs = log.updated_chunks.get(self._node_id)
        if self._node_id in log.new_arrays:
            return np.flatnonzero(left)
        if theirs is None or theirs.shape[1] != self._coords.shape[1]:
            return _NO_ROWS
        where = self._table.find_many(theirs)
        where = where[where >= 0]
        return where[left[where]]

    def _equal_in(self, snapshot_id: ObjectId, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows whose reference is the same in another state."""
        state = state_of(self._ctx, snapshot_id)
        node = state.by_id(self._node_id)
        if node is None or node.array is None:
            return _NO_ROWS
        other = state.table(node)
        found = other.find_many(self._coords[rows])
        held = np.flatnonzero(found >= 0)
        equal = same(self._table, rows[held], other, found[held])
        kept: NDArray[np.int64] = rows[held][equal]
        return kept

    def result(self, path: str) -> Blame:
        order = sorted(self._commits, key=self._age, reverse=True)
        place = np.full(len(order) + 1, NOT_FOUND, np.int64)
        for row, one in enumerate(order):
            place[self._commits[one]] = row
        records = [self._graph.record(one) for one in order]
        return Blame(
            path=path,
            chunks=self._coords,
            commit=place[self._owner],
            snapshot_ids=tuple(map(id_text, order)),
            messages=tuple("" if one is None else one.message for one in records),
            written_at=tuple(
                None if one is None else to_datetime(one.flushed_at) for one in records
            ),
            authors=tuple("" if one is None else author_of(one.metadata) for one in records),
        )

    def _age(self, snapshot_id: ObjectId) -> int:
        record = self._graph.record(snapshot_id)
        return 0 if record is None else record.flushed_at


def author_of(metadata: dict[str, Any]) -> str:
    """Author of a commit, by the keys that people use for it; empty when there is none."""
    for key in ("author_name", "author", "user"):
        if isinstance(metadata.get(key), str):
            return str(metadata[key])
    return ""
