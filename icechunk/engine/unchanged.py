"""Find writes that repeat stored chunks, by comparing bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from zarr.abc.store import RangeByteRequest

from icechunk.changes.change_set import ChangeSet
from icechunk.core.errors import IcechunkError
from icechunk.core.runtime import map_parallel
from icechunk.engine.payload import place
from icechunk.engine.reader import ArrayReader
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, ChunkTable, Location
from icechunk.spec.manifest.coordinates import ChunkIndex
from icechunk.spec.snapshot.snapshot import Snapshot
from icechunk.storage.base import Storage

_BATCH = 64
"""Chunks compared before the next ones are looked at."""

_STEP = 256 * 1024
"""Bytes compared at a time where reads cost microseconds: most differences show at once."""


class BaseChunks:
    """The chunks of a session's base, without the session's own edits.

    Parameters
    ----------
    files : RepositoryFiles
        Fetches manifests.
    """

    def __init__(self, files: RepositoryFiles) -> None:
        self._files = files
        self._below: dict[str, tuple[ArrayReader, ArrayReader]] = {}

    def find(
        self, reader: ArrayReader, base: Snapshot, changes: ChangeSet, coords: ChunkIndex
    ) -> Location | None:
        """Location of a chunk in the base; None where there is none or a resize removed it.

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
            known = reader, ArrayReader(reader.node, base, resized, self._files)
            self._below[reader.node.path] = known
        return known[1].find(coords)


def holds(storage: Storage, location: Location | None, data: bytes | memoryview) -> bool:
    """Whether a chunk has exactly these bytes; False where that is not known.

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
        return False  # for example because the object is missing: write it again


def equal_bytes(
    storage: Storage, one: ChunkTable, two: ChunkTable, *, to_the_end: bool = False
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which chunks of two tables have equal bytes at different locations.

    Lengths are compared first, then bytes, a limited number of chunks at a time.

    Parameters
    ----------
    storage : Storage
        Storage with the chunks of both tables.
    one, two : ChunkTable
        References of the same chunks, in the same order.
    to_the_end : bool
        Also compare what comes after the first difference.

    Returns
    -------
    numpy.ndarray
        bool of shape ``(n,)``; False also for chunks that were not compared.
    """
    equal = np.zeros(len(one), np.bool_)
    own = [np.isin(table.kind, (NATIVE, INLINE)) for table in (one, two)]
    candidates = own[0] & own[1] & (one.length == two.length)

    def same(row: int) -> bool:
        if not candidates[row]:
            return False
        where = place(two.location(row), None)
        data = storage.read_range(*where) if isinstance(where, tuple) else where
        return holds(storage, one.location(row), data)

    for start in range(0, len(one), _BATCH):
        rows = range(start, min(start + _BATCH, len(one)))
        equal[rows.start : rows.stop] = map_parallel(same, rows)
        if not to_the_end and not equal[rows.start : rows.stop].all():
            break
    return equal


def _equal(one: bytes | memoryview, two: bytes | memoryview) -> bool:
    return np.array_equal(np.frombuffer(one, np.uint8), np.frombuffer(two, np.uint8))
