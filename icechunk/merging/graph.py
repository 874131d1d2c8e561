"""Commits with all of their parents, and the best common ancestors of two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from icechunk.core.errors import SnapshotNotFoundError
from icechunk.core.ids import ObjectId
from icechunk.refs.base import RefStore
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.lineage import LINEAGE_KEY, lineage_of
from icechunk.spec.repo.snapshot_table import NO_PARENT, SnapshotRecord, SnapshotTable


class CommitGraph:
    """The history of a repository at one instant, merges included.

    Commits are numbers within: rows of the snapshot table, then those that it does not list.
    A walk over 100,000 commits makes no object per commit; only metadata of merges is decoded.

    Parameters
    ----------
    ref_store : RefStore
        Read once for spec 2; spec 1 reads snapshots as they are needed.
    """

    def __init__(self, ref_store: RefStore) -> None:
        self._ref_store = ref_store
        self._whole = Capability.REPO_OBJECT in ref_store.capabilities
        self._table = ref_store.state().snapshots if self._whole else SnapshotTable.from_records(())
        self._size = len(self._table)
        self._first = self._table.parents.data  # its items are Python integers
        self._special = set(self._table.packed.rows_with(LINEAGE_KEY).tolist())
        self._unlisted: dict[ObjectId, int] = {}
        self._names: list[ObjectId] = []
        self._above: dict[int, tuple[int, ...]] = {}
        self._records: dict[int, SnapshotRecord | None] = {}
        for row in np.flatnonzero(self._table.pruned_count).tolist():
            self._special.add(row)
            self._parents(row)  # those of its pruned ancestors are known from then on

    # -- by id -----------------------------------------------------------------------------------

    def record(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        """Record of a snapshot; None when it expired or was collected."""
        return self._record(self._number(snapshot_id))

    def __contains__(self, snapshot_id: ObjectId) -> bool:
        return self._holds(self._number(snapshot_id))

    def parents(self, snapshot_id: ObjectId) -> tuple[ObjectId, ...]:
        """Parents of a commit, the first one first.

        Expired ancestors between a commit and its parent stand between them; of them only their id
        and their transaction logs are known.
        """
        return tuple(map(self._id, self._parents(self._number(snapshot_id))))

    def ancestors(self, snapshot_ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Commits and everything before them."""
        return set(map(self._id, self._reach(map(self._number, snapshot_ids))))

    def is_ancestor(self, older: ObjectId, newer: ObjectId) -> bool:
        """Whether a commit is another one, or before it."""
        wanted = self._number(older)
        return any(wanted == one for one in self._walk([self._number(newer)], set()))

    def merge_bases(self, one: ObjectId, two: ObjectId) -> list[ObjectId]:
        """Best common ancestors of two commits, newest first; none for unrelated histories.

        A common ancestor is best when no other common ancestor descends from it (as in git).
        """
        mine = self._reach([self._number(one)])
        # Nothing is looked at behind a common ancestor.
        walk = self._walk([self._number(two)], set(), stop=mine)
        found = [commit for commit in walk if commit in mine]
        if len(found) > 1:
            older = self._reach(parent for best in found for parent in self._parents(best))
            found = [best for best in found if best not in older]
        return [self._id(best) for best in sorted(found, key=self._age, reverse=True)]

    def way(self, older: ObjectId, newer: ObjectId) -> list[ObjectId]:
        """Commits whose logs hold all that differs between two commits, oldest first.

        Those after `older` up to `newer` along first parents. Where `older` is not among those,
        every commit that only one of both descends from, in no order.
        """
        base, tip = self._number(older), self._number(newer)
        line: list[int] = []
        at = tip
        while at != base:
            line.append(at)
            parents = self._parents(at)
            if not parents:
                return list(map(self._id, self._reach([tip]) ^ self._reach([base])))
            at = parents[0]
        return [self._id(one) for one in reversed(line)]

    # -- by number -------------------------------------------------------------------------------

    def _number(self, snapshot_id: ObjectId) -> int:
        row = self._table.find(snapshot_id)
        if row >= 0:
            return row
        number = self._unlisted.setdefault(snapshot_id, self._size + len(self._names))
        if number == self._size + len(self._names):
            self._names.append(snapshot_id)
        return number

    def _id(self, number: int) -> ObjectId:
        if number < self._size:
            return self._table.id_at(number)
        return self._names[number - self._size]

    def _record(self, number: int) -> SnapshotRecord | None:
        if number not in self._records:
            self._records[number] = self._read(number)
        return self._records[number]

    def _read(self, number: int) -> SnapshotRecord | None:
        if number < self._size:
            return self._table.record(number)
        if self._whole:
            return None
        try:
            return self._ref_store.snapshot(self._id(number))
        except SnapshotNotFoundError:
            return None

    def _holds(self, number: int) -> bool:
        return number < self._size or self._record(number) is not None

    def _parents(self, number: int) -> tuple[int, ...]:
        if number < self._size and number not in self._special:
            first = self._first[number]
            return () if first == NO_PARENT else (first,)
        if number not in self._above:
            self._above[number] = self._enter(number)
        return self._above[number]

    def _enter(self, number: int) -> tuple[int, ...]:
        """Parents of a merge, of a commit with expired ancestors, or of one the table lacks."""
        record = self._record(number)
        if record is None:
            return ()
        first = () if record.parent_id is None else (self._number(record.parent_id),)
        for pruned in map(self._number, record.pruned):  # oldest first
            if not self._holds(pruned):
                self._above.setdefault(pruned, first)
            first = (pruned,)
        lineage = lineage_of(record.metadata)
        others = () if lineage is None else map(self._number, lineage.parents[1:])
        return (*first, *(one for one in others if one not in first))

    def _reach(self, numbers: Iterable[int]) -> set[int]:
        """Commits and everything before them."""
        found: set[int] = set()
        for _ in self._walk(numbers, found):
            pass
        return found

    def _walk(
        self, numbers: Iterable[int], seen: set[int], stop: set[int] | frozenset[int] = frozenset()
    ) -> Iterator[int]:
        """Commits and everything before them, each once.

        Parameters
        ----------
        seen : set of int
            Commits that are left out; receives all that are yielded.
        stop : set of int, optional
            Commits behind which nothing is looked at.
        """
        size, special, above, add = self._size, self._special, self._first, seen.add
        pending = list(numbers)
        while pending:
            at = pending.pop()
            while at not in seen:
                add(at)
                yield at
                if at in stop:
                    break
                if at < size and at not in special:
                    at = above[at]
                    if at == NO_PARENT:
                        break
                    continue
                parents = self._parents(at)
                if not parents:
                    break
                pending += parents[1:]
                at = parents[0]

    def _age(self, number: int) -> int:
        record = self._record(number)
        return 0 if record is None else record.flushed_at
