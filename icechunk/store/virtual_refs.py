"""Write virtual chunk references: check their arguments and record them; nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.config.fields import aware, bounded, expect
from icechunk.config.virtual import VirtualChunkSpec
from icechunk.core.errors import ErrorKind, InvalidInputError, SessionStateError
from icechunk.engine.reader import ArrayReader
from icechunk.engine.transaction import Transaction
from icechunk.spec.columns.text_column import TextColumn
from icechunk.spec.columns.text_lists import text_column
from icechunk.spec.manifest.chunk_table import VIRTUAL, ChunkTable
from icechunk.spec.manifest.coordinates import Coords
from icechunk.spec.manifest.virtual_urls import Containers, normalise, resolved
from icechunk.store.keys import split
from icechunk.virtual_chunks.local import etag_within_second

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EPOCH = datetime.fromtimestamp(0, UTC)
_U32, _U64 = 2**32 - 1, 2**64 - 1

Rejected = list[tuple[int, ...]]


def set_virtual_ref(
    transaction: Transaction,
    key: str,
    location: str,
    offset: int,
    length: int,
    checksum: str | datetime | None,
    validate_container: bool,
) -> None:
    """Write one virtual reference; see `IcechunkStore.set_virtual_ref`."""
    expect("location", location, str)
    offset, length = bounded("offset", offset, 0, _U64), bounded("length", length, 0, _U64)
    path, coords = split(key)
    if coords is None:
        raise SessionStateError(
            f"this operation is not allowed: use .set to modify metadata for key {key}",
            ErrorKind.NOT_ALLOWED,
        )
    reader = transaction.writable_reader(path, coords)
    location = normalise(location)
    if validate_container:
        Containers(transaction.ctx.settings.containers).check(location)
    etag, modified = _checksum(checksum, location, transaction.ctx.container_prefixes)
    if length == 0:
        raise _zero_length(coords, path)
    table = ChunkTable.from_columns(
        np.array([coords], np.uint32).reshape(1, len(coords)),
        np.full(1, VIRTUAL, np.uint8),
        None,
        np.array([offset], np.uint64),
        np.array([length], np.uint64),
        text=TextColumn.from_strings([location]),
        etag=TextColumn.from_strings([etag]),
        modified=np.array([modified], np.uint32),
    )
    transaction.set_references(reader.node, table)


def set_virtual_refs(
    transaction: Transaction,
    array_path: str,
    chunks: Sequence[VirtualChunkSpec],
    validate_containers: bool,
) -> Rejected | None:
    """Write many virtual references; see `IcechunkStore.set_virtual_refs`."""
    specs = list(chunks)
    for spec in specs:
        expect("chunks", spec, VirtualChunkSpec)
    reader = _virtual_target(transaction, array_path)
    rows = [spec.__getstate__() for spec in specs]
    coords = _indices((row[0] for row in rows), reader)
    named = transaction.ctx.container_prefixes
    sums = [_checksum(row[4] if row[4] is not None else row[5], row[1], named) for row in rows]
    return _set_columns(
        transaction,
        reader,
        coords,
        _texts([row[1] for row in rows]),
        np.array([row[2] for row in rows], np.uint64),
        np.array([row[3] for row in rows], np.uint64),
        etag=TextColumn.from_strings(etag for etag, _ in sums),
        modified=np.array([modified for _, modified in sums], np.uint32),
        validate=validate_containers,
    )


def set_virtual_refs_arr(
    transaction: Transaction,
    array_path: str,
    chunk_grid_shape: Sequence[int],
    locations: Sequence[str] | NDArray[Any],
    offsets: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    validate_containers: bool,
    arr_offset: Sequence[int] | None,
    checksum: str | datetime | None,
) -> Rejected | None:
    """Write a box of virtual references; see `IcechunkStore.set_virtual_refs_arr`."""
    if not isinstance(locations, np.ndarray):
        expect("locations", locations, list)
    shape, corner = _box(chunk_grid_shape, arr_offset)
    _check_columns(shape, locations, offsets, lengths)
    etag, modified = _checksum(checksum)
    reader = _virtual_target(transaction, array_path)
    texts = _texts(locations)
    used = texts.length > 0
    if not used.all():
        rows = np.flatnonzero(used)
        texts, offsets, lengths = texts.take(rows), offsets[rows], lengths[rows]
    else:
        rows = np.arange(len(texts))
    coords = _check_grid(_unravel(rows, shape, corner), reader)
    etags = None if etag is None else _repeated(etag, len(rows))
    times = np.full(len(rows), modified, np.uint32) if modified else None
    if isinstance(checksum, datetime) and checksum.microsecond:
        codes, distinct = texts.distinct()
        named = transaction.ctx.container_prefixes
        sums = [_checksum(checksum, distinct.text_at(row), named) for row in range(len(distinct))]
        etags = TextColumn.from_strings(etag for etag, _ in sums).take(codes)
        times = np.array([modified for _, modified in sums], np.uint32)[codes]
    return _set_columns(
        transaction,
        reader,
        coords,
        texts,
        offsets,
        lengths,
        etag=etags,
        modified=times,
        validate=validate_containers,
    )


def _virtual_target(transaction: Transaction, array_path: str) -> ArrayReader:
    """Reader of an array that references can be written to now."""
    transaction.check_writable()
    expect("array_path", array_path, str)
    return transaction.array_reader("/" + array_path.removeprefix("/"))


def _set_columns(
    transaction: Transaction,
    reader: ArrayReader,
    coords: Coords,
    texts: TextColumn,
    offsets: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    *,
    etag: TextColumn | None,
    modified: NDArray[np.uint32] | None,
    validate: bool,
) -> Rejected | None:
    """Check whole columns, then record the rows that have a container."""
    containers = Containers(transaction.ctx.settings.containers)
    texts, good = _accepted(texts, containers, validate)
    bad = np.flatnonzero(lengths[good] == 0)
    if len(bad):
        raise _zero_length(coords[np.flatnonzero(good)[bad[0]]].tolist(), reader.node.path)
    pick: Any = slice(None) if good.all() else good
    table = ChunkTable.from_columns(
        coords[pick],
        np.full(int(good.sum()), VIRTUAL, np.uint8),
        None,
        offsets[pick],
        lengths[pick],
        text=texts.take(pick),
        etag=None if etag is None else etag.take(pick),
        modified=None if modified is None else modified[pick],
    )
    if len(table):
        transaction.set_references(reader.node, table)
    return None if good.all() else [tuple(row) for row in coords[~good].tolist()]


def _checksum(
    checksum: object, location: str = "", named: Mapping[str, str] | None = None
) -> tuple[str | None, int]:
    """ETag and time (seconds since 1970, 0 for none) of a checksum argument.

    References store whole seconds, files have finer times. For a local file written in the same
    second as the given time, the ETag is stored, so that a later change in that second is detected.
    """
    if checksum is None or isinstance(checksum, str):
        return checksum, 0
    if not isinstance(checksum, datetime):
        raise TypeError(
            f"'{type(checksum).__name__}' object is not an instance of 'str | datetime.datetime': "
            "a checksum is an ETag or a time"
        )
    time_us = (aware("checksum", checksum) - _EPOCH) // timedelta(microseconds=1)
    seconds = time_us // 1_000_000
    if checksum.microsecond and location:
        url = normalise(resolved(location, named or {}))
        etag = etag_within_second(url, time_us) if url.startswith("file:") else None
        if etag is not None:
            return etag, 0
    # 0 means "no time" in a manifest
    return None, min(max(seconds, 1), _U32)


def _repeated(text: str | None, count: int) -> TextColumn | None:
    """Column with the same text in every row."""
    return None if text is None else TextColumn.from_strings([text]).take(np.zeros(count, np.int64))


def _texts(locations: Sequence[str] | NDArray[Any]) -> TextColumn:
    try:
        return text_column(locations)
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"error parsing virtual ref URL: {error}. Percent-encode such characters",
            ErrorKind.INVALID_VIRTUAL_REF,
        ) from error


def _accepted(
    texts: TextColumn, containers: Containers, validate: bool
) -> tuple[TextColumn, NDArray[np.bool_]]:
    """Locations in the form that is stored, and whether a container covers each."""
    good = containers.known(texts)
    if good.all():
        return texts, good
    rows = np.flatnonzero(~good)
    codes, distinct = texts.take(rows).distinct()
    stored = [normalise(distinct.text_at(row)) for row in range(len(distinct))]
    fits = np.array([not validate or containers.hold(text) for text in stored], np.bool_)
    good[rows] = fits[codes]
    other = text_column(stored)
    start, length = texts.start.copy(), texts.length.copy()
    pool = bytes(texts.pool)
    start[rows], length[rows] = other.start[codes] + len(pool), other.length[codes]
    return TextColumn(pool + bytes(other.pool), start, length), good


def _box(
    shape: Sequence[int], offset: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and first corner of a box of chunks."""
    sides = tuple(bounded("chunk_grid_shape", side, 0, _U32) for side in shape)
    if offset is None:
        return sides, (0,) * len(sides)
    corner = tuple(bounded("arr_offset", position, 0, _U32) for position in offset)
    if len(corner) != len(sides):
        raise ValueError(
            f"arr_offset length ({len(corner)}) != chunk_grid_shape length ({len(sides)})"
        )
    return sides, corner


