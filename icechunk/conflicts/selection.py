"""Selections of chunks, for decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.spec.manifest.coordinates import Keyspace, inside, member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from icechunk.spec.manifest.coordinates import Coords

_LIMITS = {"chunks": 2**32 - 1, "runs": 2**62, "grid": 2**32 - 1, "boxes": 2**32}


class ChunkSelection(ABC):
    """A set of chunks: listed, as runs or as boxes."""

    __slots__ = ()

    @abstractmethod
    def mask(self, coords: Coords, grid: Sequence[int]) -> NDArray[np.bool_]:
        """Which chunks are selected.

        Parameters
        ----------
        coords : ndarray
            uint32, shape ``(n, d)``.
        grid : sequence of int
            Number of chunks along each axis of the array in the session.

        Returns
        -------
        ndarray of bool, shape (n,)
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Entries of the JSON form."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChunkSelection) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_dict()})"


class ListedChunks(ChunkSelection):
    """Chunks named one by one.

    Parameters
    ----------
    chunks : array_like of int, shape (n, d)
        Coordinates.
    """

    __slots__ = ("coords",)

    def __init__(self, chunks: Any) -> None:
        self.coords: Coords = _integers(chunks, "chunks", "a list of chunk coordinates", 2).astype(
            np.uint32
        )

    def mask(self, coords: Coords, grid: Sequence[int]) -> NDArray[np.bool_]:
        """Rows that are listed."""
        if not len(self.coords):
            return np.zeros(len(coords), np.bool_)
        _same_rank("chunks", self.coords.shape[1], coords)
        return member(coords, self.coords)

    def to_dict(self) -> dict[str, Any]:
        """``{"chunks": [[i, j], ...]}``."""
        return {"chunks": self.coords.tolist()}


class ChunkRuns(ChunkSelection):
    """Runs of consecutive chunks in row-major order over the chunk grid.

    Parameters
    ----------
    runs : array_like of int, shape (2 n,)
        ``start, length`` of each run.
    grid : sequence of int, optional
        Number of chunks along each axis of the grid they were counted in; the array's grid in
        the session when not given. Give it when the decision is kept for later.
    """

    __slots__ = ("grid", "pairs")

    def __init__(self, runs: Any, grid: Sequence[int] | None = None) -> None:
        flat = _integers(runs, "runs", "a flat list: start, length, start, length, ...", 1)
        if len(flat) % 2:
            raise InvalidInputError(
                f"`runs` has {len(flat)} numbers; it must hold pairs of start and length",
                ErrorKind.DESERIALIZATION,
            )
        self.pairs: NDArray[np.int64] = flat.reshape(-1, 2)
        self.grid: tuple[int, ...] | None = None
        if grid is not None:
            self.grid = tuple(
                _integers(grid, "grid", "the number of chunks along each axis", 1).tolist()
            )

    def mask(self, coords: Coords, grid: Sequence[int]) -> NDArray[np.bool_]:
        """Rows whose flat index lies in a run."""
        counts = tuple(grid) if self.grid is None else self.grid
        _same_rank("grid", len(counts), coords)
        box = tuple((0, max(count, 1)) for count in counts)
        space = Keyspace.of_box(box)
        if space.wide:
            raise InvalidInputError(
                f"`runs` cannot count the chunks of a grid of {counts}; name them by `boxes`",
                ErrorKind.INVALID_CHUNK_INDEX,
            )
        selected = inside(coords, box)
        if not len(self.pairs):
            return np.zeros(len(coords), np.bool_)
        pairs = self.pairs[np.argsort(self.pairs[:, 0], kind="stable")]
        # Runs may overlap: what counts is the furthest end among those that begin before.
        ends = np.maximum.accumulate(pairs[:, 0] + pairs[:, 1])
        flat = space.keys(coords[selected])
        before = np.searchsorted(pairs[:, 0], flat, side="right") - 1
        selected[selected] = (before >= 0) & (flat < ends[before])
        return selected

    def to_dict(self) -> dict[str, Any]:
        """``{"runs": [start, length, ...]}``, with ``"grid"`` where it was given."""
        form: dict[str, Any] = {"runs": self.pairs.reshape(-1).tolist()}
        if self.grid is not None:
            form["grid"] = list(self.grid)
        return form


