"""The commits of a repository in the order in which views list them, as numpy columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk import Repository, SnapshotInfo
from icechunk.repository import CommitTable
from icechunk_widgets.kernel.plain import iso, plain

ID_WIDTH = 20
"""Characters of a snapshot id."""
ROOT, NOT_LISTED, EXPIRED = -1, -2, -3
"""Parents that have no place in a listing."""
_LINEAGE_KEY = "__icechunk_lineage"
"""Metadata that `SnapshotInfo.lineage` shows."""
Edges = Mapping[int, tuple[int, ...]]
AUTHOR_KEYS = ("author", "author_name", "user", "username", "committer")


@dataclass(frozen=True)
class Listing:
    """Commits newest first, children before parents.

    Attributes
    ----------
    table : CommitTable
        Every commit of the repository, its branches and its tags.
    rows : int64 array, shape (n,)
        The listed rows of `table`.
    parents : int32 array, shape (n,)
        Place of each first parent in this listing, `ROOT` for none, `NOT_LISTED` for one left out.
    merges : int32 array, shape (k, 2)
        Place of a merge and of a further parent, `NOT_LISTED` for one left out, `EXPIRED` for one
        that is gone; one row per edge.
    version : str
        Equal for equal content.
    truncated : bool
        Whether older commits were left out.
    """

    table: CommitTable
    rows: NDArray[np.int64]
    parents: NDArray[np.int32]
    merges: NDArray[np.int32]
    version: str
    truncated: bool

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> SnapshotInfo:
        return self.table[int(self.rows[place])]

    @property
    def branches(self) -> Mapping[str, str]:
        """Snapshot id of each branch."""
        return self.table.branches

    @property
    def tags(self) -> Mapping[str, str]:
        """Snapshot id of each tag."""
        return self.table.tags

    def times(self) -> NDArray[np.float64]:
        """When each was written: milliseconds since 1970, UTC."""
        return np.asarray(self.table.written_at[self.rows].view(np.int64) / 1000.0)

    def ids(self) -> NDArray[np.uint8]:
        """The ASCII characters of each id, shape ``(n, 20)``."""
        return self.table.ids[self.rows].view(np.uint8).reshape(-1, ID_WIDTH)

    def place(self, snapshot_id: str) -> int:
        """Place of a commit in this listing, -1 when it is not listed."""
        found = np.flatnonzero(self.rows == self.table.find(snapshot_id))
        return int(found[0]) if len(found) else -1

    def places(self) -> dict[str, int]:
        """Places of the listed commits that branches and tags point to."""
        targets = {self.table.find(target): target for target in self._targets()}
        hits = np.flatnonzero(np.isin(self.rows, np.array(list(targets), np.int64)))
        return {targets[int(self.rows[place])]: int(place) for place in hits}

    def _targets(self) -> Iterable[str]:
        return dict.fromkeys([*self.branches.values(), *self.tags.values()])

    def search(self, text: str) -> NDArray[np.uint32]:
        """Places of the commits whose message, id, metadata, branches or tags contain a text.

        Upper and lower case of ASCII letters count as equal.
        """
        hit = np.zeros(len(self.table), np.bool_)
        hit[self.table.search(text)] = True
        sought = text.strip().lower()
        for name, target in (*self.branches.items(), *self.tags.items()):
            if sought and sought in name.lower():
                hit[self.table.find(target)] = True
        return np.flatnonzero(hit[self.rows]).astype(np.uint32)


def author_of(info: SnapshotInfo) -> str | None:
    """The author, where the commit's metadata name one."""
    for key in AUTHOR_KEYS:
        value = info.metadata.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def commit_row(info: SnapshotInfo) -> dict[str, Any]:
    """One commit as the views show it."""
    metadata = {key: value for key, value in info.metadata.items() if key != _LINEAGE_KEY}
    row = {
        "id": info.id,
        "parent": info.parent_id,
        "message": info.message,
        "time": iso(info.written_at),
        "author": author_of(info),
        "metadata": plain(metadata),
    }
    lineage = info.lineage
    if lineage is not None:
        row["others"] = info.parents[1:]
        row["origin"] = {"kind": lineage["kind"], "of": lineage.get("of", [])}
    return row


