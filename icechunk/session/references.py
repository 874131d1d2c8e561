"""Chunk references of an array, and URLs of virtual chunks, many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from icechunk.core.errors import InvalidInputError
from icechunk.core.ids import ObjectId, id_text
from icechunk.spec.manifest.chunk_table import NATIVE, VIRTUAL, ChunkTable
from icechunk.spec.manifest.references import changed
from icechunk.spec.manifest.virtual_urls import resolved, resolved_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.engine.transaction import Transaction

T = TypeVar("T", bound=np.generic)


class ChunkReferences:
    """Chunk references of one array as columns: one row per existing chunk, in row-major order.

    Made by `Session.chunk_references`. Later changes of the session do not show. The columns cannot
    be written to.
    """

    __slots__ = ("_named", "_table")

    __module__ = "icechunk.session"

    def __init__(self, table: ChunkTable, named: Mapping[str, str]) -> None:
        self._table = table
        self._named = named

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return f"<ChunkReferences of {len(self)} chunks>"

    @property
    def coords(self) -> NDArray[np.uint32]:
        """Chunk coordinates, uint32 of shape ``(n, d)``."""
        return _locked(self._table.coords())

    @property
    def kind(self) -> NDArray[np.uint8]:
        """How each chunk is stored, as the number of a `ChunkType`, uint8 of shape ``(n,)``."""
        return _locked(self._table.kind)

    @property
    def length(self) -> NDArray[np.uint64]:
        """Stored bytes of each chunk, uint64 of shape ``(n,)``."""
        return _locked(self._table.length)

    @property
    def offset(self) -> NDArray[np.uint64]:
        """Position of each chunk in its object in bytes, uint64 of shape ``(n,)``."""
        offset = self._table.offset
        return _locked(np.zeros(len(self), np.uint64) if offset is None else offset)

    @property
    def object_id(self) -> NDArray[np.uint8]:
        """Ids of the objects of native chunks, uint8 of shape ``(n, 12)``; zeros for others."""
        ids = self._table.id
        return _locked(np.zeros((len(self), 12), np.uint8) if ids is None else ids)

    def location(self, row: int) -> str | None:
        """Object that holds one chunk.

        Parameters
        ----------
        row : int
            Row of the chunk, from 0.

        Returns
        -------
        str or None
            Id of the object in the repository for a native chunk, URL for a virtual chunk, None
            for an inline chunk.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} chunk references")
        place = self._table.location(row)
        if place.kind == NATIVE:
            return id_text(ObjectId(place.id or b""))
        return None if place.url is None else resolved(place.url, self._named)

    def locations(self) -> tuple[NDArray[np.int64], list[str]]:
        """Distinct URLs of the virtual chunks.

        Returns
        -------
        code : ndarray of int64, shape (n,)
            Index of each row's URL in `urls`, -1 for chunks that are not virtual.
        urls : list of str
            Each URL once; names of containers are replaced by their URLs.
        """
        code = np.full(len(self), -1, np.int64)
        text, virtual = self._table.text, self._table.kind == VIRTUAL
        if text is None or not virtual.any():
            return code, []
        code[virtual], values = text.take(virtual).distinct()
        urls = [resolved(values.text_at(row), self._named) for row in range(len(values))]
        return code, urls

    def find(self, coords: NDArray[np.integer]) -> NDArray[np.int64]:
        """Rows of many chunks.

        Parameters
        ----------
        coords : ndarray of integers, shape (m, d)
            Chunk coordinates.

        Returns
        -------
        ndarray of int64, shape (m,)
            Row of each chunk, -1 where there is no chunk.
        """
        given = np.asarray(coords)
        if given.ndim != 2 or given.dtype.kind not in "iu":
            raise InvalidInputError(
                f"chunk coordinates must be whole numbers of shape (m, d), got {given.dtype} of "
                f"shape {given.shape}"
            )
        rows = np.full(len(given), -1, np.int64)
        possible = ((given >= 0) & (given < 2**32)).all(axis=1)
        rows[possible] = self._table.find_many(given[possible].astype(np.uint32))
        return rows

    def differing(self, other: ChunkReferences) -> NDArray[np.uint32]:
        """Chunks that only one of two arrays has, or that differ in their references.

        Parameters
        ----------
        other : ChunkReferences
            References of the same array at another time, or of another array of the same rank.

        Returns
        -------
        ndarray of uint32, shape (m, d)
            Coordinates, in row-major order.
        """
        return changed(self._table, other._table)


def virtual_locations(transaction: Transaction) -> list[str]:
    """URLs of all virtual chunks; see `Session.all_virtual_chunk_locations`."""
    prefixes = transaction.ctx.container_prefixes
    found: list[str] = []
    for node in sorted(transaction.tree, key=lambda node: node.path.encode()):
        if node.is_array:
            table = transaction.array_reader(node.path).table()
            if table.text is not None:
                virtual = table.kind == VIRTUAL
                text = table.text if virtual.all() else table.text.take(virtual)
                found += resolved_column(text, prefixes)
    return found


def _locked(column: NDArray[T]) -> NDArray[T]:
    """Read-only view, since the session keeps using the column."""
    view = column.view()
    view.flags.writeable = False
    return view
