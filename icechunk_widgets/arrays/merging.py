"""Merge chunks cell by cell for the views, which read values through sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from icechunk import ErrorKind, Session
from icechunk.merging.cells import CellCounts, merge
from icechunk_widgets.arrays.nodes import ArrayShape, array_shape
from icechunk_widgets.kernel.failures import reading, refusal

Region = list[tuple[int, int]]


@dataclass(frozen=True)
class Merged:
    """Values to write after the session has been rebased onto the other side's commit.

    Attributes
    ----------
    path : str
        The array.
    region : list of (int, int)
        Element range along each axis.
    values : ndarray
        Of the array's data type.
    """

    path: str
    region: Region
    values: NDArray[Any]


class Chunks:
    """The chunks of an array on the three sides.

    Parameters
    ----------
    sessions : mapping of str to Session
        ``ours``, ``theirs`` and ``base``.
    path : str
        The array.

    Raises
    ------
    IcechunkError
        When shape, chunks or data type differ between the sides.
    """

    def __init__(self, sessions: Mapping[str, Session], path: str) -> None:
        self.path = path
        shapes = {side: array_shape(session, path) for side, session in sessions.items()}
        held = set(shapes.values())
        first = shapes["theirs"]
        if first is None or len(held) != 1:
            raise refusal(
                f"the array at `{path}` is not of one shape, chunking and type on all sides",
                "decide these chunks as a whole",
                ErrorKind.NOT_ALLOWED,
            )
        self.shape: ArrayShape = first
        self._arrays = {
            side: zarr.open_array(session.store, path=path, mode="r")
            for side, session in sessions.items()
        }

    def region(self, chunk: Sequence[int]) -> Region:
        """Element range of a chunk, within the array."""
        return [
            (c * length, min((c + 1) * length, size))
            for c, length, size in zip(
                map(int, chunk), self.shape.chunks, self.shape.shape, strict=True
            )
        ]

    def values(self, side: str, chunk: Sequence[int]) -> NDArray[Any]:
        """The values of a chunk on one side."""
        return self._at(side, tuple(slice(*span) for span in self.region(chunk)))

    def _at(self, side: str, where: tuple[slice, ...]) -> NDArray[Any]:
        with reading(self.path):
            return np.asarray(self._arrays[side][where])

    def merged(
        self, chunk: Sequence[int], side: Literal["ours", "theirs"] = "ours"
    ) -> tuple[NDArray[Any], CellCounts]:
        """The merged values of a chunk, and how many cells each side changed."""
        return self.merged_at(tuple(slice(*span) for span in self.region(chunk)), side)

    def merged_at(
        self, where: tuple[slice, ...], side: Literal["ours", "theirs"] = "ours"
    ) -> tuple[NDArray[Any], CellCounts]:
        """The merged values of a region, and how many of its cells each side changed."""
        base, ours, theirs = (self._at(name, where) for name in ("base", "ours", "theirs"))
        return merge(base, ours, theirs, side)


def spread(
    path: str, grid: Sequence[int], runs: Sequence[int], side: Literal["ours", "theirs"]
) -> list[tuple[str, list[int], Literal["ours", "theirs"]]]:
    """Arguments of `merges`, from runs over the chunk grid.

    Parameters
    ----------
    path : str
        The array.
    grid : sequence of int
        Chunks along each axis.
    runs : sequence of int
        ``[start, length, ...]``, row-major.
    side : str
        Side of the cells that both changed.
    """
    pairs = np.asarray(runs, np.int64).reshape(-1, 2)
    flat = [np.arange(start, start + length) for start, length in pairs.tolist()]
    if not flat:
        return []
    if not grid:
        return [(path, [], side)]
    coords = np.stack(np.unravel_index(np.concatenate(flat), tuple(grid)), axis=1)
    return [(path, chunk, side) for chunk in coords.tolist()]


def merges(
    sessions: Mapping[str, Session],
    chunks: Sequence[tuple[str, Sequence[int], Literal["ours", "theirs"]]],
) -> list[Merged]:
    """Compute merged chunks, while the session still has its own values.

    Parameters
    ----------
    sessions : mapping of str to Session
        ``ours``, ``theirs`` and ``base``.
    chunks : sequence of (str, sequence of int, str)
        Array, chunk, and side of the cells that both changed.
    """
    arrays: dict[str, Chunks] = {}
    done = []
    for path, chunk, side in chunks:
        if path not in arrays:
            arrays[path] = Chunks(sessions, path)
        held = arrays[path]
        done.append(Merged(path, held.region(chunk), held.merged(chunk, side)[0]))
    return done


def write(session: Session, merged: Sequence[Merged]) -> None:
    """Write merged chunks into a rebased session.

    Parameters
    ----------
    session : Session
        After the rebase.
    merged : sequence of Merged
        From `merges`.
    """
    for one in merged:
        array = zarr.open_array(session.store, path=one.path, mode="r+")
        array[tuple(slice(start, stop) for start, stop in one.region)] = one.values
