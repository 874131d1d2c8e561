"""Move chunks of an array to other coordinates of its grid, without copying data."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from icechunk.core.errors import ErrorKind, IcechunkError, InvalidInputError
from icechunk.core.paths import check_path
from icechunk.engine.reader import ArrayReader
from icechunk.engine.transaction import Transaction
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import Coords
from icechunk.spec.manifest.references import deletions

_FARTHEST = 2**32

Mapped = Callable[[list[int]], Sequence[int] | None]
"""From chunk coordinates to other ones, or to None for none."""


def shift(transaction: Transaction, path: str, offset: Sequence[int]) -> None:
    """Move every chunk by a number of chunks per axis.

    Chunks that leave the grid are dropped; places that no chunk moves to become empty.

    Parameters
    ----------
    transaction : Transaction
        Writable.
    path : str
        Absolute path of an array with a regular chunk grid.
    offset : sequence of int
        One entry per axis (64-bit); further entries are ignored.

    Raises
    ------
    InvalidInputError
        Kind ``not-an-array``; kind ``invalid-chunk-index`` when `offset` is too short.
    NodeNotFoundError
        When there is no such node.
    IcechunkError
        When the array's grid is not regular.
    """
    reader = _regular(transaction, path)
    rank = len(_grid(reader))
    steps = _offsets(offset)
    if len(steps) < rank:
        raise InvalidInputError(
            f"invalid chunk index: an offset of {len(steps)} entries does not fit the array at "
            f"{path}, which has {rank} dimensions; give one entry per dimension",
            ErrorKind.INVALID_CHUNK_INDEX,
        )
    table = reader.table()
    # A step of more than the largest grid moves everything out, without overflow.
    near = np.clip(np.array(steps[:rank], object), -_FARTHEST, _FARTHEST).astype(np.int64)
    moved = table.coords().astype(np.int64) + near
    inside = ((moved >= 0) & (moved < np.array(_grid(reader), np.int64))).all(axis=1)
    placed = _relocated(table.select(inside), moved[inside])
    record_of(transaction, reader, placed, table.coords())


def reindex(
    transaction: Transaction, path: str, forward: Mapped, backward: Mapped | None = None
) -> None:
    """Move chunks through a function of their coordinates.

    Parameters
    ----------
    transaction : Transaction
        Writable.
    path : str
        Absolute path of an array with a regular chunk grid.
    forward : callable
        From the coordinates of an existing chunk to its new ones, None to leave it.
    backward : callable, optional
        The inverse: a chunk whose place nothing moved to is cleared when this gives None or a
        place without a chunk. Without it vacated places keep their chunk.

    Raises
    ------
    InvalidInputError
        Kind ``not-an-array``; kind ``invalid-chunk-index`` when a result is not on the grid.
    NodeNotFoundError
        When there is no such node.
    IcechunkError
        When a function raises, or the array's grid is not regular.
    """
    for name, call in (("forward", forward), ("backward", backward)):
        if not callable(call) and (call is not None or name == "forward"):
            raise TypeError(
                f"'{type(call).__name__}' object is not an instance of 'function'; `{name}` takes "
                "a function from chunk coordinates to chunk coordinates"
            )
    reader = _regular(transaction, path)
    grid = _grid(reader)
    table = reader.table()
    coords = table.coords()
    rows: list[int] = []
    targets: list[list[int]] = []
    for row, one in enumerate(coords.tolist()):
        target = _call(forward, one)
        if target is not None:
            _check_on_grid(target, grid, path)
            rows.append(row)
            targets.append(target)
    moved = np.array(targets, np.int64).reshape(len(targets), len(grid))
    placed = _relocated(table.select(np.array(rows, np.int64)), moved)
    vacated = coords[:0]
    if backward is not None:
        left = coords[~placed.contains(coords)]
        origins = (_call(backward, one) for one in left.tolist())
        gone = [origin is None or table.find(origin) < 0 for origin in origins]
        vacated = left[np.array(gone, np.bool_)]
    record_of(transaction, reader, placed, vacated)


def _regular(transaction: Transaction, path: str) -> ArrayReader:
    """Reader of an array whose chunks all have the same shape."""
    check_path(path)
    transaction.check_writable()
    reader = transaction.array_reader(path)
    declared = reader.node.document.get("chunk_grid")
    grid = declared.get("name") if isinstance(declared, dict) else declared
    if grid != "regular":
        raise IcechunkError(
            f"cannot shift or reindex chunks of the array at `{path}`: `shift_array` and "
            "`reindex_array` require an array whose metadata declares a `regular` chunk grid, "
            f"found `{grid}`. Chunks of different sizes do not fit each other's places"
        )
    return reader


def _grid(reader: ArrayReader) -> tuple[int, ...]:
    """Chunks along each axis, at least one."""
    assert reader.node.array is not None
    return tuple(max(count, 1) for count in reader.node.array.num_chunks)


def _offsets(offset: Iterable[int]) -> list[int]:
    steps = [operator.index(step) for step in offset]
    for step in steps:
        if not -(2**63) <= step < 2**63:
            raise OverflowError(
                f"Python int too large to convert to C long: {step} is not a chunk offset"
            )
    return steps


def _call(function: Mapped, coords: list[int]) -> list[int] | None:
    """Call a user's function; its errors and invalid results become errors of this library."""
    try:
        answer = function(list(coords))
        if isinstance(answer, str | bytes):
            raise TypeError(f"Can't extract `{type(answer).__name__}` to chunk coordinates")
        return None if answer is None else [operator.index(position) for position in answer]
    except Exception as error:
        raise IcechunkError(
            f"unknown error: {type(error).__name__}: {error} (from the function given, for chunk "
            f"{coords}); nothing was changed"
        ) from error


def _check_on_grid(target: list[int], grid: tuple[int, ...], path: str) -> None:
    fits = len(target) == len(grid) and all(
        0 <= position < bound for position, bound in zip(target, grid, strict=True)
    )
    if not fits:
        raise InvalidInputError(
            f"invalid chunk index: coordinates ChunkIndices({target}) are not valid for array at "
            f"{path}, whose chunk grid is {list(grid)}",
            ErrorKind.INVALID_CHUNK_INDEX,
        )


def _relocated(table: ChunkTable, coords: NDArray[np.int64]) -> ChunkTable:
    """References at other coordinates; of several at one place the last one stays."""
    return ChunkTable.from_columns(
        coords,
        table.kind,
        table.id,
        table.offset,
        table.length,
        text=table.text,
        etag=table.etag,
        modified=table.modified,
    )


def record_of(
    transaction: Transaction, reader: ArrayReader, placed: ChunkTable, vacated: Coords
) -> None:
    """Record the new places, and deletions of vacated ones that nothing moved to."""
    dead = deletions(vacated)
    transaction.set_references(reader.node, ChunkTable.merge(dead, placed, keep_tombstones=True))
