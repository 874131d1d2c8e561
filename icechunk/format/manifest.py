"""Chunk manifests: bytes to `ChunkTable` columns and back (Icechunk spec, "Manifests")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.format import envelope
from icechunk.format.dialect import V2, Dialect
from icechunk.format.flat_bulk import Blobs, Block, Records, table_vector
from icechunk.format.flat_columns import TableColumn
from icechunk.format.flat_read import Body, Table
from icechunk.format.flat_write import Builder, Field, ref, struct, u8
from icechunk.format.locations import decompress_locations
from icechunk.ground.errors import InternalError
from icechunk.ground.ids import NodeId, ObjectId
from icechunk.model.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location
from icechunk.model.columns import TextColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# slots of Manifest, ArrayManifest and ChunkRef
_ID, _ARRAYS, _DICTIONARY, _ALGORITHM = 0, 1, 2, 3
_NODE, _REFS = 0, 1
_INDEX, _INLINE, _OFFSET, _LENGTH, _CHUNK, _LOCATION, _ETAG, _MODIFIED, _COMPRESSED = range(9)


# Distinct references cannot share their distance, table of two fields and index count: a cheap
# bound on what gets allocated.
_SMALLEST_REF = 20
# below this many references decoding the table costs less than thinking about it
_COLD_REFS = 50_000
_COLD_LOOKUPS = 8


class Manifest:
    """A decoded manifest.

    Attributes
    ----------
    id : ObjectId
    arrays : mapping of NodeId to ChunkTable
        References by array; a table is decoded when it is first asked for.
    """

    __slots__ = ("arrays", "id")

    def __init__(self, id: ObjectId, arrays: Mapping[NodeId, ChunkTable]) -> None:
        self.id = id
        self.arrays = arrays

    def locate(self, node: NodeId, coords: Sequence[int]) -> Location | None:
        """Where one chunk is, None where the array has no reference for it.

        The first few lookups in a large array that was not decoded yet search the file itself:
        one point read of a huge manifest stays cheap. After that the table answers.

        Raises
        ------
        KeyError
            If the manifest does not hold the array.
        FormatError
            If the references are damaged.
        """
        if isinstance(self.arrays, _LazyArrays):
            place = self.arrays.locate_cold(node, coords)
            if place is not None:
                return place
        table = self.arrays[node]
        row = table.find(coords)
        return table.location(row) if row >= 0 else None

    @property
    def num_chunk_refs(self) -> int:
        """References over all arrays, counted without decoding them."""
        if isinstance(self.arrays, _LazyArrays):
            return self.arrays.total
        return sum(len(table) for table in self.arrays.values())

    @property
    def nbytes(self) -> int:
        """Memory held, for cache accounting: it grows as arrays are decoded."""
        if isinstance(self.arrays, _LazyArrays):
            return self.arrays.nbytes
        return sum(table.nbytes for table in self.arrays.values())


class _LazyArrays(Mapping[NodeId, ChunkTable]):
    """Tables decoded on first access; the payload is let go when all of them are."""

    def __init__(self, root: Table) -> None:
        self._body: Body | None = root.body
        self._body_size = root.body.size
        self._algorithm = root.u8(_ALGORITHM, 1)
        self._dictionary = root.opt_bytes_vector(_DICTIONARY)
        self._pending: dict[NodeId, Table] = {}
        self._tables: dict[NodeId, ChunkTable | None] = {}
        self._cold_tries: dict[NodeId, int] = {}
        self.total = 0
        for table in root.vector_of_tables(_ARRAYS):
            node = NodeId(table.struct(_NODE, 8))
            span = table.vector(_REFS, 4)
            if span is None:
                table.fail(f"array {node.hex()} of the manifest has no references field")
            if node in self._tables:
                table.fail(f"array {node.hex()} is in the manifest twice")
            self.total += span[1]
            self._pending[node] = table
            self._tables[node] = None
        if self.total * _SMALLEST_REF > root.body.size:
            root.fail("the references of its arrays overlap each other")

    def __getitem__(self, node: NodeId) -> ChunkTable:
        table = self._tables[node]
        if table is None:
            # two threads may decode the same array: both results are right, one is kept
            source = self._pending.get(node)
            if source is None:
                return self[node]
            table = _decode_refs(source, self._algorithm, self._dictionary)
            self._tables[node] = table
            self._pending.pop(node, None)
            if not self._pending:
                self._body = None
        return table

    def locate_cold(self, node: NodeId, coords: Sequence[int]) -> Location | None:
        """Binary search in the payload; None when absent, or when the table should answer."""
        source = self._pending.get(node)
        if source is None:
            return None
        tries = self._cold_tries.get(node, 0)
        span = source.vector(_REFS, 4)
        if tries >= _COLD_LOOKUPS or span is None or span[1] < _COLD_REFS:
            return None
        self._cold_tries[node] = tries + 1
        found = _search(source.body, span, tuple(coords))
        return None if found is None else _scalar(found, self._algorithm, self._dictionary)

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, node: object) -> bool:
        return node in self._tables

    @property
    def nbytes(self) -> int:
        """Payload, while it is needed, and decoded tables; a shared pool counts once."""
        tables = [table for table in self._tables.values() if table is not None]
        pools: dict[int, int] = {}
        total = 0
        for table in tables:
            total += table.nbytes
            for column in (table.text, table.etag):
                if column is not None:
                    size = memoryview(column.pool).nbytes
                    total -= size if id(column.pool) in pools else 0
                    pools[id(column.pool)] = size
        return total + (self._body_size if self._body is not None else 0)


def decode_manifest(data: bytes | memoryview, *, name: str, limit: int | None = None) -> Manifest:
    """Decode a manifest file of any spec version.

    Parameters
    ----------
    data
        The whole object.
    name
        Object name for error messages.
    limit
        Largest decompressed size accepted, in bytes; `max_metadata_bytes` by default.

    Returns
    -------
    Manifest

    Raises
    ------
    FormatError
        If the file is not a manifest or is damaged. References themselves are checked when
        their array is first accessed.
    """
    opened = envelope.unpack(data, envelope.FileType.MANIFEST, name=name, limit=limit)
    root = Body(opened.body, name).root()
    return Manifest(ObjectId(root.struct(_ID, 12)), _LazyArrays(root))


def _search(body: Body, span: tuple[int, int], coords: tuple[int, ...]) -> Table | None:
    """Reference with these coordinates in a sorted vector; one in disorder may be missed."""
    start, count = span
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        at = start + 4 * middle
        item = Table(body, at + body.u32_at(at))
        index = item.vector(_INDEX, 4)
        if index is None:
            item.fail(f"missing required field {_INDEX} of the table at {item.pos}")
        found = unpack_from(f"<{index[1]}I", body.data, index[0])
        if found == coords:
            return item
        if found < coords:
            low = middle + 1
        else:
            high = middle
    return None


def _scalar(item: Table, algorithm: int, dictionary: bytes | None) -> Location:
    """Location of one reference."""
    chunk = item.opt_struct(_CHUNK, 12)
    offset, length = item.u64(_OFFSET), item.u64(_LENGTH)
    if chunk is not None:
        return Location(NATIVE, ObjectId(chunk), offset, length, None, None, None, 0)
    frame = item.opt_bytes_vector(_COMPRESSED)
    if frame is not None:
        frames = TextColumn.from_bytes([frame])
        url: str | None = decompress_locations(item.body, frames, algorithm, dictionary).text_at(0)
    else:
        url = item.opt_string(_LOCATION)
    if url is not None:
        etag = item.opt_string(_ETAG) or None
        return Location(VIRTUAL, None, offset, length, None, url, etag, item.u32(_MODIFIED))
    payload = item.opt_bytes_vector(_INLINE)
    if payload is None:
        item.fail("a chunk reference is neither native, virtual nor inline")
    return Location(INLINE, None, 0, len(payload), payload, None, None, 0)


def _decode_refs(array: Table, algorithm: int, dictionary: bytes | None) -> ChunkTable:
    """Columns of one array's references, in whatever order they were stored."""
    body = array.body
    refs = TableColumn.of_vector(array, _REFS)
    if not len(refs):
        return ChunkTable.empty(0)
    refs.require(_INDEX)
    coords = _coords(refs)
    kind = _kinds(refs)
    native, virtual, inline = ((kind == k) for k in (NATIVE, VIRTUAL, INLINE))
    length = refs.u64(_LENGTH)
    text: TextColumn | None = None
    if not native.all():
        text, payload = _texts(refs, kind, algorithm, dictionary)
        if inline.any():
            length = np.where(inline, payload, length)
    etag = None
    if virtual.any() and refs.has(_ETAG).any():
        start, count = refs.vectors(_ETAG, 1)
        etag = TextColumn(body.data, start, count.astype(np.uint32)).compact()
    table = ChunkTable.from_columns(
        coords,
        kind,
        refs.structs(_CHUNK, 12) if native.any() else None,
        refs.u64(_OFFSET) if refs.has(_OFFSET).any() else None,
        length,
        text=text,
        etag=etag,
        modified=refs.u32(_MODIFIED) if virtual.any() and refs.has(_MODIFIED).any() else None,
    )
    if len(table) != len(refs):
        body.fail("two references of an array are for the same chunk")
    return table


