"""`VirtualChunkSpec`: one virtual chunk reference for `IcechunkStore.set_virtual_refs`.

Not a `Value`: callers make millions of them, and a `Value` takes five times as long to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from icechunk.config.fields import aware, bounded, expect

_U32 = 2**32 - 1
_U64 = 2**64 - 1


class VirtualChunkSpec:
    """One virtual chunk: a byte range of an object at a URL.

    Parameters
    ----------
    index : sequence of int
        Chunk coordinates (u32 each), one per dimension.
    location : str
        URL of the object, stored as given.
    offset, length : int
        Byte range within the object (u64).
    etag_checksum : str, optional
        ETag the object must have when it is read.
    last_updated_at_checksum : datetime.datetime, optional
        The object must not have changed after this instant, which needs a time zone.
    """

    __slots__ = ("_etag_checksum", "_index", "_last_updated", "_length", "_location", "_offset")

    def __init__(
        self,
        index: Sequence[int],
        location: str,
        offset: int,
        length: int,
        etag_checksum: str | None = None,
        last_updated_at_checksum: datetime | None = None,
    ) -> None:
        expect("index", index, Sequence)
        expect("location", location, str)
        if etag_checksum is not None:
            expect("etag_checksum", etag_checksum, str)
        if last_updated_at_checksum is not None:
            aware("last_updated_at_checksum", last_updated_at_checksum)
        self._index = [bounded("index", i, 0, _U32) for i in index]
        self._location = location
        self._offset = bounded("offset", offset, 0, _U64)
        self._length = bounded("length", length, 0, _U64)
        self._etag_checksum = etag_checksum
        self._last_updated = last_updated_at_checksum

    @property
    def index(self) -> list[int]:
        """Chunk coordinates."""
        return list(self._index)

    @property
    def location(self) -> str:
        """URL of the object."""
        return self._location

    @property
    def offset(self) -> int:
        """First byte within the object."""
        return self._offset

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self._length

    @property
    def etag_checksum(self) -> str | None:
        """ETag the object must have."""
        return self._etag_checksum

    @property
    def last_updated_at_checksum(self) -> datetime | None:
        """Instant after which the object must not have changed."""
        return self._last_updated

    def __getstate__(self) -> tuple[Any, ...]:
        return (
            self._index,
            self._location,
            self._offset,
            self._length,
            self._etag_checksum,
            self._last_updated,
        )

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VirtualChunkSpec):
            return NotImplemented
        return self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash((tuple(self._index), self._location, self._offset, self._length))

    def __repr__(self) -> str:
        return (
            f"icechunk.virtual.VirtualChunkSpec(index={self._index}, "
            f"location={self._location!r}, offset={self._offset}, length={self._length}, "
            f"etag_checksum={self._etag_checksum!r}, "
            f"last_updated_at_checksum={self._last_updated!r})"
        )
