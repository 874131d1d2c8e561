"""Read many snapshots and manifests within limits of memory and of requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from icechunk.core.runtime import map_parallel
from icechunk.maintenance.limits import Limits
from icechunk.spec.snapshot.snapshot import ManifestInfo

T = TypeVar("T")
R = TypeVar("R")

_REF_BYTES = 64
"""Memory of one decoded reference: columns of numbers, and a share of the texts."""

_BATCH = 64
"""Fewest items taken together: results are handed over in between."""


class MemoryBudget:
    """Memory that several threads share; a thread that needs more than is left waits.

    A file larger than the whole budget is read alone.

    Parameters
    ----------
    compressed, decoded : int
        Bytes of files as stored, and decoded.
    """

    def __init__(self, compressed: int, decoded: int) -> None:
        self._limits = compressed, decoded
        self._used = 0, 0
        self._inside = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, compressed: int, decoded: int) -> Iterator[None]:
        """Reserve some of it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or self._fits(compressed, decoded))
            self._add(1, compressed, decoded)
        try:
            yield
        finally:
            with self._changed:
                self._add(-1, -compressed, -decoded)
                self._changed.notify_all()

    def _fits(self, compressed: int, decoded: int) -> bool:
        wanted = self._used[0] + compressed, self._used[1] + decoded
        return wanted[0] <= self._limits[0] and wanted[1] <= self._limits[1]

    def _add(self, count: int, compressed: int, decoded: int) -> None:
        self._inside += count
        self._used = self._used[0] + compressed, self._used[1] + decoded


class BoundedWalk:
    """Applies functions to files, several at once within limits.

    Files of a storage that answers in microseconds are read one after the other.

    Parameters
    ----------
    limits : Limits
        Memory and requests.
    one_by_one : bool
        Whether the storage is so fast.
    """

    def __init__(self, limits: Limits, one_by_one: bool) -> None:
        self._snapshots = limits.snapshots
        self._width = 1 if one_by_one else limits.snapshots
        self._fetches = 1 if one_by_one else limits.manifest_fetches
        self._memory = MemoryBudget(limits.compressed_bytes, limits.decoded_bytes)

    def snapshots(self, read: Callable[[T], R], ids: Sequence[T]) -> Iterator[R]:
        """Results of a function of snapshots; at most `Limits.snapshots` are in memory."""
        for group in _groups(ids, self._snapshots):
            yield from map_parallel(read, group, limit=self._width)

    def manifests(
        self, read: Callable[[ManifestInfo], R], infos: Iterable[ManifestInfo]
    ) -> Iterator[R]:
        """Results of a function that reads one manifest and keeps no reference to it."""

        def within(info: ManifestInfo) -> R:
            with self._memory.taken(info.size_bytes, info.num_chunk_refs * _REF_BYTES):
                return read(info)

        one_by_one = self._fetches == 1  # no thread has to wait for memory then
        for group in _groups(infos, max(self._fetches, _BATCH)):
            yield from map_parallel(read if one_by_one else within, group, limit=self._fetches)


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group
