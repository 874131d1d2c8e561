"""Garbage collection: delete the files that no snapshot in use refers to.

Writers may commit at the same time, so the order of the steps matters:

1. The state is read, then the snapshot files are listed: every snapshot of the state has its file
   in the listing.  Files that are not older than the cut-off are young, and young snapshot files
   keep all that they refer to, also when no history lists them: they may be forks, or commits in
   progress.
2. All needed files that refer to others are read.  A missing or damaged one ends the collection
   before anything is changed.
3. Unreachable snapshots leave the repository's list by compare-and-swap.  The same swap records the
   collection in the operations log, where commits on storages without locks look for it.
4. Files are deleted in batches, first those that refer to others: a crash in between leaves files
   without references to them, which the next collection deletes, and never references to missing
   files.  Before every batch the repository is read again under the lock that commits take, and
   what was committed meanwhile is kept.

The cut-off must be older than the start of every session that is being written.  A commit whose
objects were deleted fails; see `icechunk.engine.durability`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.locks import held
from icechunk.core.timing import timed
from icechunk.engine.context import RepoContext
from icechunk.files.layout import REPO
from icechunk.maintenance.gc_summary import GCSummary
from icechunk.maintenance.limits import Limits
from icechunk.maintenance.pruning import collection
from icechunk.maintenance.reachability import (
    Explorer,
    Reachable,
    Roots,
    ancestors_that_remain,
    pruned_ids,
    uncached_files,
)
from icechunk.refs.capabilities import Capability
from icechunk.spec.columns.id_columns import (
    NO_IDS,
    Ids,
    column,
    from_rows,
    from_texts,
    ids_of,
    member,
    union,
)
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp
from icechunk.spec.repo.updates import GCRan
from icechunk.storage.base import ObjectInfo

_LISTED = 16_384
"""Objects of a listing looked at together."""

_DELETED = 1_000
"""Objects deleted between two checks for new commits; also the limit of one S3 request."""

_PATIENCE = 8
"""How often a throttled request is repeated before its objects count as not deleted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Phase:
    """One kind of object: its prefix, its counter, and which of them are needed."""

    name: str
    prefix: str
    counter: str
    needed: Callable[[Reachable], Ids]


_PHASES = (
    _Phase("snapshots", "snapshots", "snapshots_deleted", lambda reach: reach.snapshots),
    _Phase("transaction_logs", "transactions", "transaction_logs_deleted", lambda r: r.logs),
    _Phase("manifests", "manifests", "manifests_deleted", lambda reach: reach.manifests),
    _Phase("chunks", "chunks", "chunks_deleted", lambda reach: reach.chunks),
)


@timed(_log, "garbage-collect")
def garbage_collect(
    ctx: RepoContext,
    older_than: int,
    *,
    dry_run: bool = False,
    limits: Limits | None = None,
    max_consecutive_failures: int = 50,
) -> GCSummary:
    """Delete objects that are older than a time and that no snapshot in use refers to.

    Parameters
    ----------
    ctx : RepoContext
        The repository.
    older_than : int
        Exclusive cut-off, µs since 1970, compared with the time the storage gives an object.
    dry_run : bool
        Count only.
    limits : Limits, optional
        Bounds of memory and requests.
    max_consecutive_failures : int
        Objects in a row that the storage may fail to delete.

    Raises
    ------
    ReadOnlyError
        Kind ``read-only-repository``.
    StorageError
        Kind ``gc-deletes-failing`` when too many deletes fail in a row; kind ``object-not-found``,
        before anything is changed, when a file that is needed is missing.
    FormatError
        Before anything is changed, when a file that is needed is damaged.
    """
    run = _Collection(ctx, older_than, limits or Limits(), max_consecutive_failures)
    run.explore()
    if not dry_run:
        run.announce()
    return run.sweep(dry_run)