def _check_columns(shape: tuple[int, ...], locations: Any, offsets: Any, lengths: Any) -> None:
    """Refuse columns of the wrong type or length."""
    for name, column in (("offsets", offsets), ("lengths", lengths)):
        expect(name, column, np.ndarray)
        if column.dtype != np.uint64 or column.ndim != 1:
            raise TypeError(
                f"`{name}` must be a one-dimensional array of uint64, not one of shape "
                f"{column.shape} and dtype {column.dtype}; convert it with "
                f"`{name}.ravel().astype('uint64')`"
            )
    if not len(locations) == len(offsets) == len(lengths):
        raise ValueError(
            "locations, offsets, and lengths must have the same length, got "
            f"{len(locations)}, {len(offsets)} and {len(lengths)}"
        )
    if math.prod(shape) != len(offsets):
        raise ValueError(
            f"product of chunk_grid_shape ({math.prod(shape)}) != array length ({len(offsets)})"
        )


def _unravel(
    rows: NDArray[np.int64], shape: tuple[int, ...], corner: tuple[int, ...]
) -> NDArray[np.int64]:
    """Coordinates of the cells of a box, numbered in C order."""
    coords = np.empty((len(rows), len(shape)), np.int64)
    if shape:
        for axis, column in enumerate(np.unravel_index(rows, shape)):
            coords[:, axis] = column + corner[axis]
    return coords


