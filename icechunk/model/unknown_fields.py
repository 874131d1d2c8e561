"""Fields of the repo object that a newer library added: kept, not understood."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnknownFields:
    """Bytes that hold some fields and everything they may refer to.

    Attributes
    ----------
    data : bytes
        Part of a flatbuffer that is closed under references: every offset in it leads into it.
    positions : tuple of (slot, position)
        Where the table fields are in `data`.
    """

    data: bytes
    positions: tuple[tuple[int, int], ...]