class _Collection:
    """One run of garbage collection."""

    def __init__(
        self, ctx: RepoContext, older_than: int, limits: Limits, max_consecutive_failures: int
    ) -> None:
        files = uncached_files(ctx)
        self._storage = ctx.storage
        self._cutoff = older_than
        self._ref_store = ctx.ref_store.under(files, ctx.settings)
        self._explorer = Explorer(files, limits)
        self._roots = Roots(self._ref_store)
        self._young: Ids = NO_IDS
        self._known: Ids = NO_IDS
        self._bound = max_consecutive_failures
        self._in_a_row = 0
        self.summary = GCSummary()

    # -- what stays ------------------------------------------------------------------------------

    def explore(self) -> None:
        """Find all needed files; read those that refer to others."""
        if Capability.REPO_OBJECT in self._ref_store.capabilities:
            # The state comes first: the file of every snapshot in it is then in the listing.
            state = self._ref_store.state()
            state.require_writable("Cannot garbage collect")
            self._known = from_rows(state.snapshots.ids)
            self._young = self._young_snapshots()
            cut = collection(state, self._young, self._known)
            table = state.snapshots.without(cut.removed, cut.adopted)
            self._explorer.add(from_rows(table.ids), pruned_ids(table))
            needed = self._young
        else:
            self._young = self._young_snapshots()
            self._refresh()
            # Parents are in the files: without theirs a young snapshot has no history.
            known = set(ids_of(self._explorer.reach.snapshots))
            needed = column(ancestors_that_remain(self._ref_store, ids_of(self._young), known))
        # Snapshots that no history lists: forks, commits in progress, flushes of spec 1.
        self._explorer.add(needed, doubtful=True)

    def _young_snapshots(self) -> Ids:
        """Snapshots whose file is not older than the cut-off."""
        found = [NO_IDS]
        for infos, ids in _listed(self._storage.list("snapshots")):
            young = [info.modified >= self._cutoff for info in infos]
            found.append(ids[young])
        return union(found)

    def announce(self) -> None:
        """Remove unreachable snapshots from the list, and record the collection."""
        if Capability.REPO_OBJECT not in self._ref_store.capabilities:
            return

        def transition(state: RepoState, stamp: Stamp) -> RepoState:
            cut = collection(state, self._young, self._known)
            return state.with_history_cut(GCRan(), cut.removed, cut.adopted, stamp)

        self._ref_store.update(transition)

    def _refresh(self) -> None:
        """Add what was committed since the last call to what is needed."""
        found = self._roots.look()
        if found is not None:
            self._explorer.add(*found)

    # -- what goes -------------------------------------------------------------------------------

    def sweep(self, dry_run: bool) -> GCSummary:
        """Delete, or only count, one kind of object after the other."""
        for phase in _PHASES:
            if self.summary.objects_failed_to_delete:
                # Objects that could not be deleted may refer to those of the next phases.
                self.summary.skipped_phases.append(phase.name)
                continue
            dead = self._dead(phase)
            if dry_run:
                self._count(phase, dead)
            else:
                self._delete(phase, dead)
        return self.summary

    def _dead(self, phase: _Phase) -> list[ObjectInfo]:
        """Objects of a kind that are older than the cut-off and not needed."""
        needed = phase.needed(self._explorer.reach)
        dead: list[ObjectInfo] = []
        for infos, ids in _listed(self._storage.list(phase.prefix)):
            alive = member(ids, needed)
            dead += [
                info
                for info, spared in zip(infos, alive.tolist(), strict=True)
                if info.modified < self._cutoff and not spared
            ]
        return dead

    def _delete(self, phase: _Phase, dead: Sequence[ObjectInfo]) -> None:
        for start in range(0, len(dead), _DELETED):
            batch = list(dead[start : start + _DELETED])
            self._count(phase, held(self._storage.lock(REPO), self._delete_dead, phase, batch))

    def _delete_dead(self, phase: _Phase, batch: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
        """Delete what is still not needed; the caller holds the lock of commits."""
        before = self._explorer.reach
        self._refresh()
        if self._explorer.reach is not before:
            batch = self._still_dead(phase, batch)
        return self._delete_batch(batch)

    def _still_dead(self, phase: _Phase, batch: Sequence[ObjectInfo]) -> list[ObjectInfo]:
        needed = phase.needed(self._explorer.reach)
        return [
            info
            for infos, ids in _listed(iter(batch))
            for info, spared in zip(infos, member(ids, needed).tolist(), strict=True)
            if not spared
        ]

    def _count(self, phase: _Phase, infos: Sequence[ObjectInfo]) -> None:
        summary = self.summary
        setattr(summary, phase.counter, getattr(summary, phase.counter) + len(infos))
        summary.bytes_deleted += sum(info.size for info in infos)

    def _delete_batch(self, batch: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
        """Delete objects, one by one after a failure; return those that were deleted."""
        if not batch:
            return batch
        if self._try_delete(batch) is None:
            self._in_a_row = 0
            return batch
        gone: list[ObjectInfo] = []
        problem: StorageError | None = None
        for info in batch:
            error = self._try_delete([info])
            if error is None:
                gone.append(info)
                self._in_a_row = 0
                continue
            problem = problem or error
            self.summary.objects_failed_to_delete += 1
            self._in_a_row += 1
            if self._in_a_row >= self._bound:
                raise StorageError(
                    f"garbage collection gave up: {self._in_a_row} objects in a row could not be "
                    f"deleted, the last was `{info.key}` ({error.message}). Everything that is "
                    "needed is still there; see to it that this program may delete, and collect "
                    "again",
                    ErrorKind.GC_DELETES_FAILING,
                ) from error
        if problem is not None:
            text = f"{len(batch) - len(gone)} of {len(batch)} objects not deleted: {problem}"
            self.summary.delete_errors.append(text)
            _log.warning("garbage collection: %s", text)
        return gone

    def _try_delete(self, batch: Sequence[ObjectInfo]) -> StorageError | None:
        """Delete objects, retrying throttled requests; return the error of a failure."""
        wait = 0.1
        for attempt in range(_PATIENCE + 1):
            try:
                self._storage.delete([info.key for info in batch])
                return None
            except StorageError as error:
                if error.kind != ErrorKind.THROTTLED or attempt == _PATIENCE:
                    return error
            self.summary.throttled_batches += 1
            _log.info(
                "retry delete of %d objects tries=%d cause=throttled", len(batch), attempt + 1
            )
            time.sleep(random.uniform(wait / 2, wait))
            wait *= 2
        return None


def _listed(infos: Iterator[ObjectInfo]) -> Iterator[tuple[list[ObjectInfo], Ids]]:
    """Objects named by an id directly below their prefix, with their ids, in batches.

    Other objects there do not belong to the format: they are left out, and so never deleted.
    """
    while batch := list(islice(infos, _LISTED)):
        names = [info.key.rpartition("/")[2] if info.key.count("/") == 1 else "" for info in batch]
        ids, valid = from_texts(names)
        if not valid.all():
            batch = [info for info, ours in zip(batch, valid.tolist(), strict=True) if ours]
            ids = ids[valid]
        yield batch, ids
