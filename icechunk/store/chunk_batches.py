"""Chunk references of an array as columns, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from icechunk.core.errors import InvalidInputError
from icechunk.engine.transaction import Transaction
from icechunk.spec.columns.id_columns import texts_of
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable
from icechunk.spec.manifest.virtual_urls import resolved_column

Batch: TypeAlias = tuple[
    "np.ndarray[tuple[int, int], np.dtype[np.uint32]]",
    "np.ndarray[tuple[int], np.dtype[np.uint8]]",
    list[str],
    "np.ndarray[tuple[int], np.dtype[np.uint64]]",
    "np.ndarray[tuple[int], np.dtype[np.uint64]]",
    dict[int, bytes],
]
"""Coordinates, kinds, locations, offsets, lengths, and the bytes of inline chunks by row."""


def batches(transaction: Transaction, path: str, size: int) -> Iterator[Batch]:
    """References of an array, `size` at a time; nothing when there is no array."""
    try:
        reader = transaction.reader(path)
    except InvalidInputError:
        reader = None
    if reader is None:
        return
    named = transaction.ctx.container_prefixes
    table = reader.table()
    for start in range(0, len(table), size):
        yield _batch(table.select(slice(start, start + size)), named)


def _batch(table: ChunkTable, named: dict[str, str]) -> Batch:
    count = len(table)
    kinds = table.kind
    locations, inline = _locations(table, named)
    offset: Any = np.zeros(count, np.uint64) if table.offset is None else table.offset
    if table.offset is not None and (kinds == INLINE).any():
        offset = np.where(kinds == INLINE, np.uint64(0), offset)
    return table.coords(), kinds.copy(), locations, offset.copy(), table.length.copy(), inline


def _locations(table: ChunkTable, named: dict[str, str]) -> tuple[list[str], dict[int, bytes]]:
    """Locations of native and virtual chunks, and the bytes of inline ones, by row."""
    virtual = table.kind == VIRTUAL
    if table.text is not None and virtual.all():  # the usual case, without a copy of each column
        return resolved_column(table.text, named), {}
    places = np.full(len(table), "", object)
    inline: dict[int, bytes] = {}
    if table.id is not None:
        native = table.kind == NATIVE
        places[native] = texts_of(table.id[native])
    if table.text is not None:
        places[virtual] = resolved_column(table.text.take(virtual), named)
        for row in np.flatnonzero(table.kind == INLINE).tolist():
            inline[row] = table.text.bytes_at(row)
    return places.tolist(), inline
