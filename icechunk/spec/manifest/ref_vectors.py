"""The references of one array in a manifest file: one of them, or all as columns."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.ids import ObjectId
from icechunk.spec.columns.id_columns import distinct_rows
from icechunk.spec.columns.text_column import TextColumn
from icechunk.spec.flatbuffers.columns import TableColumn
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location
from icechunk.spec.manifest.locations import decompress_locations

if TYPE_CHECKING:
    from numpy.typing import NDArray

# slots of Manifest, ArrayManifest and ChunkRef
ID, ARRAYS, DICTIONARY, ALGORITHM = 0, 1, 2, 3
NODE, REFS = 0, 1
INDEX, INLINE_DATA, OFFSET, LENGTH, CHUNK, LOCATION, ETAG, MODIFIED, COMPRESSED = range(9)

_FIELDS = {OFFSET: "<u8", LENGTH: "<u8", CHUNK: "V12", MODIFIED: "<u4"} | dict.fromkeys(
    (INLINE_DATA, LOCATION, ETAG, COMPRESSED), "<u4"
)


_FEW = 16  # references that are read one by one: numpy takes longer to begin


def search(body: Body, span: tuple[int, int], coords: tuple[int, ...]) -> int | None:
    """Element of a sorted vector that refers to the given coordinates.

    Parameters
    ----------
    body
        The payload.
    span
        Position of the first element and count, see `Table.vector`.
    coords
        Chunk coordinates.

    Returns
    -------
    int or None
        Position of the element, which holds the distance to the reference. In a vector in disorder,
        or of references of another rank, some may be missed.
    """
    start, count = span
    layout = Struct(f"<{len(coords)}I")
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        at = start + 4 * middle
        item = Table(body, at + body.u32_at(at))
        index = item.vector(INDEX, 4)
        if index is None:
            item.fail(f"missing required field {INDEX} of the table at {item.pos}")
        if index[1] != len(coords):
            return None
        found = layout.unpack_from(body.data, index[0])
        if found == coords:
            return at
        if found < coords:
            low = middle + 1
        else:
            high = middle
    return None


def scalar(item: Table, algorithm: int, dictionary: bytes | None) -> Location:
    """Location of one reference."""
    chunk = item.opt_struct(CHUNK, 12)
    offset, length = item.u64(OFFSET), item.u64(LENGTH)
    if chunk is not None:
        return Location(NATIVE, ObjectId(chunk), offset, length, None, None, None, 0)
    frame = item.opt_bytes_vector(COMPRESSED)
    if frame is not None:
        frames = TextColumn.from_bytes([frame])
        url: str | None = decompress_locations(item.body, frames, algorithm, dictionary).text_at(0)
    else:
        url = item.opt_string(LOCATION)
    if url is not None:
        etag = item.opt_string(ETAG) or None
        return Location(VIRTUAL, None, offset, length, None, url, etag, item.u32(MODIFIED))
    payload = item.opt_bytes_vector(INLINE_DATA)
    if payload is None:
        item.fail("a chunk reference is neither native, virtual nor inline")
    return Location(INLINE, None, 0, len(payload), payload, None, None, 0)


def native_ids(array: Table) -> NDArray[np.uint8]:
    """Distinct ids of the objects that one array's native chunks are in; nothing else is decoded.

    Returns
    -------
    uint8 array, shape (m, 12)
        In byte order.
    """
    span = array.vector(REFS, 4)
    if span is not None and span[1] <= _FEW:
        found = {ref.opt_struct(CHUNK, 12) for ref in array.vector_of_tables(REFS)}
        ids = np.frombuffer(b"".join(sorted(id for id in found if id is not None)), np.uint8)
        return ids.reshape(-1, 12)
    refs = TableColumn.of_vector(array, REFS)
    there = refs.has(CHUNK)  # decides that a chunk is native, whatever else is stored of it
    ids = refs.structs(CHUNK, 12)
    return distinct_rows(ids if there.all() else ids[there])


def decode_refs(array: Table, algorithm: int, dictionary: bytes | None) -> ChunkTable:
    """Columns of one array's references, in whatever order they were stored."""
    body = array.body
    refs = TableColumn.of_vector(array, REFS)
    if not len(refs):
        return ChunkTable.empty(0)
    refs.require(INDEX)
    refs.prefetch(_FIELDS, INDEX)
    coords = _coords(refs)
    kind = _kinds(refs)
    native, virtual, inline = ((kind == k) for k in (NATIVE, VIRTUAL, INLINE))
    length = refs.u64(LENGTH)
    text: TextColumn | None = None
    if not native.all():
        text, payload = _texts(refs, kind, algorithm, dictionary)
        if inline.any():
            length = np.where(inline, payload, length)
    etag = None
    if virtual.any() and refs.has(ETAG).any():
        start, count = refs.vectors(ETAG, 1)
        etag = TextColumn(body.data, start, count.astype(np.uint32)).compact()
    table = ChunkTable.from_columns(
        coords,
        kind,
        refs.structs(CHUNK, 12) if native.any() else None,
        refs.u64(OFFSET) if refs.has(OFFSET).any() else None,
        length,
        text=text,
        etag=etag,
        modified=refs.u32(MODIFIED) if virtual.any() and refs.has(MODIFIED).any() else None,
    )
    if len(table) != len(refs):
        body.fail("two references of an array are for the same chunk")
    return table


def _coords(refs: TableColumn) -> NDArray[np.uint32]:
    """Coordinates of all references, uint32 of shape ``(n, d)``."""
    count, coords = refs.u32_rows(INDEX)
    ndim = int(count[0])
    if (count != ndim).any():
        refs.body.fail("the references of an array have indices of different ranks")
    return coords


def _kinds(refs: TableColumn) -> NDArray[np.uint8]:
    """Kind of each reference, by the precedence of the format."""
    kind = np.zeros(len(refs), np.uint8)
    kind[refs.has(INLINE_DATA)] = INLINE
    kind[refs.has(LOCATION) | refs.has(COMPRESSED)] = VIRTUAL
    kind[refs.has(CHUNK)] = NATIVE
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
    squeezed = refs.has(COMPRESSED) & (kind == VIRTUAL)
    for slot, rows in (
        (LOCATION, (kind == VIRTUAL) & ~squeezed),
        (INLINE_DATA, kind == INLINE),
        (COMPRESSED, squeezed),
    ):
        if rows.all():
            start, count = refs.vectors(slot, 1)
        elif rows.any():
            slot_start, slot_count = refs.vectors(slot, 1)
            start[rows], count[rows] = slot_start[rows], slot_count[rows]
    text = TextColumn(body.data, start, count.astype(np.uint32))
    if squeezed.all():
        text = decompress_locations(body, text, algorithm, dictionary)
    elif squeezed.any():
        rows = np.flatnonzero(squeezed)
        plain = decompress_locations(body, text.take(rows), algorithm, dictionary)
        pool = b"".join((body.data, plain.pool))
        start[rows], count[rows] = plain.start + body.size, plain.length
        text = TextColumn(pool, start, count.astype(np.uint32))
    else:
        text = text.compact()
    return text, text.length.astype(np.uint64)
