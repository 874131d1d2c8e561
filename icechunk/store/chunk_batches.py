"""The references of an array as columns, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from icechunk.config.fields import expect
from icechunk.core.errors import InvalidInputError
from icechunk.core.streams import AsyncCloseableIterator
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
"""Coordinates, kinds, places, offsets, lengths, and the bytes of inline chunks by row."""


class ChunkBatches:
    """The part of `IcechunkStore` that tells where chunks are."""

    _transaction: Transaction

    def array_chunk_iterator(
        self, array_path: str, batch_size: int = 100_000
    ) -> AsyncCloseableIterator[Batch]:
        """Where the chunks of an array are, uncommitted ones included, in row-major order.

        Parameters
        ----------
        array_path : str
            Path of the array, with or without a slash in front.
        batch_size : int
            Largest number of chunks in a batch; at least 1.

        Returns
        -------
        AsyncCloseableIterator of tuple
            For ``for`` and ``async for``; nothing where there is no array. Per batch of n chunks:
            coordinates, uint32 of shape ``(n, d)``; kinds, uint8 of shape ``(n,)``, the numbers of
            `ChunkType`; places, list of str (URL of a virtual chunk, id of a native chunk's object,
            empty for inline ones); offsets and lengths there in bytes, uint64 of shape ``(n,)``;
            the bytes of inline chunks, dict by row of the batch.
        """
        expect("array_path", array_path, str)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        return AsyncCloseableIterator(self._batches(f"/{array_path.lstrip('/')}", batch_size))

    def _batches(self, path: str, size: int) -> Iterator[Batch]:
        try:
            reader = self._transaction.reader(path)
        except InvalidInputError:
            reader = None
        if reader is None:
            return
        containers = self._transaction.ctx.config.virtual_chunk_containers or {}
        named = {one.name: one.url_prefix for one in containers.values() if one.name}
        table = reader.table()
        for start in range(0, len(table), size):
            yield _batch(table.select(slice(start, start + size)), named)


def _batch(table: ChunkTable, named: dict[str, str]) -> Batch:
    count = len(table)
    kinds = table.kind
    places = np.full(count, "", object)
    inline: dict[int, bytes] = {}
    if table.id is not None:
        native = kinds == NATIVE
        places[native] = texts_of(table.id[native])
    if table.text is not None:
        virtual = kinds == VIRTUAL
        places[virtual] = resolved_column(table.text.take(virtual), named)
        for row in np.flatnonzero(kinds == INLINE).tolist():
            inline[row] = table.text.bytes_at(row)
    offset: Any = np.zeros(count, np.uint64) if table.offset is None else table.offset
    offset = np.where(kinds == INLINE, np.uint64(0), offset)
    return table.coords(), kinds.copy(), places.tolist(), offset, table.length.copy(), inline