def _coords(refs: TableColumn) -> NDArray[np.uint32]:
    """Coordinates of all references, uint32 of shape ``(n, d)``."""
    count, coords = refs.u32_rows(_INDEX)
    ndim = int(count[0])
    if (count != ndim).any():
        refs.body.fail("the references of an array have indices of different ranks")
    return coords


def _kinds(refs: TableColumn) -> NDArray[np.uint8]:
    """Kind of each reference, by the precedence of the format."""
    kind = np.zeros(len(refs), np.uint8)
    kind[refs.has(_INLINE)] = INLINE
    kind[refs.has(_LOCATION) | refs.has(_COMPRESSED)] = VIRTUAL
    kind[refs.has(_CHUNK)] = NATIVE
    if not kind.all():
        refs.body.fail("a chunk reference is neither native, virtual nor inline")
    return kind


def _texts(
    refs: TableColumn, kind: NDArray[np.uint8], algorithm: int, dictionary: bytes | None
) -> tuple[TextColumn, NDArray[np.uint64]]:
    """Locations and payloads, and the length of each."""
    body = refs.body
    start = np.zeros(len(refs), np.int64)
    count = np.zeros(len(refs), np.int64)
    squeezed = refs.has(_COMPRESSED) & (kind == VIRTUAL)
    for slot, rows in (
        (_LOCATION, (kind == VIRTUAL) & ~squeezed),
        (_INLINE, kind == INLINE),
        (_COMPRESSED, squeezed),
    ):
        if rows.any():
            slot_start, slot_count = refs.vectors(slot, 1)
            start[rows], count[rows] = slot_start[rows], slot_count[rows]
    text = TextColumn(body.data, start, count.astype(np.uint32))
    if squeezed.all():
        text = decompress_locations(body, text, algorithm, dictionary)
    elif squeezed.any():
        rows = np.flatnonzero(squeezed)
        plain = decompress_locations(body, text.take(rows), algorithm, dictionary)
        pool = body.data + bytes(plain.pool)
        start[rows], count[rows] = plain.start + body.size, plain.length
        text = TextColumn(pool, start, count.astype(np.uint32))
    else:
        text = text.compact()
    return text, text.length.astype(np.uint64)


