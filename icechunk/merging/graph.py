"""Commits with all of their parents, and the best common ancestors of two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from icechunk.core.errors import SnapshotNotFoundError
from icechunk.core.ids import ObjectId
from icechunk.engine.lineage import lineage_of
from icechunk.refs.base import RefStore
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.snapshot_table import SnapshotRecord


class CommitGraph:
    """The history of a repository at one instant, merges included.

    Parameters
    ----------
    ref_store : RefStore
        Read once for spec 2; spec 1 reads snapshots as they are needed.
    """

    def __init__(self, ref_store: RefStore) -> None:
        self._ref_store = ref_store
        whole = Capability.REPO_OBJECT in ref_store.capabilities
        self._table = ref_store.state().snapshots if whole else None
        self._records: dict[ObjectId, SnapshotRecord | None] = {}
        self._above: dict[ObjectId, tuple[ObjectId, ...]] = {}

    def record(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        """Record of a snapshot; None when it expired or was collected."""
        if snapshot_id not in self._records:
            self._records[snapshot_id] = self._read(snapshot_id)
        return self._records[snapshot_id]

    def _read(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        if self._table is not None:
            row = self._table.find(snapshot_id)
            return self._table.record(row) if row >= 0 else None
        try:
            return self._ref_store.snapshot(snapshot_id)
        except SnapshotNotFoundError:
            return None

    def __contains__(self, snapshot_id: ObjectId) -> bool:
        return self.record(snapshot_id) is not None

    def parents(self, snapshot_id: ObjectId) -> tuple[ObjectId, ...]:
        """Parents of a commit, the first one first.

        Expired ancestors between a commit and its parent stand between them; of them only their id
        and their transaction logs are known.
        """
        self.record(snapshot_id)
        if snapshot_id not in self._above:
            self._enter(snapshot_id)
        return self._above[snapshot_id]

    def _enter(self, snapshot_id: ObjectId) -> None:
        record = self.record(snapshot_id)
        if record is None:
            self._above[snapshot_id] = ()
            return
        first = () if record.parent_id is None else (record.parent_id,)
        for pruned in record.pruned:  # oldest first
            if pruned not in self:
                self._above.setdefault(pruned, first)
            first = (pruned,)
        lineage = lineage_of(record.metadata)
        others = () if lineage is None else lineage.parents[1:]
        self._above[snapshot_id] = (*first, *(one for one in others if one not in first))

    def ancestors(self, snapshot_ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Commits and everything before them."""
        found: set[ObjectId] = set()
        pending = list(snapshot_ids)
        while pending:
            one = pending.pop()
            if one not in found:
                found.add(one)
                pending.extend(self.parents(one))
        return found

    def is_ancestor(self, older: ObjectId, newer: ObjectId) -> bool:
        """Whether a commit is another one, or before it."""
        return any(one == older for one in self.walk(newer))

    def walk(self, snapshot_id: ObjectId) -> Iterator[ObjectId]:
        """A commit and everything before it, nearest first, each once."""
        seen = {snapshot_id}
        level = [snapshot_id]
        while level:
            yield from level
            above = [parent for one in level for parent in self.parents(one)]
            level = [one for one in dict.fromkeys(above) if one not in seen]
            seen.update(level)

    def merge_bases(self, one: ObjectId, two: ObjectId) -> list[ObjectId]:
        """Best common ancestors of two commits, newest first; none for unrelated histories.

        A common ancestor is best when no other common ancestor descends from it (as in git).
        """
        mine = self.ancestors([one])
        found: list[ObjectId] = []
        seen = {two}
        pending = [two]
        while pending:
            commit = pending.pop()
            if commit in mine:
                found.append(commit)
                continue
            for parent in self.parents(commit):
                if parent not in seen:
                    seen.add(parent)
                    pending.append(parent)
        if len(found) > 1:
            older = self.ancestors(parent for best in found for parent in self.parents(best))
            found = [best for best in found if best not in older]
        return sorted(found, key=self._age, reverse=True)

    def _age(self, snapshot_id: ObjectId) -> int:
        record = self.record(snapshot_id)
        return 0 if record is None else record.flushed_at
