"""Decode chunk manifests; the references of an array are decoded when first used.

Icechunk spec, "Manifests". `encode_manifest` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec import envelope
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.manifest.chunk_table import ChunkTable, Location
from icechunk.spec.manifest.encode import encode_manifest
from icechunk.spec.manifest.ref_vectors import (
    ALGORITHM,
    ARRAYS,
    DICTIONARY,
    ID,
    NODE,
    REFS,
    decode_refs,
    native_ids,
    scalar,
    search,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Manifest", "decode_manifest", "encode_manifest"]

# Distinct references cannot share their distance, table of two fields and index count: a cheap
# bound on what gets allocated.
_SMALLEST_REF = 20
# below this many references decoding the table costs less than thinking about it
_COLD_REFS = 50_000
_COLD_LOOKUPS = 8
# More in larger arrays: together they cost about a tenth of decoding the table.
_COLD_SHARE = 2048


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
        place = self.peek(node, coords)
        if place is not None:
            return place
        table = self.arrays[node]
        row = table.find(coords)
        return table.location(row) if row >= 0 else None

    def peek(self, node: NodeId, coords: Sequence[int]) -> Location | None:
        """Where one chunk is, found in the encoded file; None when the decoded table is needed.

        Only the first few looks into a large array that was not decoded yet may succeed.
        """
        if isinstance(self.arrays, _LazyArrays):
            return self.arrays.locate_cold(node, coords)
        return None

    def searchable(self, node: NodeId) -> bool:
        """Whether `peek` may find chunks of an array: it is large and was not decoded yet."""
        return isinstance(self.arrays, _LazyArrays) and self.arrays.searchable(node)

    def decoded(self, node: NodeId) -> ChunkTable | None:
        """An array's references, if they were decoded before.

        Raises
        ------
        KeyError
            If the manifest does not hold the array.
        """
        if isinstance(self.arrays, _LazyArrays):
            return self.arrays.decoded(node)
        return self.arrays[node]

    def stored(self, node: NodeId) -> Table | None:
        """An array's part of the file itself; None once its references were decoded."""
        return self.arrays.stored(node) if isinstance(self.arrays, _LazyArrays) else None

    def native_ids(self) -> list[NDArray[np.uint8]]:
        """Ids of the objects that native chunks are in, by array, each uint8 of shape ``(m, 12)``.

        Of arrays that were not decoded yet nothing else is.
        """
        if isinstance(self.arrays, _LazyArrays):
            return self.arrays.native_ids()
        return [table.native_ids() for table in self.arrays.values()]

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
    """Tables decoded on first access; the payload is released when all of them are."""

    def __init__(self, root: Table) -> None:
        self._body: Body | None = root.body
        self._body_size = root.body.size
        self._algorithm = root.u8(ALGORITHM, 1)
        self._dictionary = root.opt_bytes_vector(DICTIONARY)
        self._pending: dict[NodeId, Table] = {}
        self._tables: dict[NodeId, ChunkTable | None] = {}
        self._cold_tries: dict[NodeId, int] = {}
        self.total = 0
        for table in root.vector_of_tables(ARRAYS):
            node = NodeId(table.struct(NODE, 8))
            span = table.vector(REFS, 4)
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
            table = decode_refs(source, self._algorithm, self._dictionary)
            self._tables[node] = table
            self._pending.pop(node, None)
            if not self._pending:
                self._body = None
        return table

    def decoded(self, node: NodeId) -> ChunkTable | None:
        """Table of an array if it was decoded before."""
        return self._tables[node]

    def searchable(self, node: NodeId) -> bool:
        """Whether a search in the payload may still answer."""
        source = self._pending.get(node)
        span = None if source is None else source.vector(REFS, 4)
        if span is None or span[1] < _COLD_REFS:
            return False
        most = max(_COLD_LOOKUPS, span[1] // _COLD_SHARE)
        return self._cold_tries.get(node, 0) < most

    def locate_cold(self, node: NodeId, coords: Sequence[int]) -> Location | None:
        """Binary search in the payload; None when absent, or when the table should answer."""
        if not self.searchable(node):
            return None
        source = self._pending.get(node)
        span = None if source is None else source.vector(REFS, 4)
        if source is None or span is None:
            return None
        self._cold_tries[node] = self._cold_tries.get(node, 0) + 1
        at = search(source.body, span, tuple(coords))
        if at is None:
            return None
        item = Table(source.body, at + source.body.u32_at(at))
        return scalar(item, self._algorithm, self._dictionary)

    def native_ids(self) -> list[NDArray[np.uint8]]:
        """Ids of the objects that native chunks are in, by array."""
        found = []
        for node, table in self._tables.items():
            source = None if table is not None else self._pending.get(node)
            found.append(self[node].native_ids() if source is None else native_ids(source))
        return found

    def stored(self, node: NodeId) -> Table | None:
        """The array's part of the file, None once it was decoded."""
        return self._pending.get(node)

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
    payload = envelope.unpack_large(data, envelope.FileType.MANIFEST, name=name, limit=limit)
    root = Body(payload, name).root()
    return Manifest(ObjectId(root.struct(ID, 12)), _LazyArrays(root))
