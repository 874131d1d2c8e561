"""Values of single chunks: decode those of the states of a merge, encode and store merged ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import MemoryStore

from icechunk.core.errors import IcechunkError, StorageError
from icechunk.core.runtime import map_parallel
from icechunk.engine.context import RepoContext
from icechunk.engine.payload import ChunkWriter, fetch
from icechunk.files.layout import chunk_key
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, Location

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.core.ids import ObjectId
    from icechunk.spec.manifest.chunk_table import ChunkTable
    from icechunk.spec.manifest.coordinates import ChunkIndex
    from icechunk.spec.snapshot.nodes import NodeSnapshot

Payload = bytes | memoryview | None
"""Stored bytes of a chunk; None where there is none, which stands for the fill value."""

_log = logging.getLogger(__name__)


class ChunkFormat:
    """Chunk shape and codecs of an array, in one of its states.

    Parameters
    ----------
    node : NodeSnapshot
        An array with a regular chunk grid.

    Raises
    ------
    ValueError
        For other grids.
    Exception
        What Zarr raises for a data type or codec that is not installed.
    """

    def __init__(self, node: NodeSnapshot) -> None:
        assert node.array is not None
        document = node.document
        if document["chunk_grid"]["name"] != "regular":
            raise ValueError("the cells of chunks of different sizes are not merged")
        self.chunk: tuple[int, ...] = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        self.shape = node.array.shape
        # An array of a single chunk: Zarr decodes it whole, cells beyond the real shape included.
        document["shape"] = list(self.chunk)
        document["chunk_key_encoding"] = {"name": "default"}
        document["attributes"] = {}
        self._key = "/".join(["c", *("0" for _ in self.chunk)])
        self._new = default_buffer_prototype().buffer.from_bytes
        self._held: dict[str, Buffer] = {"zarr.json": self._new(json.dumps(document).encode())}
        self._array = zarr.open_array(MemoryStore(self._held), mode="r+", zarr_format=3)

    def extent(self, coords: Sequence[int]) -> tuple[int, ...]:
        """Shape of the part of a chunk that lies within the array; not negative."""
        return tuple(
            max(min(side, length - at * side), 0)
            for at, side, length in zip(coords, self.chunk, self.shape, strict=True)
        )

    @cached_property
    def empty(self) -> NDArray[Any]:
        """A chunk of fill values."""
        self._held.pop(self._key, None)
        return np.asarray(self._array[...])

    def decode(self, data: Payload, coords: Sequence[int]) -> NDArray[Any]:
        """Values of a chunk; the fill value beyond the array's shape, whatever is stored there."""
        if data is None:
            return self.empty.copy()
        self._held[self._key] = self._new(data)
        block = np.array(self._array[...])
        for axis, length in enumerate(self.extent(coords)):
            if length < self.chunk[axis]:
                beyond = (*(slice(None) for _ in range(axis)), slice(length, None))
                block[beyond] = self.empty[beyond]
        return block

    def encode(self, block: NDArray[Any]) -> bytes | None:
        """Bytes of a chunk; None for one of fill values only."""
        self._held.pop(self._key, None)
        self._array[...] = block
        data = self._held.get(self._key)
        return None if data is None else data.to_bytes()


class ChunkValues:
    """Reads the bytes of chunks, and stores merged ones.

    Parameters
    ----------
    ctx : RepoContext
        The repository handle.
    dry : bool
        Store nothing: merged chunks stay in memory.

    Attributes
    ----------
    known : dict
        What was merged already, so that a merge that is laid again writes nothing twice.
    """

    def __init__(self, ctx: RepoContext, *, dry: bool = False) -> None:
        self._ctx = ctx
        self._dry = dry
        self._writer = ChunkWriter(ctx.storage, packing=ctx.settings.pack_chunks)
        self._objects: set[ObjectId] = set()
        self.known: dict[Any, Any] = {}

    def fetch(self, places: Sequence[Location | None]) -> list[Payload | IcechunkError]:
        """Bytes of chunks, read in parallel; the error for a virtual chunk that cannot be read."""

        def one(place: Location | None) -> Payload | IcechunkError:
            if place is None:
                return None
            try:
                return fetch(self._ctx, place, None)
            except IcechunkError as error:
                if place.kind != VIRTUAL:
                    raise
                return error

        return map_parallel(one, places)

    def blocks(
        self, form: ChunkFormat, table: ChunkTable, places: Sequence[ChunkIndex]
    ) -> list[NDArray[Any]]:
        """Values of chunks of one state.

        Raises
        ------
        IcechunkError
            When a chunk cannot be read.
        """
        rows = [table.find(one) for one in places]
        data = self.fetch([None if row < 0 else table.location(row) for row in rows])
        found = []
        for one, payload in zip(places, data, strict=True):
            if isinstance(payload, IcechunkError):
                raise payload
            found.append(form.decode(payload, one))
        return found

    def store(self, payloads: Sequence[bytes | None]) -> list[Location | None]:
        """Store chunks: a small one inline, others as objects; None for a chunk that is empty."""
        limit = self._ctx.settings.inline_threshold

        def one(data: bytes | None) -> Location | None:
            if data is None:
                return None
            length = len(data)
            if self._dry or length <= limit:
                return Location(INLINE, None, 0, length, data, None, None, 0)
            object_id, offset = self._writer.write(data)
            self._objects.add(object_id)
            return Location(NATIVE, object_id, offset, length, None, None, None, 0)

        return map_parallel(one, payloads)

    def close(self) -> None:
        """Finish the objects that were written, before they are made durable."""
        self._writer.close()

    def discard(self) -> None:
        """Delete what was written, for a merge that is not committed."""
        self._writer.close()
        self.known.clear()
        try:
            self._ctx.storage.delete([chunk_key(one) for one in self._objects])
        except StorageError:
            _log.warning("chunks of an abandoned merge stay until garbage collection")
        self._objects.clear()