def encode_manifest(
    id: ObjectId,
    arrays: Mapping[NodeId, ChunkTable],
    *,
    dialect: Dialect = V2,
    level: int = 3,
) -> bytes:
    """Encode a manifest file.

    Parameters
    ----------
    id
        Id of the manifest.
    arrays
        References by array, without tombstones.
    dialect
        Spec version to write.
    level
        zstd compression level.

    Returns
    -------
    bytes
        The object as stored. Equal input gives equal bytes.

    Raises
    ------
    FormatError
        Kind ``serialization`` when the manifest would exceed 2 GiB.
    """
    builder = Builder()
    tables: list[int] = []
    for node, table in sorted(arrays.items(), reverse=True):
        block = _encode_refs(table)
        refs = builder.block(block.raw, block.entry, 8)
        tables.append(builder.table({_NODE: struct(node), _REFS: ref(refs)}))
    fields: dict[int, Field] = {
        _ID: struct(id),
        _ARRAYS: ref(builder.offset_vector(tables[::-1])),
    }
    if dialect.location_compression:
        fields[_ALGORITHM] = u8(0)
    body = builder.finish_parts(builder.table(fields))
    return envelope.pack(
        envelope.FileType.MANIFEST, dialect.spec_version, body, level, records=True
    )


def _encode_refs(table: ChunkTable) -> Block:
    """Vector of the references of one array."""
    if len(table) and not (int(table.kind.min()) >= NATIVE and int(table.kind.max()) <= INLINE):
        raise InternalError(
            "deleted chunks have no place in a manifest. "
            "This is a bug in icechunk, please report it"
        )
    groups: list[Records] = []
    for kind, writer in ((NATIVE, _native), (VIRTUAL, _virtual), (INLINE, _inline)):
        mask = table.kind == kind
        if not mask.any():
            continue
        if kind == VIRTUAL and table.etag is not None:
            tagged = table.etag.length > 0
            groups += [writer(table, rows) for rows in (mask & tagged, mask & ~tagged)]
        else:
            groups.append(writer(table, mask))
    return table_vector(groups)


