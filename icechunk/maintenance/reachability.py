"""Find what a repository needs: its snapshots, and the files that they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from icechunk.core.errors import (
    ErrorKind,
    FormatError,
    IcechunkError,
    SnapshotNotFoundError,
    StorageError,
)
from icechunk.core.ids import ObjectId
from icechunk.engine.context import RepoContext
from icechunk.files.repository_files import RepositoryFiles
from icechunk.maintenance.bounded_walk import BoundedWalk
from icechunk.maintenance.limits import Limits
from icechunk.refs.base import RefStore
from icechunk.refs.capabilities import Capability
from icechunk.spec.columns.id_columns import NO_IDS, Ids, column, from_rows, ids_of, union, without
from icechunk.spec.repo.snapshot_table import SnapshotTable
from icechunk.spec.snapshot.snapshot import ManifestInfo

_UNITED = 64


@dataclass(frozen=True, slots=True, eq=False)
class Reachable:
    """Ids of all files that some snapshots need, as sorted columns.

    Attributes
    ----------
    snapshots, logs, manifests, chunks : Ids
        `logs` are named by the snapshots they belong or belonged to; `chunks` are objects, each of
        which may hold many chunks.
    """

    snapshots: Ids
    logs: Ids
    manifests: Ids
    chunks: Ids

    def and_also(self, other: Reachable) -> Reachable:
        """Union of both."""
        return Reachable(
            union([self.snapshots, other.snapshots]),
            union([self.logs, other.logs]),
            union([self.manifests, other.manifests]),
            union([self.chunks, other.chunks]),
        )


class Roots:
    """The snapshots that a repository lists, read again at every call.

    Parameters
    ----------
    ref_store : RefStore
        Without cached history.
    """

    def __init__(self, ref_store: RefStore) -> None:
        self._ref_store = ref_store
        self._seen: object = None

    def look(self) -> tuple[Ids, Ids] | None:
        """Snapshots and logs to keep; None when nothing changed since the last call."""
        if Capability.REPO_OBJECT in self._ref_store.capabilities:
            state = self._ref_store.state()
            if state is self._seen:
                return None
            self._seen = state
            return from_rows(state.snapshots.ids), pruned_ids(state.snapshots)
        targets = ref_targets(self._ref_store)
        if targets == self._seen:
            return None
        self._seen = targets
        return column(ancestors(self._ref_store, targets)), NO_IDS


def ref_targets(ref_store: RefStore) -> frozenset[ObjectId]:
    """Snapshots that branches and tags point to."""
    return frozenset(ref_store.branches().values()) | frozenset(ref_store.tags().values())


def ancestors(ref_store: RefStore, targets: Iterable[ObjectId]) -> set[ObjectId]:
    """Snapshots and all their ancestors."""
    found: set[ObjectId] = set()
    for target in targets:
        for record in ref_store.ancestry(target):
            if record.id in found:
                break
            found.add(record.id)
    return found


def ancestors_that_remain(
    ref_store: RefStore, targets: Iterable[ObjectId], known: set[ObjectId]
) -> set[ObjectId]:
    """Snapshots that may belong to a failed operation, and the rest of their histories.

    Parameters
    ----------
    ref_store : RefStore
        Without cached history.
    targets : iterable of ObjectId
        Where to start.
    known : set of ObjectId
        Snapshots that are kept with all their ancestors.
    """
    found: set[ObjectId] = set()
    for target in targets:
        found.add(target)
        try:
            for record in ref_store.ancestry(target):
                if record.id in known:
                    break
                found.add(record.id)
        except (StorageError, FormatError, SnapshotNotFoundError) as error:
            _pass_over(error, doubtful=True)
    return found


def pruned_ids(table: SnapshotTable) -> Ids:
    """Removed snapshots whose logs are still needed."""
    rows = np.flatnonzero(table.pruned_count)
    spans = [
        table.pruned_ids[first : first + count]
        for first, count in zip(
            table.pruned_first[rows].tolist(), table.pruned_count[rows].tolist(), strict=True
        )
    ]
    return from_rows(np.concatenate(spans)) if spans else NO_IDS


def uncached_files(ctx: RepoContext) -> RepositoryFiles:
    """Access to a repository's files without caches.

    Cached files may be older than the stored ones, and a walk over everything would evict what
    sessions need.
    """
    nothing = ctx.settings._replace(num_snapshot_nodes=0, num_chunk_refs=0)
    return RepositoryFiles(ctx.storage, nothing, ctx.files.dialect, keeps=False)


class Explorer:
    """Follows references from snapshots to manifests to chunks, each file once.

    Parameters
    ----------
    files : RepositoryFiles
        The repository's files.
    limits : Limits
        How much is fetched and held at once.
    """

    def __init__(self, files: RepositoryFiles, limits: Limits) -> None:
        self._files = files
        self._walk = BoundedWalk(limits, files.storage.blocking_ok)
        self.reach = Reachable(NO_IDS, NO_IDS, NO_IDS, NO_IDS)

    def add(self, snapshots: Ids, logs: Ids = NO_IDS, *, doubtful: bool = False) -> None:
        """Add the files that some snapshots need to `reach`.

        Parameters
        ----------
        snapshots, logs : Ids
            What to keep; snapshots known already cost nothing.
        doubtful : bool
            The snapshots may be left over from something that never came about: what is missing
            or damaged is passed over.

        Raises
        ------
        StorageError, FormatError
            When a file that is needed is missing or damaged.
        """
        fresh = without(snapshots, self.reach.snapshots)
        infos = self._infos(ids_of(fresh), doubtful)
        manifests = column(infos)
        unread = ids_of(without(manifests, self.reach.manifests))
        chunks = self._walk.manifests(
            lambda info: self._chunks(info, doubtful), (infos[wanted] for wanted in unread)
        )
        self.reach = self.reach.and_also(
            Reachable(fresh, union([logs, fresh]), manifests, _settled(chunks))
        )

    def _infos(
        self, snapshots: Sequence[ObjectId], doubtful: bool
    ) -> Mapping[ObjectId, ManifestInfo]:
        """Manifests that some snapshots refer to."""

        def load(snapshot_id: ObjectId) -> dict[ObjectId, ManifestInfo]:
            try:
                return self._files.read_manifest_infos(snapshot_id)
            except (StorageError, FormatError) as error:
                _pass_over(error, doubtful)
                return {}

        found: dict[ObjectId, ManifestInfo] = {}
        for infos in self._walk.snapshots(load, snapshots):
            found.update(infos)
        return found

    def _chunks(self, info: ManifestInfo, doubtful: bool) -> Ids:
        """Chunk objects that a manifest refers to."""
        try:
            manifest = self._files.read_manifest(info.id, info.num_chunk_refs)
            return union([from_rows(ids) for ids in manifest.native_ids()])
        except (StorageError, FormatError) as error:
            _pass_over(error, doubtful)
            return NO_IDS


def _pass_over(error: IcechunkError, doubtful: bool) -> None:
    """Skip a missing or damaged file of a failed operation; raise any other error."""
    damaged = isinstance(error, FormatError | SnapshotNotFoundError)
    damaged |= error.kind == ErrorKind.OBJECT_NOT_FOUND
    if not (doubtful and damaged):
        raise error


def _settled(columns: Iterable[Ids]) -> Ids:
    """Union of many columns, made in groups: they may have much in common."""
    settled = NO_IDS
    rest = iter(columns)
    while group := list(islice(rest, _UNITED)):
        settled = union([settled, *group])
    return settled
