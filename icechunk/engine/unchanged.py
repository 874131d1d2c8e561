"""Whether a write only repeats what the base holds, for sessions that record no such writes."""

from __future__ import annotations

import numpy as np
from zarr.abc.store import RangeByteRequest

from icechunk.assets.assets import Assets
from icechunk.changes.change_set import ChangeSet
from icechunk.engine.payload import place
from icechunk.engine.reader import ArrayReader
from icechunk.ground.errors import IcechunkError
from icechunk.model.chunk_table import INLINE, NATIVE, Location
from icechunk.model.snapshot import Snapshot
from icechunk.storage.base import Storage

Coords = tuple[int, ...]

_STEP = 256 * 1024
"""Bytes compared at a time where reads cost microseconds: most differences show at once."""


class BaseChunks:
    """The chunks of a session's base, its own chunk edits left aside.

    Parameters
    ----------
    assets : Assets
        Fetches manifests.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._below: dict[str, tuple[ArrayReader, ArrayReader]] = {}

    def find(
        self, reader: ArrayReader, base: Snapshot, changes: ChangeSet, coords: Coords
    ) -> Location | None:
        """Where the base has a chunk that the session has not lost by a resize, or None.

        Parameters
        ----------
        reader : ArrayReader
            Of the array as the session sees it; a new one after every change of metadata.
        base, changes
            Of the session.
        coords : tuple of int
            On the array's chunk grid.
        """
        known = self._below.get(reader.node.path)
        if known is None or known[0] is not reader:
            resized = ChangeSet(kept=changes.kept)
            known = reader, ArrayReader(reader.node, base, resized, self._assets)
            self._below[reader.node.path] = known
        return known[1].find(coords)


def holds(storage: Storage, location: Location | None, data: bytes | memoryview) -> bool:
    """Whether a chunk is these very bytes; False where that cannot be told.

    Virtual chunks count as different: writing one takes its bytes into the repository.
    """
    length = len(data)
    if location is None or location.length != length or location.kind not in (NATIVE, INLINE):
        return False
    at_once = location.kind == INLINE or not storage.blocking_ok
    step = length if at_once else _STEP
    view = memoryview(data)

    def same_from(start: int) -> bool:
        where = place(location, RangeByteRequest(start, min(start + step, length)))
        part = storage.read_range(*where) if isinstance(where, tuple) else where
        return _equal(part, view[start : start + step])

    try:
        return all(map(same_from, range(0, length, step)))
    except IcechunkError:
        return False  # e.g. the object is gone: all the better that it is written again


def _equal(one: bytes | memoryview, two: bytes | memoryview) -> bool:
    return np.array_equal(np.frombuffer(one, np.uint8), np.frombuffer(two, np.uint8))
