"""State of a repository of spec 2 made from the refs and snapshots of one of spec 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from icechunk.core.ids import ObjectId
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.state import MAIN, RepoState
from icechunk.spec.repo.update_log import UpdateLog
from icechunk.spec.repo.updates import RepoStatusValue, Update, UpdateKind

_MS = 1_000


@dataclass(frozen=True, slots=True)
class V1State:
    """Everything mutable about a repository of spec 1.

    Attributes
    ----------
    branches, tags, deleted_tags : dict of str to ObjectId
        What each ref points to, or pointed to.
    snapshots : dict of ObjectId to SnapshotRecord
        All that branches and tags descend from.
    config : dict or None
        Stored configuration in its plain form.
    """

    branches: dict[str, ObjectId]
    tags: dict[str, ObjectId]
    deleted_tags: dict[str, ObjectId]
    snapshots: dict[ObjectId, SnapshotRecord]
    config: dict[str, Any] | None


def migrated(former: V1State, at: int) -> RepoState:
    """State of the repository after an upgrade from spec 1 to spec 2.

    The operations log is derived from the refs: the repository's start, every commit, and the
    creation of each ref just after the commit it points to.

    Parameters
    ----------
    former : V1State
        State of the repository in spec 1.
    at : int
        Time of the upgrade, microseconds since 1970.
    """
    start = _root_of(former).flushed_at
    events = sorted(_events(former, start), key=lambda event: event[0])
    entries: list[Update] = []
    last = 0
    for time, kind in [*events, (at, u.RepoMigrated(1, 2))]:
        last = max(time, last + 1)
        entries.append(Update(kind, last))
    return RepoState(
        branches=Refs(former.branches),
        tags=Refs(former.tags),
        deleted_tags=frozenset(former.deleted_tags),
        snapshots=SnapshotTable.from_records(former.snapshots.values()),
        status=RepoStatusValue(u.ONLINE, start),
        updates=UpdateLog.from_updates(entries[::-1]),
        config=former.config,
    )


def _root_of(former: V1State) -> SnapshotRecord:
    record = former.snapshots[former.branches[MAIN]]
    while record.parent_id is not None:
        record = former.snapshots[record.parent_id]
    return record


def _events(former: V1State, start: int) -> Iterator[tuple[int, UpdateKind]]:
    """Derived changes with their times in microseconds, in no particular order."""
    yield start, u.RepoInitialized()
    seen: set[ObjectId] = set()
    for name in sorted(former.branches, key=lambda name: (name != MAIN, name.encode())):
        tip = former.snapshots[former.branches[name]]
        if name != MAIN:
            yield tip.flushed_at + _MS, u.BranchCreated(name)
        record = tip
        while record.id not in seen and record.parent_id is not None:
            seen.add(record.id)
            yield record.flushed_at, u.NewCommit(name, record.id)
            record = former.snapshots[record.parent_id]
    for name, target in sorted(former.tags.items()):
        yield former.snapshots[target].flushed_at + _MS, u.TagCreated(name)
    for name, target in sorted(former.deleted_tags.items()):
        known = former.snapshots.get(target)
        time = start if known is None else known.flushed_at
        yield time + _MS, u.TagCreated(name)
        yield time + 2 * _MS, u.TagDeleted(name, target)
