"""Resolve branches, tags and times to snapshots, and list and draw the ancestry of snapshots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, overload

from icechunk.core.clock import from_datetime
from icechunk.core.errors import ErrorKind, SnapshotNotFoundError
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.engine.context import RepoContext
from icechunk.refs.stash_names import is_stash
from icechunk.spec.manifest.file_info import ManifestFileInfo
from icechunk.spec.repo.lazy_record import Walk
from icechunk.spec.repo.lineage import further_parents
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.repo.snapshot_table import SnapshotRecord

if TYPE_CHECKING:
    from icechunk.display.graph import AncestryGraph

SELECTORS = "Must provide one of branch, tag, or snapshot_id"


class AncestryIterator(Sequence[SnapshotInfo]):
    """Snapshots, newest first: an iterator, an asynchronous iterator and a sequence.

    The history is walked only as far as snapshots are asked for; `len` walks all of it.
    """

    def __init__(
        self,
        records: Iterable[SnapshotRecord],
        find_manifests: Callable[[str], list[ManifestFileInfo]],
    ) -> None:
        self._records = records if isinstance(records, Walk) else Walk(records)
        self._find = find_manifests
        self._next = 0
        self._stopped = False

    def _info(self, record: SnapshotRecord) -> SnapshotInfo:
        return SnapshotInfo.of(record, self._find)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> SnapshotInfo: ...

    @overload
    def __getitem__(self, index: slice) -> list[SnapshotInfo]: ...

    def __getitem__(self, index: int | slice) -> SnapshotInfo | list[SnapshotInfo]:
        if isinstance(index, slice):
            return [self._info(record) for record in self._records[index]]
        return self._info(self._records[index])

    def __iter__(self) -> Iterator[SnapshotInfo]:
        from icechunk.spec.repo.snapshot_listing import infos

        return self if self._next or self._stopped else infos(self._records, self._find)

    def __next__(self) -> SnapshotInfo:
        if self._stopped or self._next >= self._records.reach(self._next + 1):
            raise StopIteration
        self._next += 1
        return self._info(self._records[self._next - 1])

    def __aiter__(self) -> AsyncIterator[SnapshotInfo]:
        return self

    async def __anext__(self) -> SnapshotInfo:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Stop early."""
        self._stopped = True


def manifest_files(ctx: RepoContext, snapshot_id: str) -> list[ManifestFileInfo]:
    """Manifests of a snapshot, sorted by id."""
    snapshot = ctx.files.snapshot(parse_object_id(snapshot_id))
    return [ManifestFileInfo.of(info) for _, info in sorted(snapshot.manifests.items())]


def resolve(
    ctx: RepoContext,
    branch: str | None,
    tag: str | None,
    snapshot_id: str | None,
    snapshot: str | None = None,
) -> ObjectId:
    """Resolve exactly one of a branch, a tag and a snapshot id; `snapshot` is an older name.

    Raises
    ------
    ValueError
        When none or several are given.
    RefNotFoundError, SnapshotNotFoundError
        When it does not exist.
    """
    if [branch, tag, snapshot_id, snapshot].count(None) != 3:
        raise ValueError(SELECTORS)
    snapshot_id = snapshot if snapshot_id is None else snapshot_id
    if branch is not None:
        return ctx.ref_store.branch_tip(branch)
    if tag is not None:
        return ctx.ref_store.tag_target(tag)
    assert snapshot_id is not None
    found = parse_object_id(snapshot_id)
    ctx.ref_store.snapshot(found)
    return found


def resolve_at(ctx: RepoContext, branch: str, as_of: datetime) -> ObjectId:
    """Newest snapshot of a branch written at or before a time.

    Raises
    ------
    SnapshotNotFoundError
        Kind ``no-snapshot-at-time``.
    """
    at = from_datetime(as_of)
    for record in ctx.ref_store.branch_ancestry(branch):
        if record.flushed_at <= at:
            return record.id
    raise SnapshotNotFoundError(
        f"branch {branch} does not have a snapshots before or at {as_of.isoformat()}; "
        "`Repository.ancestry` shows when each was written",
        ErrorKind.NO_SNAPSHOT_AT_TIME,
    )


def commits(
    ctx: RepoContext,
) -> tuple[Mapping[str, ObjectId], Mapping[str, ObjectId], list[SnapshotRecord]]:
    """Branches, tags and every commit that they and merges reach; without stashes."""
    from icechunk.repository.commit_table import with_merged

    all_branches, tags, records = ctx.ref_store.commits()
    branches = {name: tip for name, tip in all_branches.items() if not is_stash(name)}
    if len(branches) < len(all_branches):
        records = _reached(records, {*branches.values(), *tags.values()})
    return branches, tags, with_merged(ctx.ref_store, records)


def ancestry_graph(
    ctx: RepoContext, branch: str | None, tag: str | None, snapshot_id: str | None, *, plain: bool
) -> AncestryGraph:
    """Draw the commits that all refs reach, or those of one branch, tag or snapshot."""
    from icechunk.display.graph import AncestryGraph
    from icechunk.display.lanes import GraphCommit
    from icechunk.repository.commit_table import with_merged

    branches, tags, records = commits(ctx)
    start = None
    if (branch, tag, snapshot_id) != (None, None, None):
        start = resolve(ctx, branch, tag, snapshot_id)
        records = with_merged(ctx.ref_store, list(ctx.ref_store.ancestry(start)))
    drawn = {record.id for record in records}
    return AncestryGraph(
        [
            GraphCommit(
                id_text(record.id),
                None if record.parent_id is None else id_text(record.parent_id),
                record.message,
                tuple(map(id_text, further_parents(record.metadata))),
            )
            for record in records
        ],
        {name: id_text(tip) for name, tip in branches.items() if tip in drawn},
        {name: id_text(target) for name, target in tags.items() if target in drawn},
        plain=plain,
        start=None if start is None else id_text(start),
    )


def _reached(records: list[SnapshotRecord], tips: set[ObjectId]) -> list[SnapshotRecord]:
    """The commits that some commits descend from, in the same order."""
    by_id = {record.id: record for record in records}
    found: set[ObjectId] = set()
    for tip in tips:
        at: ObjectId | None = tip
        while at is not None and at not in found:
            found.add(at)
            at = by_id[at].parent_id
    return [record for record in records if record.id in found]
