"""Ancestry and differences of the snapshots of a repository."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from icechunk.core.clock import from_datetime
from icechunk.core.errors import ErrorKind, SnapshotNotFoundError
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.core.runtime import twin
from icechunk.engine.context import RepoContext
from icechunk.engine.diffing import diff
from icechunk.repository.commit_table import CommitTable, commit_table
from icechunk.repository.transaction_log import TransactionLogInfo, transaction_log
from icechunk.spec.manifest.file_info import ManifestFileInfo
from icechunk.spec.repo.lazy_record import Walk
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.repo.snapshot_listing import infos
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.transaction_log.diff import Diff

if TYPE_CHECKING:
    from icechunk.conflicts.model import Conflict
    from icechunk.display.graph import AncestryGraph

SELECTORS = "Must provide one of branch, tag, or snapshot_id"


class AncestryIterator(Sequence[SnapshotInfo]):
    """Snapshots newest first: an iterator, an asynchronous iterator and a sequence in one.

    The history is walked as far as it is asked for; its length is known once all of it was walked.
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


def _manifests(ctx: RepoContext, snapshot_id: str) -> list[ManifestFileInfo]:
    """Manifests of a snapshot, by id."""
    snapshot = ctx.files.snapshot(parse_object_id(snapshot_id))
    return [ManifestFileInfo.of(info) for _, info in sorted(snapshot.manifests.items())]


