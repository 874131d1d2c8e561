"""Fetch and write snapshots, manifests and transaction logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from threading import Semaphore
from typing import TypeVar

from icechunk.config.resolve import Settings
from icechunk.core.errors import ErrorKind, FormatError
from icechunk.core.ids import NodeId, ObjectId, id_text, new_object_id
from icechunk.core.runtime import PerProcess, SingleFlight, start
from icechunk.files.cache import WeightedCache
from icechunk.files.layout import log_key, manifest_key, snapshot_key
from icechunk.spec.dialect import Dialect
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.decode import Manifest, decode_manifest, encode_manifest
from icechunk.spec.manifest.patch import ManifestPatch
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.snapshot.codec import (
    decode_manifest_infos,
    decode_record,
    decode_snapshot,
    encode_and_keep,
)
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot
from icechunk.spec.transaction_log.codec import decode_transaction_log, encode_transaction_log
from icechunk.spec.transaction_log.log import TransactionLog
from icechunk.storage.base import Storage

_log = logging.getLogger(__name__)

T = TypeVar("T")

_RECORDS = 100_000
"""Commits of spec 1 whose records are kept; a record is about a kilobyte."""

_KEPT_REFS = 128
"""Manifests of so few references are kept when they are written."""
_SPARE = 1024  # bytes


class RepositoryFiles:
    """The immutable files of one repository.

    Files never change once written, so what was decoded is kept (bounded by the caching settings)
    and concurrent readers of one file share one request.

    Parameters
    ----------
    storage : Storage
        Where the files are.
    settings : Settings
        Compression level and cache sizes.
    dialect : Dialect
        How new files are written.
    keeps : bool
        The caches are meant to hold what is read; False where they are off for one walk.
    """

    def __init__(
        self, storage: Storage, settings: Settings, dialect: Dialect, *, keeps: bool = True
    ) -> None:
        self.storage = storage
        self._limits = {
            "num_snapshot_nodes": settings.num_snapshot_nodes,
            "num_chunk_refs": settings.num_chunk_refs,
        }
        self._warned = set() if keeps else set(self._limits)
        self.dialect = dialect
        self._level = settings.compression_level
        self._decodes = PerProcess(partial(Semaphore, settings.max_concurrent_decodes))
        self._snapshots: WeightedCache[ObjectId, Snapshot] = WeightedCache(
            settings.num_snapshot_nodes
        )
        self._manifests: WeightedCache[ObjectId, Manifest] = WeightedCache(settings.num_chunk_refs)
        self._logs: WeightedCache[ObjectId, TransactionLog] = WeightedCache(
            settings.num_transaction_changes
        )
        self._records: WeightedCache[ObjectId, SnapshotRecord] = WeightedCache(_RECORDS)
        self._preloaded: ObjectId | None = None
        self._flights: SingleFlight[str, Snapshot | Manifest] = SingleFlight()

    def snapshot(self, snapshot_id: ObjectId) -> Snapshot:
        """Return a decoded snapshot file."""
        held = self._snapshots.get(snapshot_id)
        if held is not None:
            return held
        key = snapshot_key(snapshot_id)

        def load() -> Snapshot:
            snapshot = self._decoded(decode_snapshot, key)
            _check_id(snapshot.id, snapshot_id, key)
            count = len(snapshot.nodes)
            if not self._snapshots.put(snapshot_id, snapshot, count + 1):
                self._warn_too_small("snapshot", f"{count} nodes", "num_snapshot_nodes")
            return snapshot

        loaded = self._flights.run(key, load)
        assert isinstance(loaded, Snapshot)
        return loaded

    def held_snapshot(self, snapshot_id: ObjectId) -> Snapshot | None:
        """Snapshot that is in memory already, or None."""
        return self._snapshots.get(snapshot_id)

    def record(self, snapshot_id: ObjectId, *, reread: bool = False) -> SnapshotRecord:
        """Return the commit that a snapshot file describes; the parent only in files of spec 1.

        Parameters
        ----------
        snapshot_id : ObjectId
            Which one.
        reread : bool
            Read the file even if it is cached: expiration in spec 1 rewrites the parent in place.
        """
        held = None if reread else self._records.get(snapshot_id)
        if held is not None:
            return held
        key = snapshot_key(snapshot_id)
        record = self._decoded(decode_record, key)
        _check_id(record.id, snapshot_id, key)
        self._records.put(snapshot_id, record, 1)
        return record

    def held_record(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        """Record that is in memory already, or None."""
        return self._records.get(snapshot_id)

    def rewrite_snapshot(self, snapshot: Snapshot) -> None:
        """Replace a snapshot file, as expiration in spec 1 does to cut history."""
        self._write_snapshot(snapshot)
        self.record(snapshot.id, reread=True)

    def held_manifest(self, manifest_id: ObjectId) -> Manifest | None:
        """Manifest that is in memory already, or None."""
        return self._manifests.get(manifest_id)

    def may_preload(self, snapshot_id: ObjectId) -> bool:
        """Whether manifests of a snapshot may be worth fetching ahead; once for each in turn."""
        fresh = self._preloaded != snapshot_id
        self._preloaded = snapshot_id
        return fresh

    def manifest(self, manifest_id: ObjectId, num_chunk_refs: int = 0) -> Manifest:
        """Decoded manifest file.

        Parameters
        ----------
        manifest_id : ObjectId
            Which one.
        num_chunk_refs : int
            Its number of references as the snapshot gives it: the weight in the cache, and what
            the file has to hold at least.
        """
        held = self._manifests.get(manifest_id)
        if held is not None:
            return held

        def load() -> Manifest:
            manifest = self.read_manifest(manifest_id, num_chunk_refs)
            count = manifest.num_chunk_refs
            if not self._manifests.put(manifest_id, manifest, count + 1):
                self._warn_too_small("manifest", f"{count} chunk references", "num_chunk_refs")
            return manifest

        loaded = self._flights.run(manifest_key(manifest_id), load)
        assert isinstance(loaded, Manifest)
        return loaded

    def read_manifest(self, manifest_id: ObjectId, num_chunk_refs: int = 0) -> Manifest:
        """Fetch and decode a manifest file, whatever is in memory; see `manifest`."""
        key = manifest_key(manifest_id)
        manifest = self._decoded(decode_manifest, key)
        _check_id(manifest.id, manifest_id, key)
        if manifest.num_chunk_refs < num_chunk_refs:
            raise FormatError(
                f"object `{key}` holds {manifest.num_chunk_refs} chunk references, its "
                f"snapshot promises {num_chunk_refs}. It is damaged: restore it from a backup "
                "or use another snapshot",
                ErrorKind.DESERIALIZATION,
            )
        return manifest

    def read_manifest_infos(self, snapshot_id: ObjectId) -> dict[ObjectId, ManifestInfo]:
        """Fetch a snapshot file and return the manifests that it needs, and nothing else of it."""
        key = snapshot_key(snapshot_id)
        found_id, infos = self._decoded(decode_manifest_infos, key)
        _check_id(found_id, snapshot_id, key)
        return infos

    def log(self, snapshot_id: ObjectId) -> TransactionLog:
        """Decoded transaction log of a snapshot."""
        held = self._logs.get(snapshot_id)
        if held is not None:
            return held
        key = log_key(snapshot_id)
        log = self._decoded(decode_transaction_log, key)
        _check_id(log.id, snapshot_id, key)
        weight = sum(len(chunks) for chunks in log.updated_chunks.values()) + 1
        self._logs.put(snapshot_id, log, weight)
        return log

    def _decoded(self, decode: Callable[..., T], key: str) -> T:
        """Fetch and decode a file that is not in memory."""
        _log.debug("cache miss key=%s", key)
        data = self.storage.get(key).data
        with self._decodes.get():
            return decode(data, name=key)

    def _warn_too_small(self, kind: str, size: str, field: str) -> None:
        """Warn, once for each cache, that a file is fetched again whenever it is needed."""
        if field not in self._warned:
            self._warned.add(field)
            _log.warning(
                "A %s of %s does not fit into its cache (%s=%d), so it is fetched whenever it is "
                "needed. Increase `%s` of `CachingConfig`",
                kind, size, field, self._limits[field], field,
            )  # fmt: skip

    def write_manifest(self, arrays: Mapping[NodeId, ChunkTable]) -> ManifestInfo:
        """Write the references of some arrays as one new manifest."""
        manifest_id = new_object_id()
        data = encode_manifest(manifest_id, arrays, dialect=self.dialect, level=self._level)
        self.storage.put(manifest_key(manifest_id), data)
        refs = sum(map(len, arrays.values()))
        # The next commit merges its changes with them.
        if refs <= _KEPT_REFS and all(map(_tidy, arrays.values())):
            self._manifests.put(manifest_id, Manifest(manifest_id, dict(arrays)), refs + 1)
        return ManifestInfo(manifest_id, len(data), refs)

    def write_patch(self, patch: ManifestPatch) -> ManifestInfo:
        """Write a manifest with some references replaced as a new one."""
        manifest_id = new_object_id()
        data = patch.encode(manifest_id, dialect=self.dialect, level=self._level)
        self.storage.put(manifest_key(manifest_id), data)
        return ManifestInfo(manifest_id, len(data), patch.num_chunk_refs)

    def write_snapshot_and_log(self, snapshot: Snapshot, log: TransactionLog) -> None:
        """Write a snapshot file and its transaction log, side by side where that saves time."""
        if self.storage.blocking_ok:
            self._write_snapshot(snapshot)
            self._write_log(log)
            return
        pending = start(self._write_log, log)
        self._write_snapshot(snapshot)
        pending.result()

    def _write_snapshot(self, snapshot: Snapshot) -> None:
        data, kept = encode_and_keep(snapshot, dialect=self.dialect, level=self._level)
        self.storage.put(snapshot_key(snapshot.id), data)
        self._snapshots.put(snapshot.id, kept, len(kept.nodes) + 1)

    def _write_log(self, log: TransactionLog) -> None:
        data = encode_transaction_log(log, dialect=self.dialect, level=self._level)
        self.storage.put(log_key(log.id), data)


def _tidy(table: ChunkTable) -> bool:
    """Whether a table drags no more texts of chunks written over along than it uses."""
    return all(
        texts is None or memoryview(texts.pool).nbytes <= 2 * int(texts.length.sum()) + _SPARE
        for texts in (table.text, table.etag)
    )


def _check_id(found: ObjectId, wanted: ObjectId, key: str) -> None:
    """Refuse a file that is not the one its name says."""
    if found != wanted:
        raise FormatError(
            f"object `{key}` is the file of `{id_text(found)}`: it was damaged, or copied to a "
            "wrong name. Restore it from a backup or use another snapshot",
            ErrorKind.INVALID_FILE_FORMAT,
        )
