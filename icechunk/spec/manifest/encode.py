"""Manifest files from columns of chunk references (Icechunk spec, "Manifests")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.core.errors import InternalError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec import envelope
from icechunk.spec.columns.text_column import TextColumn
from icechunk.spec.dialect import V2, Dialect
from icechunk.spec.flatbuffers.bulk import Blobs, Block, Records, table_vector
from icechunk.spec.flatbuffers.write import Builder, Field, ref, struct, u8
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable
from icechunk.spec.manifest.ref_vectors import ALGORITHM, ARRAYS, ID, NODE, REFS

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        block = encode_refs(table)
        refs = builder.block(block.raw, block.entry, 8)
        tables.append(builder.table({NODE: struct(node), REFS: ref(refs)}))
    fields: dict[int, Field] = {
        ID: struct(id),
        ARRAYS: ref(builder.offset_vector(tables[::-1])),
    }
    if dialect.location_compression:
        fields[ALGORITHM] = u8(0)
    body = builder.finish_parts(builder.table(fields))
    return envelope.pack(
        envelope.FileType.MANIFEST, dialect.spec_version, body, level, records=True
    )


def encode_refs(table: ChunkTable) -> Block:
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
