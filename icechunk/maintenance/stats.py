"""How many bytes the chunks of a repository take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.engine.context import RepoContext
from icechunk.ground.ids import ObjectId
from icechunk.maintenance.reach import ancestors, manifests_of, private_assets, ref_targets
from icechunk.model.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable
from icechunk.model.id_columns import from_rows, from_texts, member
from icechunk.model.snapshot import ManifestInfo
from icechunk.model.storage_stats import ChunkStorageStats, PackUsage

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def chunk_storage_stats(ctx: RepoContext) -> ChunkStorageStats:
    """Bytes of the chunks that branches, tags and their histories refer to."""
    native = _Distinct(_NATIVE_ROW.itemsize)
    virtual: set[tuple[bytes, int, int]] = set()
    inline = 0
    for table in _tables(ctx):
        native.add(_native_rows(table))
        inline += int(table.length[table.kind == INLINE].sum())
        virtual |= _virtual_ranges(table)
    rows = native.settled().reshape(-1).view(_NATIVE_ROW)
    return ChunkStorageStats(
        native_bytes=int(rows["length"].sum(dtype=np.uint64)),
        virtual_bytes=sum(length for _, _, length in virtual),
        inlined_bytes=inline,
    )


def pack_usage(ctx: RepoContext) -> PackUsage:
    """How much of the chunk objects that history refers to is still referred to."""
    native = _Distinct(_NATIVE_ROW.itemsize)
    for table in _tables(ctx):
        native.add(_native_rows(table))
    rows = native.settled().reshape(-1).view(_NATIVE_ROW)
    objects = from_rows(np.ascontiguousarray(rows["id"]).view(np.uint8).reshape(-1, 12))
    stored = 0
    infos = list(ctx.storage.list("chunks"))
    ids, valid = from_texts([info.key.rpartition("/")[2] for info in infos])
    for row in np.flatnonzero(valid & member(ids, objects)).tolist():
        stored += infos[row].size
    return PackUsage(len(objects), stored, int(rows["length"].sum(dtype=np.uint64)))


def _tables(ctx: RepoContext) -> Iterator[ChunkTable]:
    """References of every manifest in the history of the refs, each once."""
    assets = private_assets(ctx)
    ledger = ctx.ledger.under(assets, ctx.settings)
    infos: dict[ObjectId, ManifestInfo] = {}
    for snapshot_id in ancestors(ledger, ref_targets(ledger)):
        infos.update(manifests_of(assets.snapshot(snapshot_id)))
    for info in infos.values():
        yield from assets.manifest(info.id, info.num_chunk_refs).arrays.values()


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