class History:
    """What a repository was, and how two of its states differ."""

    _ctx: RepoContext

    def _info(self, record: SnapshotRecord) -> SnapshotInfo:
        """The public form of a commit."""
        return SnapshotInfo.of(record, partial(_manifests, self._ctx))

    def _resolve(
        self,
        branch: str | None,
        tag: str | None,
        snapshot_id: str | None,
        snapshot: str | None = None,
    ) -> ObjectId:
        """Snapshot of exactly one selector; the last two are names of the same."""
        if [branch, tag, snapshot_id, snapshot].count(None) != 3:
            raise ValueError(SELECTORS)
        snapshot_id = snapshot if snapshot_id is None else snapshot_id
        if branch is not None:
            return self._ctx.ref_store.branch_tip(branch)
        if tag is not None:
            return self._ctx.ref_store.tag_target(tag)
        assert snapshot_id is not None
        wanted = parse_object_id(snapshot_id)
        self._ctx.ref_store.snapshot(wanted)
        return wanted

    def _resolve_at(self, branch: str, as_of: datetime) -> ObjectId:
        """Newest snapshot of a branch written at or before a time."""
        at = from_datetime(as_of)
        for record in self._ctx.ref_store.branch_ancestry(branch):
            if record.flushed_at <= at:
                return record.id
        raise SnapshotNotFoundError(
            f"branch {branch} does not have a snapshots before or at {as_of.isoformat()}; "
            "`Repository.ancestry` shows when each was written",
            ErrorKind.NO_SNAPSHOT_AT_TIME,
        )

    def ancestry(
        self,
        *,
        branch: str | None = None,
        tag: str | None = None,
        snapshot_id: str | None = None,
        snapshot: str | None = None,
    ) -> AncestryIterator:
        """A snapshot and its ancestors, newest first.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            Exactly one of them; `snapshot` is an older name of `snapshot_id`.

        Returns
        -------
        AncestryIterator of SnapshotInfo
            For ``for``, ``async for`` and indexing.

        Raises
        ------
        RefNotFoundError, SnapshotNotFoundError
            At the call, for an unknown selector.
        """
        ref_store = self._ctx.ref_store
        if branch is not None and tag is None and snapshot_id is None and snapshot is None:
            records = ref_store.branch_ancestry(branch)
        else:
            records = ref_store.ancestry(self._resolve(branch, tag, snapshot_id, snapshot))
        return AncestryIterator(records, partial(_manifests, self._ctx))

    def async_ancestry(
        self,
        *,
        branch: str | None = None,
        tag: str | None = None,
        snapshot_id: str | None = None,
    ) -> AncestryIterator:
        """Same as `ancestry`, for ``async for``."""
        return self.ancestry(branch=branch, tag=tag, snapshot_id=snapshot_id)

    def ancestry_graph(
        self,
        *,
        branch: str | None = None,
        tag: str | None = None,
        snapshot_id: str | None = None,
        plain: bool = False,
    ) -> AncestryGraph:
        """Draw the history, newest commits first, a column per branch.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            At most one of them: draw its ancestry only; everything that branches and tags reach
            by default.
        plain : bool
            Leave out the colours of text in a terminal.

        Returns
        -------
        AncestryGraph
            For ``print``; drawn as a picture in notebooks.
        """
        # Loaded when asked for: imports cost everybody.
        from icechunk.display.graph import AncestryGraph
        from icechunk.display.lanes import GraphCommit

        branches, tags, records = self._ctx.ref_store.commits()
        start = None
        if (branch, tag, snapshot_id) != (None, None, None):
            start = self._resolve(branch, tag, snapshot_id)
            records = list(self._ctx.ref_store.ancestry(start))
        drawn = {record.id for record in records}
        return AncestryGraph(
            [
                GraphCommit(
                    id_text(record.id),
                    None if record.parent_id is None else id_text(record.parent_id),
                    record.message,
                )
                for record in records
            ],
            {name: id_text(tip) for name, tip in branches.items() if tip in drawn},
            {name: id_text(target) for name, target in tags.items() if target in drawn},
            plain=plain,
            start=None if start is None else id_text(start),
        )

    def lookup_snapshot(self, snapshot_id: str) -> SnapshotInfo:
        """One snapshot.

        Raises
        ------
        SnapshotNotFoundError
            When there is no such snapshot.
        """
        return self._info(self._ctx.ref_store.snapshot(parse_object_id(snapshot_id)))

    def diff(
        self,
        *,
        from_branch: str | None = None,
        from_tag: str | None = None,
        from_snapshot_id: str | None = None,
        from_snapshot: str | None = None,
        to_branch: str | None = None,
        to_tag: str | None = None,
        to_snapshot_id: str | None = None,
        to_snapshot: str | None = None,
        any_states: bool = False,
    ) -> Diff:
        """What changed between two states.

        Parameters
        ----------
        from_branch, from_tag, from_snapshot_id : str
            The older state, exactly one of them.
        to_branch, to_tag, to_snapshot_id : str
            The newer state, exactly one of them.
        from_snapshot, to_snapshot : str
            Older names of `from_snapshot_id` and `to_snapshot_id`.
        any_states : bool
            Compare also siblings, newer with older, and equal states, by what they hold.

        Raises
        ------
        InvalidInputError
            Kind ``bad-snapshot-chain-for-diff`` when the older state is no proper ancestor of
            the newer one and `any_states` is not set.
        """
        before = self._resolve(from_branch, from_tag, from_snapshot_id, from_snapshot)
        after = self._resolve(to_branch, to_tag, to_snapshot_id, to_snapshot)
        return diff(self._ctx, before, after, any_states=any_states)

    def history(self) -> dict[str, Any]:
        """Branches, tags and every commit they reach, read at one instant.

        Returns
        -------
        dict
            ``branches`` and ``tags`` (dict of name to snapshot id) and ``commits`` (list of
            `SnapshotInfo`, newest first).
        """
        branches, tags, records = self._ctx.ref_store.commits()
        return {
            "branches": {name: id_text(target) for name, target in branches.items()},
            "tags": {name: id_text(target) for name, target in tags.items()},
            "commits": [self._info(record) for record in records],
        }

    def transaction_log(self, snapshot_id: str) -> TransactionLogInfo:
        """Nodes and chunks that a commit touched, by node id.

        Where expiration removed ancestors of the snapshot, what they touched is included. `diff`
        tells changes by path instead; `inspect_transaction_log` shows the file as JSON.

        Parameters
        ----------
        snapshot_id : str
            The commit.

        Raises
        ------
        StorageError
            Kind ``object-not-found``, also for the first snapshot of a repository of format 1.

        Examples
        --------
        >>> import icechunk, zarr
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> with repo.transaction("main", message="ones") as store:
        ...     zarr.create_array(store, name="a", shape=(4,), chunks=(2,), dtype="i4")[:2] = 1
        >>> log = repo.transaction_log(repo.lookup_branch("main"))
        >>> [array] = log.new_arrays
        >>> log.updated_chunks[array].tolist()
        [[0]]
        """
        return transaction_log(self._ctx, parse_object_id(snapshot_id))

    def commit_table(self, snapshot_id: str | None = None) -> CommitTable:
        """All commits, branches and tags as columns, read at one instant.

        Parameters
        ----------
        snapshot_id : str, optional
            Must be among the commits. A repository of format 1 lists only what branches and tags
            reach; the ancestry of this snapshot is added there.

        Raises
        ------
        SnapshotNotFoundError
            When there is no such snapshot.

        Examples
        --------
        >>> import icechunk
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> table = repo.commit_table()
        >>> row = table.find(table.branches["main"])
        >>> table[row].message
        'Repository initialized'
        """
        wanted = None if snapshot_id is None else parse_object_id(snapshot_id)
        return commit_table(self._ctx, wanted, partial(_manifests, self._ctx))

    def rebase_conflicts(self, branch: str, onto: str) -> list[Conflict]:
        """Conflicts that a rebase of a branch onto another would meet; nothing is changed.

        The commits since both branches were one are taken together on either side.
        `Session.conflicts` does the same for the uncommitted changes of a session.

        Parameters
        ----------
        branch, onto : str
            Names of branches.

        Returns
        -------
        list of Conflict
            Empty when the rebase would pass.

        Raises
        ------
        RefNotFoundError
            For an unknown branch.
        InvalidInputError
            Kind ``not-allowed`` when the branches have no common ancestor.
        SessionStateError
            Kind ``rebase-tx-log-pruned`` when the log of an expired commit is gone.

        Examples
        --------
        >>> import icechunk, zarr
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> repo.create_branch("mine", repo.lookup_branch("main"))
        >>> for branch in ("main", "mine"):
        ...     with repo.transaction(branch, message="add a") as store:
        ...         array = zarr.create_array(store, name="a", shape=(4,), dtype="i4")
        >>> [conflict.path for conflict in repo.rebase_conflicts("mine", "main")]
        ['/', '/a']
        """
        # Loaded when asked for: few sessions look at conflicts.
        from icechunk.engine.branch_rebase import rebase_conflicts

        ref_store = self._ctx.ref_store
        return rebase_conflicts(self._ctx, ref_store.branch_tip(branch), ref_store.branch_tip(onto))

    ancestry_graph_async = twin(ancestry_graph)
    lookup_snapshot_async = twin(lookup_snapshot)
    diff_async = twin(diff)
    transaction_log_async = twin(transaction_log)
    commit_table_async = twin(commit_table)
    rebase_conflicts_async = twin(rebase_conflicts)
