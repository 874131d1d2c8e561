"""Transaction logs: bytes to `TransactionLog` and back (Icechunk spec, "Transaction logs")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from icechunk.format import envelope
from icechunk.format.dialect import V2, Dialect
from icechunk.format.flat_bulk import Records, table_vector
from icechunk.format.flat_columns import TableColumn
from icechunk.format.flat_read import Body, Table
from icechunk.format.flat_write import MAX_BODY, Builder, Field, ref, struct, u8
from icechunk.ground.errors import ErrorKind, FormatError
from icechunk.ground.ids import NodeId, ObjectId
from icechunk.ground.paths import by_segments
from icechunk.model.coordinates import sorted_unique
from icechunk.model.txlog import Move, TransactionLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icechunk.model.coordinates import Coords

# slots of TransactionLog; arrays come before groups among the updated nodes
_ID, _NEW_GROUPS, _NEW_ARRAYS, _DELETED_GROUPS, _DELETED_ARRAYS = range(5)
_UPDATED_ARRAYS, _UPDATED_GROUPS, _UPDATED_CHUNKS, _MOVED = range(5, 9)

# distinct indices cannot share their distance, table and count: a bound on what gets allocated
_SMALLEST_INDEX = 16


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
    if span is not None:
        table.body.spend(_SMALLEST_INDEX * span[1])
    indices = TableColumn.of_vector(table, 1)
    if not len(indices):
        return np.zeros((0, 0), np.uint32)
    indices.require(0)
    count, coords = indices.u32_rows(0)
    if (count != count[0]).any():
        table.fail("the chunks of an array have indices of different ranks")
    coords = sorted_unique(coords)
    coords.flags.writeable = False
    return coords


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
                vtable=(6, 8, 4),
                scalars=[(4, "<u4", 4), (8, "<u4", ndim)],
                matrix=(12, coords),
            )
        ]
    )
    chunks = builder.block(block.raw, block.entry, 8)
    return builder.table({0: struct(node), 1: ref(chunks)})