class ChunkBoxes(ChunkSelection):
    """Boxes of chunk coordinates.

    Parameters
    ----------
    boxes : array_like of int, shape (n, d, 2)
        Half-open range ``[first, last + 1]`` per axis of each box.
    """

    __slots__ = ("bounds",)

    def __init__(self, boxes: Any) -> None:
        what = "a list of boxes, each a list of [start, stop] per axis"
        self.bounds: NDArray[np.int64] = _integers(boxes, "boxes", what, 3)
        if self.bounds.shape[2] != 2 and self.bounds.size:
            raise InvalidInputError(f"`boxes` must be {what}", ErrorKind.DESERIALIZATION)

    def mask(self, coords: Coords, grid: Sequence[int]) -> NDArray[np.bool_]:
        """Rows inside any of the boxes."""
        selected = np.zeros(len(coords), np.bool_)
        for box in self.bounds:
            _same_rank("boxes", len(box), coords)
            selected |= inside(coords, tuple((int(low), int(high)) for low, high in box))
        return selected

    def to_dict(self) -> dict[str, Any]:
        """``{"boxes": [[[start, stop], ...], ...]}``."""
        return {"boxes": self.bounds.tolist()}


def selection_from(entry: Mapping[str, Any]) -> ChunkSelection | None:
    """Selection named by the entries ``chunks``, ``runs`` (with ``grid``) or ``boxes``.

    Parameters
    ----------
    entry : mapping
        JSON form of a decision.

    Returns
    -------
    ChunkSelection or None
        None when nothing is named, which means all chunks.

    Raises
    ------
    InvalidInputError
        When more than one way is used, or the numbers have another form.
    """
    given = [name for name in ("chunks", "runs", "boxes") if entry.get(name) is not None]
    if len(given) > 1:
        raise InvalidInputError(
            f"`{'` and `'.join(given)}` were given; name the chunks in one way only",
            ErrorKind.DESERIALIZATION,
        )
    if entry.get("grid") is not None and given != ["runs"]:
        raise InvalidInputError(
            "`grid` was given without `runs`; it says which grid runs were counted in",
            ErrorKind.DESERIALIZATION,
        )
    if not given:
        return None
    if given == ["runs"]:
        return ChunkRuns(entry["runs"], entry.get("grid"))
    return (ListedChunks if given == ["chunks"] else ChunkBoxes)(entry[given[0]])


def _integers(values: Any, name: str, what: str, rank: int) -> NDArray[np.int64]:
    """Non-negative integers as an array of a rank."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.zeros(1, object)
    if not array.size:
        # an empty list has no dtype, and [[]] (the chunk of a 0-d array) no numbers
        array = np.zeros(array.shape + (0,) * (rank - array.ndim), np.int64)
    if array.ndim != rank or array.dtype.kind not in "iu":
        raise InvalidInputError(f"`{name}` must be {what}", ErrorKind.DESERIALIZATION)
    limit = _LIMITS[name]
    if array.size and (array.min() < 0 or array.max() > limit):
        raise InvalidInputError(
            f"`{name}` holds numbers outside 0 to {limit}", ErrorKind.INVALID_CHUNK_INDEX
        )
    return array.astype(np.int64)


def _same_rank(name: str, rank: int, coords: Coords) -> None:
    if rank != coords.shape[1]:
        raise InvalidInputError(
            f"`{name}` is for {rank} dimensions, the array has {coords.shape[1]}",
            ErrorKind.INVALID_CHUNK_INDEX,
        )
