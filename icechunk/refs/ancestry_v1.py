"""Ancestry in spec 1, where each snapshot file names its parent."""

from __future__ import annotations

from collections.abc import Iterator

from icechunk.core.clock import MAX_SKEW_US
from icechunk.core.errors import ErrorKind, FormatError, InvalidInputError, StorageError
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.core.runtime import map_parallel
from icechunk.files.layout import SNAPSHOTS
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.repo.snapshot_table import SnapshotRecord

_ONE_BY_ONE = 4
"""Files fetched one after the other before more are fetched ahead."""

_AHEAD = 32
"""Files fetched at once unless the caller says otherwise."""


class SnapshotFileAncestry:
    """Walks from snapshots back to their roots.

    Where a request takes long, files that are probably ancestors (older, and not known yet) are
    fetched side by side once a walk turns out to be long.

    Parameters
    ----------
    files : RepositoryFiles
        The repository's files.
    ahead : int, optional
        Files fetched at once.
    """

    def __init__(self, files: RepositoryFiles, ahead: int | None = None) -> None:
        self._files = files
        self._ahead = _AHEAD if ahead is None else max(ahead, 1)
        self._fetched = 0
        self._listed: list[tuple[int, ObjectId]] | None = None

    def back_from(self, record: SnapshotRecord) -> Iterator[SnapshotRecord]:
        """A snapshot and its ancestors, newest first.

        Raises
        ------
        FormatError
            For an ancestor that is missing, and for parents that form a cycle.
        """
        seen: set[ObjectId] = set()
        while True:
            yield record
            seen.add(record.id)
            if record.parent_id is None:
                return
            if record.parent_id in seen:
                raise FormatError(
                    f"damaged history: the ancestors of snapshot `{id_text(record.id)}` go round "
                    "in a circle. Restore the file of that snapshot from a backup.",
                    ErrorKind.DESERIALIZATION,
                )
            record = self._parent(record)

    def _parent(self, record: SnapshotRecord) -> SnapshotRecord:
        assert record.parent_id is not None
        parent = self._find(record.parent_id, older_than=record)
        if parent is None:
            # Expiration may have given the snapshot another parent since its file was read.
            again = self._files.record(record.id, reread=True)
            if again.parent_id not in (None, record.parent_id):
                parent = self._find(again.parent_id, older_than=record)
        if parent is None:
            raise FormatError(
                f"damaged history: snapshot `{id_text(record.parent_id)}`, the parent of "
                f"`{id_text(record.id)}`, is missing. Restore its file from a backup, or reset "
                "the branches that descend from it.",
                ErrorKind.DESERIALIZATION,
            )
        return parent

    def _find(self, snapshot_id: ObjectId, *, older_than: SnapshotRecord) -> SnapshotRecord | None:
        held = self._files.held_record(snapshot_id)
        if held is not None:
            return held
        self._fetched += 1
        if self._fetched > _ONE_BY_ONE and not self._files.storage.blocking_ok:
            self._fetch_ahead(older_than.flushed_at)
        return self._load(snapshot_id)

    def _load(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        try:
            return self._files.record(snapshot_id)
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return None

    def _fetch_ahead(self, before: int) -> None:
        """Fetch the newest unknown snapshots written before a time (µs since 1970)."""
        if self._listed is None:
            self._listed = sorted(self._list(), reverse=True)
        batch: list[ObjectId] = []
        rest: list[tuple[int, ObjectId]] = []
        for modified, snapshot_id in self._listed:
            wanted = len(batch) < self._ahead and modified <= before + MAX_SKEW_US
            if wanted and self._files.held_record(snapshot_id) is None:
                batch.append(snapshot_id)
            elif not wanted:
                rest.append((modified, snapshot_id))
        self._listed = rest
        map_parallel(self._load, batch)

    def _list(self) -> Iterator[tuple[int, ObjectId]]:
        for info in self._files.storage.list(SNAPSHOTS):
            try:
                yield info.modified, parse_object_id(info.key.rpartition("/")[2])
            except InvalidInputError:
                continue  # not a snapshot file: other programs may put files here
