"""Compute which snapshots leave a repository's list, and the new parents of their children.

Pure functions of a state: a compare-and-swap that fails calls them again with the newer state.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from icechunk.core.ids import ObjectId
from icechunk.refs.stash_names import is_stash
from icechunk.spec.columns.id_columns import Ids, ids_of, member
from icechunk.spec.repo.snapshot_table import NO_PARENT, SnapshotTable
from icechunk.spec.repo.state import MAIN, RepoState

Adopted = Mapping[ObjectId, tuple[ObjectId | None, tuple[ObjectId, ...]]]


class Cut:
    """A change of history.

    Parameters
    ----------
    removed : frozenset of ObjectId
        Snapshots that leave the list.
    adopted : mapping of ObjectId to (parent id, pruned ids)
        New parent and complete list of pruned ancestors of survivors.
    branches, tags : frozenset of str
        Refs that go with them.
    """

    __slots__ = ("adopted", "branches", "removed", "tags")

    def __init__(
        self,
        removed: frozenset[ObjectId],
        adopted: Adopted,
        branches: frozenset[str] = frozenset(),
        tags: frozenset[str] = frozenset(),
    ) -> None:
        self.removed, self.adopted = removed, adopted
        self.branches, self.tags = branches, tags


def expiration(
    state: RepoState, older_than: int, *, delete_branches: bool, delete_tags: bool
) -> Cut:
    """The change of history by expiration.

    Snapshots before the cut-off leave the list, except roots, tips that stay, and main's tip.  A
    survivor whose parent leaves becomes a child of the root and remembers every ancestor in
    between, also those that survive elsewhere.

    Parameters
    ----------
    state : RepoState
        The present state.
    older_than : int
        Exclusive cut-off, µs since 1970, compared with the time of the commit.
    delete_branches, delete_tags : bool
        Whether refs whose tip is before the cut-off go too; `main` never does.
    """
    table = state.snapshots
    expired = (table.flushed_at < older_than) & (table.parents != NO_PARENT)

    def doomed(refs: Mapping[str, ObjectId], asked: bool) -> frozenset[str]:
        if not asked:
            return frozenset()
        return frozenset(
            name
            for name, tip in refs.items()
            if name != MAIN and not is_stash(name) and expired[table.row_of(tip)]
        )

    branches = doomed(state.branches, delete_branches)
    tags = doomed(state.tags, delete_tags) if delete_tags else frozenset[str]()
    stays = [tip for name, tip in state.branches.items() if name not in branches]
    stays += [tip for name, tip in state.tags.items() if name not in tags]
    released = expired.copy()
    for tip in stays:
        released[table.row_of(tip)] = False
    orphans = _orphans(table, ~released)
    adopted = {table.id_at(row): _adopt(table, row, None) for row in orphans}
    return Cut(frozenset(_ids(table, released)), adopted, branches, tags)


def collection(state: RepoState, young: Ids, known: Ids) -> Cut:
    """The change of history by garbage collection.

    Snapshots that no ref reaches leave the list unless their file is young or they came after the
    collection began.  A survivor whose parent leaves becomes a child of its nearest ancestor that
    stays, and remembers those in between.

    Parameters
    ----------
    state : RepoState
        The present state.
    young : Ids
        Snapshots whose file is not older than the cut-off.
    known : Ids
        Snapshots that were in the list when the collection began.
    """
    table = state.snapshots
    keys = np.ascontiguousarray(table.ids).reshape(-1).view("S12")
    kept = member(keys, young) | ~member(keys, known) | (table.parents == NO_PARENT)
    parents = table.parents.tolist()
    reached = np.zeros(len(table), np.bool_)
    for tip in {*state.branches.values(), *state.tags.values()}:
        row = table.row_of(tip)
        while row != NO_PARENT and not reached[row]:
            reached[row] = True
            row = parents[row]
    kept |= reached
    adopted = {table.id_at(row): _adopt(table, row, kept) for row in _orphans(table, kept)}
    return Cut(frozenset(_ids(table, ~kept)), adopted)


def _orphans(table: SnapshotTable, kept: npt.NDArray[np.bool_]) -> list[int]:
    """Rows that stay and whose parent leaves."""
    has_parent = table.parents != NO_PARENT
    rows = np.flatnonzero(kept & has_parent & ~kept[table.parents])
    return [int(row) for row in rows]


def _adopt(
    table: SnapshotTable, row: int, kept: npt.NDArray[np.bool_] | None
) -> tuple[ObjectId, tuple[ObjectId, ...]]:
    """New parent and pruned ancestors of a row whose parent leaves.

    The parent is the nearest ancestor that is kept, the root where `kept` is None.
    """
    lineage = table.line(row)[1:]
    stop = len(lineage) - 1
    if kept is not None:
        stop = min([stop, *np.flatnonzero(kept[lineage])[:1].tolist()])
    between = lineage[:stop][::-1]
    pruned: list[ObjectId] = []
    passed_ids, done = _ids(table, between), 0
    for at in np.flatnonzero(table.pruned_count[between]).tolist():
        pruned += passed_ids[done:at]
        pruned += table.pruned_of(between[at])
        done = at
    pruned += passed_ids[done:]
    pruned += table.pruned_of(row)
    # Each counts once, where it came first.
    return table.id_at(lineage[stop]), tuple(dict.fromkeys(pruned))


def _ids(table: SnapshotTable, rows: npt.NDArray[np.bool_] | list[int]) -> list[ObjectId]:
    """Ids of some rows."""
    return ids_of(np.ascontiguousarray(table.ids[rows]).reshape(-1).view("S12"))