def _pick(mask: NDArray[np.bool_]) -> tuple[Any, NDArray[np.int64] | None]:
    """(selection, rows in the vector) of a mask; nothing is copied when it takes all."""
    if mask.all():
        return slice(None), None
    rows = np.flatnonzero(mask)
    return rows, rows


def _native(table: ChunkTable, mask: NDArray[np.bool_]) -> Records:
    """References to chunk objects; the offset field only where some offset is not zero."""
    pick, rows = _pick(mask)
    coords = table.coords(pick)
    count, ndim = coords.shape
    assert table.id is not None
    ids = np.ascontiguousarray(table.id[pick]).view("V12").reshape(count)
    offset = None if table.offset is None else table.offset[pick]
    if offset is not None and not offset.any():
        offset = None
    at = 28 if offset is None else 36
    scalars: list[tuple[int, str, Any]] = [
        (4, "<u4", at - 4),
        (8, "<u8", table.length[pick]),
        (at - 12, "V12", ids),
        (at, "<u4", ndim),
    ]
    if offset is not None:
        scalars.append((16, "<u8", offset))
    return Records(
        count=count,
        stride=-(-(at + 4 + 4 * ndim) // 8) * 8,
        vtable=(14, at, 4, 0, 0 if offset is None else 16, 8, at - 12),
        scalars=scalars,
        matrix=(at + 4, coords),
        rows=rows,
    )


def _virtual(table: ChunkTable, mask: NDArray[np.bool_]) -> Records:
    """References into foreign objects: one string per distinct URL."""
    pick, rows = _pick(mask)
    coords = table.coords(pick)
    count, ndim = coords.shape
    text = TextColumn.blank(count) if table.text is None else table.text.take(pick)
    blobs = [(24, Blobs(*text.distinct(), nul=True))]
    etag = None if table.etag is None else table.etag.take(pick)
    tagged = etag is not None and bool(etag.length.any())
    if tagged and etag is not None:
        blobs.append((32, Blobs(*etag.distinct(), nul=True)))
    at = 36 if tagged else 32
    dated = table.modified is not None
    return Records(
        count=count,
        stride=-(-(at + 4 + 4 * ndim) // 8) * 8,
        vtable=(20, at, 4, 0, 8, 16, 0, 24, 32 if tagged else 0, 28 if dated else 0),
        scalars=[
            (4, "<u4", at - 4),
            (8, "<u8", 0 if table.offset is None else table.offset[pick]),
            (16, "<u8", table.length[pick]),
            (28, "<u4", 0 if table.modified is None else table.modified[pick]),
            (at, "<u4", ndim),
        ],
        matrix=(at + 4, coords),
        blobs=blobs,
        rows=rows,
    )


def _inline(table: ChunkTable, mask: NDArray[np.bool_]) -> Records:
    """Chunks whose bytes are in the manifest."""
    pick, rows = _pick(mask)
    coords = table.coords(pick)
    count, ndim = coords.shape
    text = TextColumn.blank(count) if table.text is None else table.text.take(pick)
    return Records(
        count=count,
        stride=16 + 4 * ndim,
        vtable=(8, 12, 4, 8),
        scalars=[(4, "<u4", 8), (12, "<u4", ndim)],
        matrix=(16, coords),
        blobs=[(8, Blobs(*text.distinct(content=False), nul=False))],
        rows=rows,
    )
