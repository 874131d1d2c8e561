"""Transaction logs: bytes to `TransactionLog` and back (Icechunk spec, "Transaction logs")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.core.paths import by_segments
from icechunk.spec import envelope
from icechunk.spec.dialect import V2, Dialect
from icechunk.spec.flatbuffers.bulk import BLOCK, Records, table_vector
from icechunk.spec.flatbuffers.columns import TableColumn, offset_targets
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.flatbuffers.write import MAX_BODY, Builder, Field, ref, struct, u8
from icechunk.spec.manifest.coordinates import sorted_unique
from icechunk.spec.transaction_log.log import Move, TransactionLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from icechunk.spec.manifest.coordinates import Coords

# slots of TransactionLog; arrays come before groups among the updated nodes
_ID, _NEW_GROUPS, _NEW_ARRAYS, _DELETED_GROUPS, _DELETED_ARRAYS = range(5)
_UPDATED_ARRAYS, _UPDATED_GROUPS, _UPDATED_CHUNKS, _MOVED = range(5, 9)

# distinct indices cannot share their distance, table and count: a bound on what gets allocated
_SMALLEST_INDEX = 16

# Lists of indices are written as blocks of tables behind their vtable, see
# `icechunk.spec.flatbuffers.bulk`.
_VTABLE = (6, 8, 4)
_HEAD = 8
_RANKS = "the chunks of an array have indices of different ranks"


def decode_transaction_log(
    data: bytes | memoryview, *, name: str, limit: int | None = None
) -> TransactionLog:
    """Decode a transaction log of any spec version.

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
    TransactionLog

    Raises
    ------
    FormatError
        If the file is not a transaction log or is damaged.
    """
    opened = envelope.unpack(data, envelope.FileType.TRANSACTION_LOG, name=name, limit=limit)
    root = Body(opened.body, name).root()
    return TransactionLog(
        id=ObjectId(root.struct(_ID, 12)),
        new_groups=_ids(root, _NEW_GROUPS),
        new_arrays=_ids(root, _NEW_ARRAYS),
        deleted_groups=_ids(root, _DELETED_GROUPS),
        deleted_arrays=_ids(root, _DELETED_ARRAYS),
        updated_groups=_ids(root, _UPDATED_GROUPS),
        updated_arrays=_ids(root, _UPDATED_ARRAYS),
        updated_chunks=_updated_chunks(root),
        moved=tuple(_move(table) for table in root.opt_vector_of_tables(_MOVED) or ()),
    )


def _ids(root: Table, slot: int) -> frozenset[NodeId]:
    """Node ids of a required list."""
    raw = root.struct_vector(slot, 8)
    return frozenset(NodeId(raw[at : at + 8]) for at in range(0, len(raw), 8))


def _updated_chunks(root: Table) -> dict[NodeId, Coords]:
    """Changed chunks by array."""
    arrays: dict[NodeId, Coords] = {}
    for table in root.vector_of_tables(_UPDATED_CHUNKS):
        node = NodeId(table.struct(0, 8))
        if node in arrays:
            table.fail(f"array {node.hex()} has two lists of changed chunks")
        arrays[node] = _coords(table)
    return arrays


def _coords(table: Table) -> Coords:
    """Chunk coordinates of one array, sorted."""
    span = table.vector(1, 4)
    if span is None:
        table.fail(f"missing required field 1 of the table at {table.pos}")
    start, count = span
    table.body.spend(_SMALLEST_INDEX * count)
    if not count:
        return np.zeros((0, 0), np.uint32)
    rows = count // BLOCK * BLOCK
    coords = _block_coords(table.body, start, rows // BLOCK)
    if coords is None:
        coords = _any_coords(table.body, start, count)
    elif rows < count:
        rest = _any_coords(table.body, start + 4 * rows, count - rows)
        if rest.shape[1] != coords.shape[1]:
            table.fail(_RANKS)
        coords = np.concatenate((coords, rest))
    coords = sorted_unique(coords)
    coords.flags.writeable = False
    return coords


def _any_coords(body: Body, start: int, count: int) -> Coords:
    """Chunk coordinates of the tables that a vector points to."""
    indices = TableColumn(body, offset_targets(body, start, count))
    indices.require(0)
    ranks, coords = indices.u32_rows(0)
    if (ranks != ranks[0]).any():
        body.fail(_RANKS)
    return coords


def _block_coords(body: Body, start: int, blocks: int) -> Coords | None:
    """The same for blocks exactly as `_updated` writes them; None for tables in any other form.

    Comparing them with what is expected takes a third of the time of following every offset.
    """
    first = start + body.u32_at(start)
    if not blocks or first < _HEAD or first + 12 > body.size:
        return None
    ndim = body.u32_at(first + 8)
    stride = 12 + 4 * ndim
    step = _HEAD + BLOCK * stride + (BLOCK * stride) % 8
    if first - _HEAD + blocks * step > body.size:
        return None

    def column(offset: int) -> NDArray[np.uint32]:
        at = first + offset
        return np.ndarray((blocks, BLOCK), "<u4", body.data, at, (step, stride))

    within = np.arange(BLOCK, dtype=np.uint32)
    heads = np.arange(blocks, dtype=np.uint32) * np.uint32(step - 4 * BLOCK)
    places = np.frombuffer(body.data, "<u4", blocks * BLOCK, start).reshape(blocks, BLOCK)
    vtables = np.ndarray((blocks, 3), "<u2", body.data, first - _HEAD, (step, 2))
    expected = (
        (vtables, _VTABLE),
        (places, heads[:, None] + (np.uint32(first - start) + within * np.uint32(stride - 4))),
        (column(0), _HEAD + within * np.uint32(stride)),
        (column(4), np.uint32(4)),
        (column(8), np.uint32(ndim)),
    )
    if not all((found == wanted).all() for found, wanted in expected):
        return None
    coords = np.empty((blocks, BLOCK, ndim), np.uint32)
    coords[...] = np.ndarray(coords.shape, "<u4", body.data, first + 12, (step, stride, 4))
    return coords.reshape(blocks * BLOCK, ndim)


def _move(table: Table) -> Move:
    if not table.presence(2):
        table.fail("a move has no node id")
    return Move(table.string(0), table.string(1), NodeId(table.struct(2, 8)), table.u8(3) == 1)


def check_log_size(log: TransactionLog) -> None:
    """Refuse a log that could not be written, before anything else is.

    Raises
    ------
    FormatError
        Kind ``serialization``.
    """
    size = sum(len(c) * (20 + 4 * c.shape[1]) for c in log.updated_chunks.values())
    if size > MAX_BODY:
        count = sum(map(len, log.updated_chunks.values()))
        raise FormatError(
            f"one commit cannot change {count} chunks, its transaction log would need {size} "
            f"bytes and the format allows {MAX_BODY}. Commit more often",
            ErrorKind.SERIALIZATION,
        )


def encode_transaction_log(log: TransactionLog, *, dialect: Dialect = V2, level: int = 3) -> bytes:
    """Encode a transaction log file.

    Parameters
    ----------
    log
        The changes of one snapshot.
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
        Kind ``serialization`` when the log would exceed 2 GiB.
    """
    builder = Builder()
    fields: dict[int, Field] = {_ID: struct(log.id)}
    if dialect.moved_nodes:
        fields[_MOVED] = ref(builder.offset_vector(_moves(builder, log)))
    chunks = [
        _updated(builder, node, coords)
        for node, coords in sorted(log.updated_chunks.items(), reverse=True)
    ]
    fields[_UPDATED_CHUNKS] = ref(builder.offset_vector(chunks[::-1]))
    for slot, ids in (
        (_UPDATED_GROUPS, log.updated_groups),
        (_UPDATED_ARRAYS, log.updated_arrays),
        (_DELETED_ARRAYS, log.deleted_arrays),
        (_DELETED_GROUPS, log.deleted_groups),
        (_NEW_ARRAYS, log.new_arrays),
        (_NEW_GROUPS, log.new_groups),
    ):
        fields[slot] = ref(_id_vector(builder, ids))
    body = builder.finish_parts(builder.table(fields))
    return envelope.pack(
        envelope.FileType.TRANSACTION_LOG, dialect.spec_version, body, level, records=True
    )


def _id_vector(builder: Builder, ids: Iterable[NodeId]) -> int:
    ordered = sorted(ids)
    return builder.struct_vector(b"".join(ordered), len(ordered), 1)


def _moves(builder: Builder, log: TransactionLog) -> list[int]:
    """Tables of the moves, by target compared by path component."""
    return [
        builder.table(
            {
                0: ref(builder.string(move.source)),
                1: ref(builder.string(move.target)),
                2: struct(move.node_id),
                3: u8(int(move.is_array)),
            }
        )
        for move in sorted(log.moved, key=lambda move: by_segments(move.target))
    ]


def _updated(builder: Builder, node: NodeId, coords: Coords) -> int:
    """Table of one array's changed chunks."""
    coords = sorted_unique(np.asarray(coords, np.uint32))
    count, ndim = coords.shape
    block = table_vector(
        [
            Records(
                count=count,
                stride=12 + 4 * ndim,
                vtable=_VTABLE,
                scalars=[(4, "<u4", 4), (8, "<u4", ndim)],
                matrix=(12, coords),
            )
        ]
    )
    chunks = builder.block(block.raw, block.entry, 8)
    return builder.table({0: struct(node), 1: ref(chunks)})
