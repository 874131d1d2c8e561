"""How a chunk is stored."""

from __future__ import annotations

from enum import IntEnum


class ChunkType(IntEnum):
    """How a chunk is stored; equals the number that the format uses.

    The upper-case names are those of icechunk 1.
    """

    uninitialized = 0
    """Never written: it reads as the fill value."""
    native = 1
    """In an object of the repository."""
    virtual = 2
    """In a byte range of an object outside the repository."""
    inline = 3
    """In the manifest itself."""
    UNINITIALIZED = 0
    NATIVE = 1
    VIRTUAL = 2
    INLINE = 3

    def __repr__(self) -> str:
        return f"ChunkType.{self.name}"

    __str__ = __repr__


ChunkType.__module__ = "icechunk"
