"""The commits of a repository as numpy columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.errors import SnapshotNotFoundError
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.engine.context import RepoContext
from icechunk.refs.base import RefStore
from icechunk.refs.capabilities import Capability
from icechunk.refs.stash_names import is_stash
from icechunk.spec.columns.id_columns import texts_of
from icechunk.spec.repo.lineage import LINEAGE_KEY, further_parents
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.spec.columns.text_pool import TextPool
    from icechunk.spec.manifest.file_info import ManifestFileInfo

ID_CHARS = 20
_ID_ALPHABET = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


class CommitTable:
    """Commits, branches and tags of a repository, read at one instant, one row per commit.

    Made by `Repository.commit_table`. Columns of 100,000 commits take milliseconds; a row becomes
    a `SnapshotInfo` when it is indexed. Rows are sorted by the bytes of the snapshot ids, and do
    not change when commits are made afterwards.

    Attributes
    ----------
    branches, tags : mapping of str to str
        Snapshot id that each name points to; without stashes.
    """

    def __init__(
        self,
        branches: Mapping[str, ObjectId],
        tags: Mapping[str, ObjectId],
        table: SnapshotTable,
        find_manifests: Callable[[str], list[ManifestFileInfo]],
    ) -> None:
        self.branches: Mapping[str, str] = {
            name: id_text(one) for name, one in branches.items() if not is_stash(name)
        }
        self.tags: Mapping[str, str] = {name: id_text(one) for name, one in tags.items()}
        self._table = table
        self._find_manifests = find_manifests

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return (
            f"<CommitTable of {len(self)} commits, {len(self.branches)} branches, "
            f"{len(self.tags)} tags>"
        )

    def __getitem__(self, row: int) -> SnapshotInfo:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} commits")
        return SnapshotInfo.of(self._table.record(row % len(self)), self._find_manifests)

    def __iter__(self) -> Iterator[SnapshotInfo]:
        return (self[row] for row in range(len(self)))

    @cached_property
    def ids(self) -> NDArray[np.bytes_]:
        """Snapshot ids, 20 ASCII characters each, dtype ``S20``, shape ``(n,)``."""
        ids = np.array(texts_of(self._table.ids.reshape(-1).view("S12")), f"S{ID_CHARS}")
        ids.flags.writeable = False
        return ids

    @property
    def parents(self) -> NDArray[np.int64]:
        """Row of each commit's parent, -1 where it has none, shape ``(n,)``; see also `merges`."""
        parents = self._table.parents.view()
        parents.flags.writeable = False
        return parents

    @cached_property
    def merges(self) -> Mapping[int, tuple[int, ...]]:
        """Rows of the further parents of each merge, by its row; -1 for parents that expired."""
        packed = self._table.packed
        found = {}
        for row in packed.rows_with(LINEAGE_KEY).tolist():
            others = further_parents(packed.of_row(row))
            if others:
                found[row] = tuple(self._table.find(one) for one in others)
        return found

    @property
    def written_at(self) -> NDArray[np.datetime64]:
        """When each commit was written, UTC, dtype ``datetime64[us]``, shape ``(n,)``."""
        times = self._table.flushed_at.view("datetime64[us]")
        times.flags.writeable = False
        return times

    def id(self, row: int) -> str:
        """Snapshot id of a row."""
        return id_text(self._table.id_at(row))

    def find(self, snapshot_id: str) -> int:
        """Row of a snapshot id, -1 when it is not in the table."""
        return self._table.find(parse_object_id(snapshot_id))

    def search(self, text: str) -> NDArray[np.int64]:
        """Rows of the commits whose message, metadata or id contains a text.

        Parameters
        ----------
        text : str
            Upper and lower case of ASCII letters count as equal.

        Returns
        -------
        ndarray of int64
            Increasing; empty for an empty text.
        """
        sought = text.strip().replace("\0", "").lower()
        if not sought:
            return np.zeros(0, np.int64)
        table, raw = self._table, sought.encode()
        hit = np.zeros(len(table), np.bool_)
        hit[_containing(table.messages, raw)] = True
        packed = table.packed
        items = _containing(packed.values, raw)
        owners = np.flatnonzero(packed.count > 0)
        owners = owners[np.argsort(packed.first[owners], kind="stable")]
        if len(owners):
            hit[owners[np.searchsorted(packed.first[owners], items, side="right") - 1]] = True
        key = sought.upper()
        if len(key) <= ID_CHARS and set(key) <= _ID_ALPHABET:
            letters = self.ids.tobytes()
            starts = (match.start() for match in re.finditer(f"(?={key})".encode(), letters))
            at = np.fromiter(starts, np.int64)
            hit[at[at % ID_CHARS + len(key) <= ID_CHARS] // ID_CHARS] = True
        return np.flatnonzero(hit)


def _containing(pool: TextPool, raw: bytes) -> NDArray[np.int64]:
    """Rows of a pool whose text contains some bytes, ASCII letters of any case."""
    matches = re.finditer(b"(?=%b)" % re.escape(raw), bytes(pool.data).lower())
    positions = np.fromiter((match.start() for match in matches), np.int64)
    order = np.argsort(pool.start, kind="stable")
    order = order[pool.length[order] >= 0]
    if not len(positions) or not len(order):
        return np.zeros(0, np.int64)
    # Rows may share a text, so every row that starts where a hit's text starts has it.
    start, length = pool.start[order], pool.length[order]
    before = np.searchsorted(start, positions, side="right") - 1
    inside = (before >= 0) & (positions + len(raw) <= (start + length)[np.maximum(before, 0)])
    return np.asarray(order[np.isin(start, start[before[inside]])])


def with_merged(ref_store: RefStore, records: list[SnapshotRecord]) -> list[SnapshotRecord]:
    """Commits with those that only their merges reach, newest first.

    Nothing keeps the further parents of a merge alive: expired ones are left out.
    """
    listed = {record.id: record for record in records}
    pending = [record for record in records if further_parents(record.metadata)]
    if not pending:
        return records
    while pending:
        for parent in further_parents(pending.pop().metadata):
            try:
                for record in () if parent in listed else ref_store.ancestry(parent):
                    if record.id in listed:
                        break
                    listed[record.id] = record
                    pending.append(record)
            except SnapshotNotFoundError:
                continue
    return _children_first(listed)


def _children_first(listed: Mapping[ObjectId, SnapshotRecord]) -> list[SnapshotRecord]:
    """Commits, newest first, but each before its parents, whose clocks may have been ahead."""
    above: dict[ObjectId, list[ObjectId]] = {}
    for one, record in listed.items():
        parents = (record.parent_id, *further_parents(record.metadata))
        above[one] = [id for id in parents if id is not None and id in listed]
    waiting = Counter(id for ids in above.values() for id in ids)
    ready = [(-record.flushed_at, one) for one, record in listed.items() if not waiting[one]]
    heapify(ready)
    found: list[SnapshotRecord] = []
    while ready:
        record = listed[heappop(ready)[1]]
        found.append(record)
        for id in above[record.id]:
            waiting[id] -= 1
            if not waiting[id]:
                heappush(ready, (-listed[id].flushed_at, id))
    return found


def commit_table(
    ctx: RepoContext,
    snapshot_id: ObjectId | None,
    find_manifests: Callable[[str], list[ManifestFileInfo]],
) -> CommitTable:
    """Read the commits, branches and tags of a repository; see `Repository.commit_table`."""
    ref_store = ctx.ref_store
    if Capability.REPO_OBJECT in ref_store.capabilities:
        state = ref_store.state()
        if snapshot_id is not None:
            state.snapshots.row_of(snapshot_id)
        return CommitTable(state.branches, state.tags, state.snapshots, find_manifests)
    branches, tags, records = ref_store.commits()
    if snapshot_id is not None:
        listed = {record.id for record in records}
        records += [one for one in ref_store.ancestry(snapshot_id) if one.id not in listed]
    records = with_merged(ref_store, records)
    return CommitTable(branches, tags, SnapshotTable.from_records(records), find_manifests)
