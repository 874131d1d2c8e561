"""Compute how many bytes the chunks of a repository take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from icechunk.core.ids import ObjectId
from icechunk.engine.context import RepoContext
from icechunk.maintenance.bounded_walk import BoundedWalk
from icechunk.maintenance.limits import Limits
from icechunk.maintenance.reachability import ancestors, ref_targets, uncached_files
from icechunk.maintenance.storage_stats import ChunkStorageStats, PackUsage
from icechunk.spec.columns.id_columns import from_rows, from_texts, member
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable
from icechunk.spec.snapshot.snapshot import ManifestInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

R = TypeVar("R")

_NATIVE_ROW = np.dtype([("id", "S12"), ("offset", ">u8"), ("length", ">u8")])
_SETTLE = 1_000_000
"""Rows gathered before repeated ones are dropped."""


class _Distinct:
    """Fixed-size rows of bytes, each kept once."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: list[NDArray[Any]] = []
        self._waiting = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Add rows, in any order and with repetitions."""
        if len(rows):
            self._parts.append(np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1))
            self._waiting += len(rows)
        if self._waiting > _SETTLE:
            self.settled()

    def settled(self) -> NDArray[np.uint8]:
        """The distinct rows, uint8 of shape (n, width)."""
        width = self._width
        rows = np.concatenate([np.empty((0, width), np.uint8), *self._parts])
        rows = rows[np.argsort(np.ascontiguousarray(rows).view(f"S{width}").reshape(-1))]
        first = np.ones(len(rows), np.bool_)
        first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
        self._parts, self._waiting = [rows[first]], 0
        return self._parts[0]


def chunk_storage_stats(ctx: RepoContext, limits: Limits | None = None) -> ChunkStorageStats:
    """Bytes of the chunks that branches, tags and their histories refer to.

    Parameters
    ----------
    ctx : RepoContext
        The repository.
    limits : Limits, optional
        Bounds of memory and requests.
    """

    def read(table: ChunkTable) -> tuple[NDArray[Any], int, set[tuple[bytes, int, int]]]:
        inline = int(table.length[table.kind == INLINE].sum())
        return _native_rows(table), inline, _virtual_ranges(table)

    native = _Distinct(_NATIVE_ROW.itemsize)
    virtual: set[tuple[bytes, int, int]] = set()
    inline = 0
    for rows, inlined, ranges in _tables(ctx, read, limits):
        native.add(rows)
        inline += inlined
        virtual |= ranges
    distinct = native.settled().reshape(-1).view(_NATIVE_ROW)
    return ChunkStorageStats(
        native_bytes=int(distinct["length"].sum(dtype=np.uint64)),
        virtual_bytes=sum(length for _, _, length in virtual),
        inlined_bytes=inline,
    )


def pack_usage(ctx: RepoContext) -> PackUsage:
    """Compute how much of the chunk objects in use is referred to."""
    native = _Distinct(_NATIVE_ROW.itemsize)
    for each in _tables(ctx, _native_rows):
        native.add(each)
    rows = native.settled().reshape(-1).view(_NATIVE_ROW)
    objects = from_rows(np.ascontiguousarray(rows["id"]).view(np.uint8).reshape(-1, 12))
    stored = 0
    infos = list(ctx.storage.list("chunks"))
    ids, valid = from_texts([info.key.rpartition("/")[2] for info in infos])
    for row in np.flatnonzero(valid & member(ids, objects)).tolist():
        stored += infos[row].size
    return PackUsage(len(objects), stored, int(rows["length"].sum(dtype=np.uint64)))


def _tables(
    ctx: RepoContext, read: Callable[[ChunkTable], R], limits: Limits | None = None
) -> Iterator[R]:
    """Results of a function of the references in every manifest of the history, each once."""
    files = uncached_files(ctx)
    ref_store = ctx.ref_store.under(files, ctx.settings)
    walk = BoundedWalk(limits or Limits(), ctx.storage.blocking_ok)
    infos: dict[ObjectId, ManifestInfo] = {}
    ids = list(ancestors(ref_store, ref_targets(ref_store)))
    for found in walk.snapshots(files.read_manifest_infos, ids):
        infos.update(found)

    def of_manifest(info: ManifestInfo) -> list[R]:
        manifest = files.read_manifest(info.id, info.num_chunk_refs)
        return [read(table) for table in manifest.arrays.values()]

    for results in walk.manifests(of_manifest, infos.values()):
        yield from results


def _native_rows(table: ChunkTable) -> NDArray[Any]:
    """Object, offset and length of the native references."""
    native = table.kind == NATIVE
    rows = np.zeros(int(native.sum()), _NATIVE_ROW)
    if len(rows) and table.id is not None:
        rows["id"] = np.ascontiguousarray(table.id[native]).reshape(-1).view("S12")
        rows["length"] = table.length[native]
        if table.offset is not None:
            rows["offset"] = table.offset[native]
    return rows


def _virtual_ranges(table: ChunkTable) -> set[tuple[bytes, int, int]]:
    """Location, offset and length of the virtual references."""
    rows = np.flatnonzero(table.kind == VIRTUAL)
    text = table.text
    if not len(rows) or text is None:
        return set()
    offsets = np.zeros(len(rows), np.uint64) if table.offset is None else table.offset[rows]
    return {
        (text.bytes_at(row), offset, length)
        for row, offset, length in zip(
            rows.tolist(), offsets.tolist(), table.length[rows].tolist(), strict=True
        )
    }
