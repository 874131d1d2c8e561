"""`PyStore`: a store with `bytes` values, which the reference library has as a native class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import cpu, default_buffer_prototype

Span: TypeAlias = "tuple[int | None, int | None] | None"
"""Start and end of a byte range. No end: up to the last byte. No start: the last `end` bytes."""


class PyStore:
    """Reads and writes values of a store as `bytes`; delegates every other method to the store.

    Some programs reach it as ``IcechunkStore._store``.

    Parameters
    ----------
    store : IcechunkStore
        The store to read and write.
    """

    __module__ = "icechunk._icechunk_python"

    def __init__(self, store: Store) -> None:
        self._buffers = store

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # `copy` and `pickle` look up methods before `_buffers` is set
            raise AttributeError(name)
        return getattr(self._buffers, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PyStore) and self._buffers == other._buffers

    __hash__ = None  # type: ignore[assignment]

    async def get(self, key: str, byte_range: Span = None) -> bytes:
        """Bytes of a key, or of a part of it.

        Raises
        ------
        KeyError
            When there is no such key.
        """
        found = await self._buffers.get(key, default_buffer_prototype(), _request(byte_range))
        if found is None:
            raise KeyError(key)
        return found.to_bytes()

    async def get_partial_values(
        self, key_ranges: Iterable[tuple[str, Span]]
    ) -> list[bytes | None]:
        """Bytes of several keys or parts of keys, None for those that do not exist."""
        found = await self._buffers.get_partial_values(
            default_buffer_prototype(), [(key, _request(span)) for key, span in key_ranges]
        )
        return [None if value is None else value.to_bytes() for value in found]

    async def set(self, key: str, value: bytes | bytearray | memoryview) -> None:
        """Write a metadata document or a chunk."""
        await self._buffers.set(key, _buffer(value))

    async def set_if_not_exists(self, key: str, value: bytes | bytearray | memoryview) -> None:
        """Write a key unless it exists."""
        await self._buffers.set_if_not_exists(key, _buffer(value))


def _buffer(value: bytes | bytearray | memoryview) -> cpu.Buffer:
    return cpu.Buffer.from_bytes(bytes(memoryview(value)))


def _request(span: Span) -> ByteRequest | None:
    if span is None or span == (None, None):
        return None
    start, end = span
    if start is None:
        assert end is not None
        return SuffixByteRequest(end)
    return OffsetByteRequest(start) if end is None else RangeByteRequest(start, end)