def _indices(rows: Iterable[Sequence[int]], reader: ArrayReader) -> Coords:
    """Coordinates given one by one."""
    assert reader.node.array is not None
    rank = len(reader.node.array.shape)
    listed = list(rows)
    for row in listed:
        if len(row) != rank:
            raise _off_grid(row, reader)
    return _check_grid(np.array(listed, np.int64).reshape(len(listed), rank), reader)


def _check_grid(coords: NDArray[np.int64], reader: ArrayReader) -> Coords:
    """Refuse coordinates that the array does not have."""
    assert reader.node.array is not None
    grid = np.array([max(count, 1) for count in reader.node.array.num_chunks], np.int64)
    if coords.shape[1] != len(grid):
        raise _off_grid([0] * coords.shape[1], reader)
    if len(coords) and (coords.max(axis=0) >= grid).any():
        raise _off_grid(coords[np.argmax((coords >= grid).any(axis=1))].tolist(), reader)
    return coords.astype(np.uint32)


def _off_grid(coords: Sequence[int], reader: ArrayReader) -> InvalidInputError:
    assert reader.node.array is not None
    return InvalidInputError(
        f"invalid chunk index: coordinates ChunkIndices({list(coords)}) are not valid for array at "
        f"{reader.node.path}, whose chunk grid is {list(reader.node.array.num_chunks)}",
        ErrorKind.INVALID_CHUNK_INDEX,
    )


def _zero_length(coords: Sequence[int], path: str) -> InvalidInputError:
    return InvalidInputError(
        "zero-length chunk: the payload for coordinates "
        f"ChunkIndices({list(coords)}) of the array at {path} has length 0, such a chunk can only "
        "fail when it is read. Leave the chunk out",
        ErrorKind.ZERO_LENGTH_CHUNK,
    )
