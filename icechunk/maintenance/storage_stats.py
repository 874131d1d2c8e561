"""How many bytes the chunks of a repository take, as the public API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from icechunk.config.rendering import Entry, Shown


@dataclass(frozen=True, slots=True, repr=False)
class ChunkStorageStats(Shown):
    """Bytes of all chunks in the history of a repository; sums with ``+``.

    Attributes
    ----------
    native_bytes : int
        Chunks in the repository's own objects, each counted once.
    virtual_bytes : int
        Chunks in foreign files, each range of a file counted once.
    inlined_bytes : int
        Chunks inside manifests.
    """

    native_bytes: int = 0
    virtual_bytes: int = 0
    inlined_bytes: int = 0

    def non_virtual_bytes(self) -> int:
        """Bytes that the repository itself keeps."""
        return self.native_bytes + self.inlined_bytes

    def total_bytes(self) -> int:
        """Bytes of all three kinds."""
        return self.native_bytes + self.virtual_bytes + self.inlined_bytes

    def __add__(self, other: object) -> ChunkStorageStats:
        if not isinstance(other, ChunkStorageStats):
            return NotImplemented
        return ChunkStorageStats(
            self.native_bytes + other.native_bytes,
            self.virtual_bytes + other.virtual_bytes,
            self.inlined_bytes + other.inlined_bytes,
        )

    def _path(self) -> str:
        return "icechunk.stats.ChunkStorageStats"

    def _entries(self) -> Iterable[Entry]:
        return [Entry(name, getattr(self, name)) for name in self.__dataclass_fields__]

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, repr=False)
class PackUsage(Shown):
    """How much of the chunk objects that must stay is still referred to.

    An object may hold many chunks and stays as long as any of them does.

    Attributes
    ----------
    objects : int
        Chunk objects that some snapshot refers to.
    stored_bytes : int
        Their size.
    live_bytes : int
        Bytes of the chunks in them that are referred to.
    """

    objects: int = 0
    stored_bytes: int = 0
    live_bytes: int = 0

    @property
    def dead_bytes(self) -> int:
        """Bytes that nothing refers to and that garbage collection cannot free."""
        return self.stored_bytes - self.live_bytes

    def _path(self) -> str:
        return "icechunk.stats.PackUsage"

    def _entries(self) -> Iterable[Entry]:
        names = ("objects", "stored_bytes", "live_bytes", "dead_bytes")
        return [Entry(name, getattr(self, name)) for name in names]

    def __repr__(self) -> str:
        return str(self)


ChunkStorageStats.__module__ = "icechunk._icechunk_python"