def listing(repo: Repository, ref: str | None = None, limit: int = 100_000) -> Listing:
    """The commits of a repository, read at one instant.

    Parameters
    ----------
    repo : Repository
        The repository.
    ref : str, optional
        Snapshot id: list only its ancestry; by default what branches and tags reach.
    limit : int
        List at most this many commits, the newest.
    """
    table = repo.commit_table(ref)
    starts = [*table.branches.values(), *table.tags.values()] if ref is None else [ref]
    edges = table.merges
    reached = _reached(table.parents, map(table.find, starts), edges)
    order = np.argsort(-table.written_at[reached].view(np.int64), kind="stable")
    rows = _children_first(reached[order], table.parents, edges)
    places = np.full(len(table) + 1, NOT_LISTED, np.int32)
    places[-1] = ROOT  # the parent of a root is row -1
    places[rows[:limit]] = np.arange(min(len(rows), limit), dtype=np.int32)
    parents = places[table.parents[rows[:limit]]]
    pairs = [
        (places[row], EXPIRED if parent < 0 else places[parent])
        for row, others in edges.items()
        for parent in others
        if places[row] >= 0
    ]
    merges = np.array(sorted(pairs), np.int32).reshape(-1, 2)
    more = len(rows) > limit
    return Listing(table, rows[:limit], parents, merges, _version(table, ref), more)


def version(repo: Repository, ref: str | None = None) -> str:
    """The version that a listing would have now, without walking over the commits."""
    return _version(repo.commit_table(ref), ref)


def _version(table: CommitTable, ref: str | None) -> str:
    """Commits do not change, so their number and the targets of all names identify a listing."""
    names = repr((sorted(table.branches.items()), sorted(table.tags.items()), ref)).encode()
    return f"{len(table)}-{hashlib.blake2b(names, digest_size=8).hexdigest()}"


def _reached(parents: NDArray[np.int64], starts: Iterable[int], merges: Edges) -> NDArray[np.int64]:
    """Rows of some commits and all their ancestors."""
    above = parents.tolist()
    seen = bytearray(len(above))
    pending = list(starts)
    while pending:
        row = pending.pop()
        while row >= 0 and not seen[row]:
            seen[row] = 1
            pending += merges.get(row, ())
            row = above[row]
    return np.flatnonzero(np.frombuffer(seen, np.uint8))


def _children_first(
    rows: NDArray[np.int64], parents: NDArray[np.int64], merges: Edges
) -> NDArray[np.int64]:
    """The same order, with parents whose clock was ahead moved below their children."""
    place = np.full(len(parents) + 1, len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    place[-1] = len(rows)
    edges = [(row, one) for row, others in merges.items() for one in others if one >= 0]
    later, earlier = np.array(edges, np.int64).reshape(-1, 2).T
    listed_edges = place[later] < len(rows)
    if (place[parents[rows]] > np.arange(len(rows))).all() and (place[later] < place[earlier])[
        listed_edges
    ].all():
        return rows
    above = parents.tolist()
    children = np.concatenate([parents[rows][parents[rows] >= 0], earlier[listed_edges]])
    waiting = np.bincount(children, minlength=len(parents)).tolist()
    listed = rows.tolist()
    at = place.tolist()
    done = bytearray(len(parents))
    ordered = []
    for number, start in enumerate(listed):
        # A parent that had to wait for a child further down follows that child directly.
        pending = [start]
        while pending:
            row = pending.pop()
            if at[row] > number or done[row] or waiting[row]:
                continue
            done[row] = 1
            ordered.append(row)
            for parent in (*merges.get(row, ()), above[row]):
                if parent >= 0:
                    waiting[parent] -= 1
                    pending.append(parent)
    ordered += [row for row in listed if not done[row]]  # a damaged, cyclic history
    return np.array(ordered, np.int64)
