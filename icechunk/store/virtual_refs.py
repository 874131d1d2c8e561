"""Virtual references: chunk keys that point to byte ranges of objects stored elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.config.fields import aware, bounded, expect
from icechunk.config.virtual import VirtualChunkSpec
from icechunk.core.errors import ErrorKind, InvalidInputError, SessionStateError
from icechunk.core.runtime import twin
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


class VirtualReferences:
    """The part of `IcechunkStore` that writes virtual references; nothing is fetched here."""

    _transaction: Transaction

    def _check_store_writable(self) -> None:
        raise NotImplementedError

    def set_virtual_ref(
        self,
        key: str,
        location: str,
        *,
        offset: int,
        length: int,
        checksum: str | datetime | None = None,
        validate_container: bool = True,
    ) -> None:
        """Let a chunk be a byte range of an object stored elsewhere.

        Parameters
        ----------
        key : str
            Zarr key of the chunk, e.g. ``temperature/c/0/1``.
        location : str
            URL of the object; characters with a meaning in URLs must be percent-encoded.
        offset, length : int
            The bytes of the object.
        checksum : str or datetime.datetime, optional
            ETag that the object must still have when it is read, or a time, with a time zone,
            after which it must not have changed. Times are kept in whole seconds, rounded down. A
            local file that was written in that very second is pinned by its ETag instead (inode,
            microseconds and size), so that every change is noticed that the clock of the file
            system (on Linux a few milliseconds) can tell. Web servers and most object stores tell
            whole seconds only: give an ETag where that is too coarse.
        validate_container : bool
            Refuse locations outside the virtual chunk containers of the configuration.

        Raises
        ------
        InvalidInputError
            Kinds ``invalid-virtual-ref``, ``no-container-for-virtual-chunk``,
            ``invalid-chunk-index``, ``zero-length-chunk``, ``invalid-key``, ``not-an-array``.
        NodeNotFoundError
            When there is no such array.
        SessionStateError
            Kind ``not-allowed`` for the key of a metadata document.
        """
        self._check_store_writable()
        expect("location", location, str)
        offset, length = bounded("offset", offset, 0, _U64), bounded("length", length, 0, _U64)
        path, coords = split(key)
        if coords is None:
            raise SessionStateError(
                f"this operation is not allowed: use .set to modify metadata for key {key}",
                ErrorKind.NOT_ALLOWED,
            )
        reader = self._transaction.writable_reader(path, coords)
        location = normalise(location)
        if validate_container:
            Containers(self._transaction.ctx.settings.containers).check(location)
        etag, modified = _checksum(checksum, location, self._named())
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
        self._record(reader, table)

    def set_virtual_refs(
        self,
        array_path: str,
        chunks: Sequence[VirtualChunkSpec],
        *,
        validate_containers: bool = True,
    ) -> Rejected | None:
        """Let many chunks of an array be byte ranges of objects stored elsewhere.

        Parameters
        ----------
        array_path : str
            The array, with or without a leading slash.
        chunks : sequence of VirtualChunkSpec
            Of two for the same chunk the last one counts.
        validate_containers : bool
            Do not write references outside the virtual chunk containers of the configuration.

        Returns
        -------
        list of tuple of int, or None
            Indices that were not written for want of a container; None when all were.

        Raises
        ------
        InvalidInputError, NodeNotFoundError
            As `set_virtual_ref`; nothing is written then.
        """
        self._check_store_writable()
        specs = list(chunks)
        for spec in specs:
            expect("chunks", spec, VirtualChunkSpec)
        reader = self._virtual_target(array_path)
        rows = [spec.__getstate__() for spec in specs]
        coords = _indices((row[0] for row in rows), reader)
        named = self._named()
        sums = [_checksum(row[4] if row[4] is not None else row[5], row[1], named) for row in rows]
        return self._set_columns(
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
        self,
        array_path: str,
        chunk_grid_shape: Sequence[int],
        locations: Sequence[str] | NDArray[Any],
        offsets: NDArray[np.uint64],
        lengths: NDArray[np.uint64],
        *,
        validate_containers: bool = True,
        arr_offset: Sequence[int] | None = None,
        checksum: str | datetime | None = None,
    ) -> Rejected | None:
        """Let a box of chunks be byte ranges of objects stored elsewhere, given as columns.

        Parameters
        ----------
        array_path : str
            The array, with or without a leading slash.
        chunk_grid_shape : sequence of int
            Chunks of the box along each axis; the columns follow it in C order.
        locations : list of str, or ndarray
            URLs; an empty one leaves its chunk as it is. Arrays of text (fixed or variable width),
            bytes or objects spare the way through Python strings.
        offsets, lengths : ndarray of uint64, shape (n,)
            The bytes of the objects.
        validate_containers : bool
            Do not write references outside the virtual chunk containers of the configuration.
        arr_offset : sequence of int, optional
            Chunk coordinates of the first corner of the box.
        checksum : str or datetime.datetime, optional
            For all of them, see `set_virtual_ref`.

        Returns
        -------
        list of tuple of int, or None
            Indices that were not written for want of a container; None when all were.

        Raises
        ------
        ValueError
            When the columns do not fit each other or the shape.
        TypeError
            When offsets or lengths are not one-dimensional arrays of uint64.
        InvalidInputError, NodeNotFoundError
            As `set_virtual_ref`; nothing is written then.
        """
        self._check_store_writable()
        if not isinstance(locations, np.ndarray):
            expect("locations", locations, list)
        shape, corner = _box(chunk_grid_shape, arr_offset)
        _check_columns(shape, locations, offsets, lengths)
        etag, modified = _checksum(checksum)
        reader = self._virtual_target(array_path)
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
            named = self._named()
            sums = [
                _checksum(checksum, distinct.text_at(row), named) for row in range(len(distinct))
            ]
            etags = TextColumn.from_strings(etag for etag, _ in sums).take(codes)
            times = np.array([modified for _, modified in sums], np.uint32)[codes]
        return self._set_columns(
            reader,
            coords,
            texts,
            offsets,
            lengths,
            etag=etags,
            modified=times,
            validate=validate_containers,
        )

    def _named(self) -> dict[str, str]:
        """URL prefixes of the named containers."""
        containers = self._transaction.ctx.settings.containers
        return {one.name: one.url_prefix for one in containers if one.name}

    def _virtual_target(self, array_path: str) -> ArrayReader:
        """Reader of an array that takes references now."""
        self._transaction.check_writable()
        expect("array_path", array_path, str)
        return self._transaction.array_reader("/" + array_path.removeprefix("/"))

    def _set_columns(
        self,
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
        """Check whole columns, then record those that have a container."""
        containers = Containers(self._transaction.ctx.settings.containers)
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
            self._record(reader, table)
        return None if good.all() else [tuple(row) for row in coords[~good].tolist()]

    def _record(self, reader: ArrayReader, table: ChunkTable) -> None:
        transaction = self._transaction
        with transaction.lock:
            transaction.check_writable()
            transaction.changes.edits(reader.node).extend(table)
            transaction.revision += 1

    set_virtual_ref_async = twin(set_virtual_ref)
    set_virtual_refs_async = twin(set_virtual_refs)
    set_virtual_refs_arr_async = twin(set_virtual_refs_arr)


def _checksum(
    checksum: object, location: str = "", named: Mapping[str, str] | None = None
) -> tuple[str | None, int]:
    """ETag and time (seconds since 1970, 0 = none) of a checksum argument.

    Files keep finer times than references. A local file that was written in the very second of the
    time given is pinned by its ETag, so that a change later in that second does not go unnoticed.
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
    # 0 would stand for no check at all
    return None, min(max(seconds, 1), _U32)


def _repeated(text: str | None, count: int) -> TextColumn | None:
    """Column of one text."""
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
    """Locations in their stored form, and which of them may be written."""
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
