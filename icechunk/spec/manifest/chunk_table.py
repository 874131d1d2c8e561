"""The chunk references of one array, as sorted numpy columns.

A million references are a dozen arrays, never a million objects: a row becomes a `Location`
only when it is read. Tables are immutable; every operation returns a new one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from icechunk.core.errors import ErrorKind, InternalError, InvalidInputError
from icechunk.core.ids import ObjectId
from icechunk.spec.columns.id_columns import distinct_rows
from icechunk.spec.columns.text_column import RefColumns, TextColumn
from icechunk.spec.manifest import extents as boxes
from icechunk.spec.manifest.coordinates import Coords, Keyspace, bounding_box, inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from icechunk.spec.manifest.extents import Extents

__all__ = ["INLINE", "NATIVE", "TOMBSTONE", "VIRTUAL", "ChunkTable", "Location", "TextColumn"]

TOMBSTONE = 0
"""Kind of a deleted chunk; only in edits, never in a stored table."""
NATIVE = 1
VIRTUAL = 2
INLINE = 3


class Location(NamedTuple):
    """Where the bytes of one chunk are.

    Attributes
    ----------
    kind : int
        `TOMBSTONE`, `NATIVE`, `VIRTUAL` or `INLINE`.
    id : ObjectId or None
        Chunk object of a native chunk.
    offset, length : int
        Byte range in the object (native, virtual) or payload length (inline).
    inline : memoryview or bytes or None
        Payload of an inline chunk.
    url : str or None
        Object holding a virtual chunk.
    etag : str or None
        ETag the virtual object had, verbatim.
    modified : int
        Seconds since 1970 the virtual object must not have changed after, 0 = unchecked.
    """

    kind: int
    id: ObjectId | None
    offset: int
    length: int
    inline: memoryview | bytes | None
    url: str | None
    etag: str | None
    modified: int


def _text_of(place: Location) -> bytes | None:
    """What the text column stores of a location."""
    if place.kind == INLINE and place.inline is not None:
        return bytes(place.inline)
    return place.url.encode("utf-8") if place.url else None


def _misfit(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> InternalError:
    return InternalError(
        f"column `{name}` of chunk references has shape {found}, expected {wanted}. "
        "This is a bug in the calling code, please report it"
    )


def _coordinates(coords: Any) -> Coords:
    """Coordinates as uint32; numpy would wrap what does not fit."""
    array = np.asarray(coords)
    if array.ndim != 2:
        raise _misfit("coords", array.shape, (len(array) if array.ndim else 0, 1))
    if array.dtype != np.uint32 and array.size and not (0 <= array.min() <= array.max() < 2**32):
        raise InvalidInputError(
            f"invalid chunk index: coordinates from {array.min()} to {array.max()} are not valid. "
            "Chunk coordinates lie between 0 and 4294967295: use larger chunks",
            kind=ErrorKind.INVALID_CHUNK_INDEX,
        )
    return array.astype(np.uint32, copy=False)


def _frozen(column: Any, dtype: Any, shape: tuple[int, ...], name: str) -> Any:
    """Read-only contiguous view of a column, checked for shape."""
    array = np.ascontiguousarray(column, dtype)
    if array.shape != shape:
        raise _misfit(name, array.shape, shape)
    view = array.view()
    view.flags.writeable = False
    return view


class ChunkTable:
    """Chunk references of one array, sorted lexicographically by coordinates.

    Build one with `from_columns`, `merge`, `concat` or `empty`. Rows are numbered from 0 in
    coordinate order; `find` turns coordinates into a row, `location` a row into a `Location`.

    Attributes
    ----------
    ndim : int
        Rank of the coordinates.
    columns : RefColumns
        The other columns, in row order.
    """

    __slots__ = ("_box", "_key", "_scalars", "_size", "_space", "columns", "ndim")

    def __init__(
        self, space: Keyspace, key: NDArray[Any] | None, columns: RefColumns, box: Extents | None
    ) -> None:
        """Assemble sorted parts; `key` None means that every cell of the box has a row."""
        self._space = space
        self._key = key
        self.columns = columns
        self.ndim = len(space.shape)
        self._box = box
        self._size = len(columns)
        self._scalars: _Scalars | None = None

    # construction

    @classmethod
    def from_columns(
        cls,
        coords: NDArray[Any],
        kind: NDArray[Any],
        id: NDArray[Any] | None,
        offset: NDArray[Any] | None,
        length: NDArray[Any],
        *,
        text: TextColumn | None = None,
        etag: TextColumn | None = None,
        modified: NDArray[Any] | None = None,
    ) -> ChunkTable:
        """Build a table from columns in any row order.

        Parameters
        ----------
        coords
            Integers below 2**32, shape ``(n, d)``. Of equal coordinates the last row wins.
        kind
            uint8, shape ``(n,)``: `TOMBSTONE`, `NATIVE`, `VIRTUAL`, `INLINE`.
        id
            uint8, shape ``(n, 12)``: chunk ids (any bytes on rows that are not native).
        offset, length
            uint64, shape ``(n,)``; no offset column means all zero.
        text
            Location (virtual) or payload (inline) of each row.
        etag
            ETag of virtual rows.
        modified
            uint32, shape ``(n,)``: seconds since 1970, 0 = unknown.

        Returns
        -------
        ChunkTable

        Raises
        ------
        InvalidInputError
            Kind ``invalid-chunk-index`` when a coordinate does not fit 32 bits.
        InternalError
            If the shapes do not fit together.
        """
        coords = _coordinates(coords)
        count = len(coords)
        for column, name in ((text, "text"), (etag, "etag")):
            if column is not None and len(column) != count:
                raise _misfit(name, (len(column),), (count,))
        columns = RefColumns(
            _frozen(kind, np.uint8, (count,), "kind"),
            _frozen(length, np.uint64, (count,), "length"),
            None if id is None else _frozen(id, np.uint8, (count, 12), "id"),
            None if offset is None else _frozen(offset, np.uint64, (count,), "offset"),
            text,
            etag,
            None if modified is None else _frozen(modified, np.uint32, (count,), "modified"),
        ).lean()
        return cls._sorted(coords, columns)

    @classmethod
    def _sorted(cls, coords: Coords, columns: RefColumns) -> ChunkTable:
        """Sort rows, drop all but the last of equal coordinates."""
        box = bounding_box(coords)
        space = Keyspace.of_box(box)
        key = space.keys(coords)
        if len(key) > 1 and not (key[1:] > key[:-1]).all():
            order = np.argsort(key, kind="stable")
            key = key[order]
            last = np.append(key[1:] != key[:-1], True)
            if not last.all():
                order, key = order[last], key[last]
            columns = columns.take(order)
        dense = not space.wide and len(key) == math.prod(space.shape)
        return cls(space, None if dense else key, columns, box)

    @classmethod
    def empty(cls, ndim: int) -> ChunkTable:
        """Table without references."""
        columns = RefColumns(np.zeros(0, np.uint8), np.zeros(0, np.uint64))
        return cls._sorted(np.zeros((0, ndim), np.uint32), columns)

    @classmethod
    def from_locations(
        cls, ndim: int, items: Iterable[tuple[Sequence[int], Location]]
    ) -> ChunkTable:
        """Build a small table from (coordinates, location) pairs; the last of equal ones wins."""
        rows = list(items)
        places = [place for _, place in rows]
        texts = [_text_of(place) for place in places]
        return cls.from_columns(
            np.array([tuple(coords) for coords, _ in rows], np.int64).reshape(len(rows), ndim),
            np.array([place.kind for place in places], np.uint8),
            np.frombuffer(b"".join([p.id or bytes(12) for p in places]), np.uint8).reshape(-1, 12),
            np.array([place.offset for place in places], np.uint64),
            np.array([place.length for place in places], np.uint64),
            text=TextColumn.from_bytes(texts),
            etag=TextColumn.from_strings(place.etag for place in places),
            modified=np.array([place.modified for place in places], np.uint32),
        )

    @classmethod
    def concat(cls, tables: Sequence[ChunkTable], ndim: int = 0) -> ChunkTable:
        """Table of all rows of tables that share no coordinates.

        Where they do share some, the row of the last table wins. `ndim` is the rank of the
        result when no table has rows.
        """
        filled = [table for table in tables if len(table)]
        if len(filled) < 2:
            return filled[0] if filled else cls.empty(ndim)
        coords = np.concatenate([table.coords() for table in filled])
        return cls._sorted(coords, RefColumns.concat([table.columns for table in filled]))

    @classmethod
    def merge(
        cls, base: ChunkTable, edits: ChunkTable, *, keep_tombstones: bool = False
    ) -> ChunkTable:
        """Apply edits to a table.

        Parameters
        ----------
        base
            The stored references.
        edits
            Rows that replace or add references; tombstones remove them.
        keep_tombstones
            Tombstones are stored like other rows: both tables are edits.

        Returns
        -------
        ChunkTable
            Without tombstones of `edits`, unless they are kept.
        """
        if not len(edits):
            return base
        dead = np.zeros(len(edits), np.bool_) if keep_tombstones else edits.kind == TOMBSTONE
        if not len(base):
            return edits.select(~dead) if dead.any() else edits
        coords = edits.coords()
        rows = base.find_many(coords)
        found = rows >= 0
        if found.all() and not dead.any():
            columns = base.columns.replaced(rows, edits.columns).lean()
            return cls(base._space, base._key, columns, base._box)
        keep = np.ones(len(base), np.bool_)
        keep[rows[found]] = False
        live = ~dead
        parts = [base.columns.take(keep), edits.columns.take(live)]
        joined = np.concatenate((base.coords()[keep], coords[live]))
        return cls._sorted(joined, RefColumns.concat(parts).lean())

    # columns

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"<ChunkTable {self._size} references, extents {self.extents()}>"

    @property
    def kind(self) -> NDArray[np.uint8]:
        """Kind of each row, uint8 of shape ``(n,)``."""
        return self.columns.kind

    @property
    def id(self) -> NDArray[np.uint8] | None:
        """Chunk ids, uint8 of shape ``(n, 12)``; None without native rows."""
        return self.columns.id

    @property
    def offset(self) -> NDArray[np.uint64] | None:
        """Byte offsets, uint64 of shape ``(n,)``; None when all are zero."""
        return self.columns.offset

    @property
    def length(self) -> NDArray[np.uint64]:
        """Byte lengths, uint64 of shape ``(n,)``."""
        return self.columns.length

    @property
    def text(self) -> TextColumn | None:
        """Locations of virtual rows and payloads of inline ones; None when there are none."""
        return self.columns.text

    @property
    def etag(self) -> TextColumn | None:
        """ETags of virtual rows; None when there are none."""
        return self.columns.etag

    @property
    def modified(self) -> NDArray[np.uint32] | None:
        """Seconds since 1970, uint32 of shape ``(n,)``; None when all are zero."""
        return self.columns.modified

    @property
    def nbytes(self) -> int:
        """Memory held by the columns and their text pool."""
        return self.columns.nbytes + (0 if self._key is None else self._key.nbytes)

    def _keys(self) -> NDArray[Any]:
        return np.arange(self._size, dtype=np.int64) if self._key is None else self._key

    def coords(self, rows: Any = None) -> Coords:
        """Coordinates of all or the given rows, uint32 of shape ``(n, d)``."""
        keys = self._keys()
        return self._space.coords(keys if rows is None else keys[rows])

    def extents(self) -> Extents:
        """Tight box around the coordinates, half-open (all axes empty without rows)."""
        if self._box is None:
            self._box = bounding_box(self.coords())
        return self._box

    # lookups

    def find(self, coords: Sequence[int]) -> int:
        """Row of the reference at the given Python-int coordinates, -1 when there is none."""
        key = self._space.key(coords)
        if key is None:
            return -1
        if self._key is None:
            return key  # type: ignore[return-value]
        # the key must stay a Python int (or bytes): an array or numpy scalar of another dtype
        # makes searchsorted convert the whole column
        row = int(self._key.searchsorted(key))
        return row if row < self._size and self._key[row] == key else -1

    def find_many(self, coords: Coords) -> NDArray[np.int64]:
        """Rows of many coordinates.

        Parameters
        ----------
        coords
            uint32, shape ``(m, d)``.

        Returns
        -------
        ndarray of int64, shape (m,)
            -1 where there is no reference.
        """
        rows = np.full(len(coords), -1, np.int64)
        if not self._size or coords.shape[1] != self.ndim:
            return rows
        mask = inside(coords, self._space.extents)
        whole = bool(mask.all())
        wanted = self._space.keys(coords if whole else coords[mask])
        if self._key is None:
            found = wanted
        else:
            found = np.searchsorted(self._key, wanted)
            found[found == self._size] = 0
            found[self._key[found] != wanted] = -1
        if whole:
            return found
        rows[mask] = found
        return rows

    def covers_same(self, other: ChunkTable) -> bool:
        """Whether another table is known to have the same coordinates, without computing them."""
        if self._size != other._size or self._space != other._space:
            return False
        if self._key is None or other._key is None:
            return self._key is other._key
        return np.array_equal(self._key, other._key)

    def contains(self, coords: Coords) -> NDArray[np.bool_]:
        """Which coordinates (uint32, shape ``(m, d)``) have a row, bool of shape ``(m,)``."""
        return self.find_many(coords) >= 0

    def location(self, row: int) -> Location:
        """Where the chunk of a row is; rows come from `find` and must not be negative."""
        scalars = self._scalars
        if scalars is None:
            scalars = self._scalars = _Scalars(self.columns)
        return scalars.location(row)

    # selections

    def select(self, rows: Any) -> ChunkTable:
        """Table of some rows.

        Parameters
        ----------
        rows
            Boolean mask, slice, or strictly increasing row numbers.
        """
        key = self._keys()[rows]
        return ChunkTable(self._space, key, self.columns.take(rows).lean(), None)

    def within(self, extents: Extents) -> ChunkTable:
        """Table of the rows inside a box of the same rank."""
        if boxes.covers(extents, self._space.extents):
            return self
        shared = boxes.intersection(extents, self._space.extents)
        if shared is None:
            return self.select(slice(0, 0))
        keys = self._keys()
        corners = np.array([[low for low, _ in shared], [high - 1 for _, high in shared]])
        low, last = np.searchsorted(keys, self._space.keys(corners.astype(np.uint32))).tolist()
        high = min(last + 1, self._size)
        mask = inside(self._space.coords(keys[low:high]), shared)
        if mask.all():
            return self.select(slice(low, high))
        return self.select(np.flatnonzero(mask) + low)

    def native_ids(self) -> NDArray[np.uint8]:
        """Distinct chunk ids of the native rows, uint8 of shape ``(m, 12)``, in byte order."""
        if self.id is None:
            return np.zeros((0, 12), np.uint8)
        native = self.kind == NATIVE
        return distinct_rows(self.id if native.all() else self.id[native])

    def __reduce__(self) -> tuple[Any, ...]:
        return ChunkTable, (self._space, self._key, self.columns, self._box)


class _Scalars:
    """The columns as memoryviews, whose items are Python ints without a numpy scalar between."""

    __slots__ = ("columns", "id", "kind", "length", "modified", "offset", "pool", "text")

    def __init__(self, columns: RefColumns) -> None:
        def view(array: NDArray[Any] | None) -> memoryview | None:
            return None if array is None else np.ascontiguousarray(array).data

        self.columns = columns
        self.kind = np.ascontiguousarray(columns.kind).data
        self.length = np.ascontiguousarray(columns.length).data
        self.offset = view(columns.offset)
        self.modified = view(columns.modified)
        ids = columns.id
        self.id = None if ids is None else np.ascontiguousarray(ids).reshape(-1).data
        text = columns.text
        self.text = None if text is None else (view(text.start), view(text.length))
        self.pool = None if text is None else memoryview(text.pool)

    def location(self, row: int) -> Location:
        """Gather one row."""
        kind: int = self.kind[row]
        length: int = self.length[row]
        offset: int = 0 if self.offset is None else self.offset[row]
        if kind == NATIVE:
            assert self.id is not None
            chunk = ObjectId(bytes(self.id[12 * row : 12 * row + 12]))
            return Location(kind, chunk, offset, length, None, None, None, 0)
        if kind == TOMBSTONE:
            return Location(kind, None, 0, 0, None, None, None, 0)
        span: memoryview = memoryview(b"")
        if self.text is not None and self.pool is not None:
            starts, lengths = self.text
            assert starts is not None
            assert lengths is not None
            start: int = starts[row]
            span = self.pool[start : start + lengths[row]]
        if kind == INLINE:
            return Location(kind, None, 0, len(span), span, None, None, 0)
        etag = self.columns.etag
        tag = None if etag is None or not etag.length[row] else etag.text_at(row)
        modified: int = 0 if self.modified is None else self.modified[row]
        url = str(span, "utf-8", "replace")
        return Location(kind, None, offset, length, None, url, tag, modified)
