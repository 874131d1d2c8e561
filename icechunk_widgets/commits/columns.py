"""The commits of a repository as columns: a hundred thousand of them without an object for each.

It looks below the engine's public face, where the list of snapshots is columns as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk import Repository
from icechunk.core.clock import to_datetime
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.spec.columns.text_pool import TextPool
from icechunk.spec.repo.snapshot_table import NO_PARENT, SnapshotTable
from icechunk_widgets.kernel.plain import iso, plain

ID_WIDTH = 20
"""Letters of a snapshot id."""
ROOT, NOT_LISTED = -1, -2
"""Parents that have no place in a listing."""
AUTHOR_KEYS = ("author", "author_name", "user", "username", "committer")

_LETTERS = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8)


@dataclass(frozen=True)
class Listing:
    """Commits in the order in which they are shown: newest first, children before parents.

    Attributes
    ----------
    table : SnapshotTable
        Every snapshot of the repository.
    rows : int64 array, shape (n,)
        Their rows in `table`.
    parents : int32 array, shape (n,)
        Place of each parent in this listing, `ROOT` for none, `NOT_LISTED` for one left out.
    branches, tags : mapping of str to ObjectId
        Where the names point to.
    version : str
        The same for the same content.
    truncated : bool
        Whether older commits were left out.
    """

    table: SnapshotTable
    rows: NDArray[np.int64]
    parents: NDArray[np.int32]
    branches: Mapping[str, ObjectId]
    tags: Mapping[str, ObjectId]
    version: str
    truncated: bool

    def __len__(self) -> int:
        return len(self.rows)

    def times(self) -> NDArray[np.float64]:
        """When each was written: milliseconds since 1970, UTC."""
        return np.asarray(self.table.flushed_at[self.rows] / 1000.0)

    def ids(self) -> NDArray[np.uint8]:
        """The letters of each id, shape ``(n, 20)``."""
        raw = self.table.ids[self.rows]
        bits = np.unpackbits(raw, axis=1)
        padded = np.zeros((len(raw), ID_WIDTH * 5), np.uint8)
        padded[:, : bits.shape[1]] = bits
        values = padded.reshape(len(raw), ID_WIDTH, 5) @ np.array([16, 8, 4, 2, 1], np.uint8)
        return _LETTERS[values]

    def place(self, snapshot_id: ObjectId) -> int:
        """Where a commit is in this listing, -1 where it is not."""
        found = np.flatnonzero(self.rows == self.table.find(snapshot_id))
        return int(found[0]) if len(found) else -1

    def places(self) -> dict[ObjectId, int]:
        """Where the commits with a name are; those in this listing."""
        targets = list(dict.fromkeys([*self.branches.values(), *self.tags.values()]))
        wanted = {self.table.find(target): target for target in targets}
        hits = np.flatnonzero(np.isin(self.rows, np.array(list(wanted), np.int64)))
        return {wanted[int(self.rows[place])]: int(place) for place in hits}

    def row(self, place: int) -> dict[str, Any]:
        """One commit as the views show it."""
        record = self.table.record(int(self.rows[place]))
        return {
            "id": id_text(record.id),
            "parent": None if record.parent_id is None else id_text(record.parent_id),
            "message": record.message,
            "time": iso(to_datetime(record.flushed_at)),
            "author": author_of(record.metadata),
            "metadata": plain(record.metadata),
        }

    def search(self, text: str) -> NDArray[np.uint32]:
        """Places of the commits whose message, id, metadata or names contain a text.

        Upper and lower case of ASCII letters are alike.
        """
        wanted = text.strip().replace("\0", "").lower()
        if not wanted:
            return np.zeros(0, np.uint32)
        table, raw = self.table, wanted.encode()
        hit = np.zeros(len(table), np.bool_)
        hit[_having(table.messages, raw)] = True
        packed = table.packed
        items = _having(packed.values, raw)
        owners = np.flatnonzero(packed.count > 0)
        owners = owners[np.argsort(packed.first[owners], kind="stable")]
        if len(owners):
            hit[owners[np.searchsorted(packed.first[owners], items, side="right") - 1]] = True
        for id, fresh in table.fresh.items():
            if wanted in str(plain(fresh.values)).lower():
                hit[table.find(id)] = True
        for name, target in (*self.branches.items(), *self.tags.items()):
            if wanted in name.lower():
                hit[table.find(target)] = True
        found = hit[self.rows]
        key = wanted.upper().encode()
        if len(key) <= ID_WIDTH and all(letter in _LETTERS for letter in key):
            letters = self.ids().tobytes()
            at = np.fromiter((m.start() for m in re.finditer(re.escape(key), letters)), np.int64)
            found[at[at % ID_WIDTH + len(key) <= ID_WIDTH] // ID_WIDTH] = True
        return np.flatnonzero(found).astype(np.uint32)


def _having(pool: TextPool, raw: bytes) -> NDArray[np.int64]:
    """Rows of a pool whose text contains some bytes, ASCII letters of any case."""
    positions = np.fromiter(
        (match.start() for match in re.finditer(re.escape(raw), bytes(pool.data).lower())), np.int64
    )
    order = np.argsort(pool.start, kind="stable")
    order = order[pool.length[order] >= 0]
    if not len(positions) or not len(order):
        return np.zeros(0, np.int64)
    # Rows may share a text: whatever starts where a hit's text starts has it too.
    start, length = pool.start[order], pool.length[order]
    before = np.searchsorted(start, positions, side="right") - 1
    inside = (before >= 0) & (positions + len(raw) <= (start + length)[np.maximum(before, 0)])
    return np.asarray(order[np.isin(start, start[before[inside]])])


def author_of(metadata: Mapping[str, Any]) -> str | None:
    """Who committed, where the metadata say so."""
    for key in AUTHOR_KEYS:
        value = metadata.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def listing(repo: Repository, ref: str | None = None, limit: int = 100_000) -> Listing:
    """The commits of a repository, read at one instant.

    Parameters
    ----------
    repo : Repository
        Whose commits.
    ref : str, optional
        Snapshot id: list only its ancestry; else what branches and tags reach.
    limit : int
        Most commits, the newest.
    """
    branches, tags, table = names_and_table(repo, ref)
    starts = [*branches.values(), *tags.values()] if ref is None else [parse_object_id(ref)]
    reached = _reached(table, (table.row_of(start) for start in starts))
    order = np.argsort(-table.flushed_at[reached], kind="stable")
    rows = _children_first(reached[order], table.parents)
    places = np.full(len(table) + 1, NOT_LISTED, np.int32)
    places[-1] = ROOT  # the parent of a root is at -1
    places[rows[:limit]] = np.arange(min(len(rows), limit), dtype=np.int32)
    return Listing(
        table,
        rows[:limit],
        places[table.parents[rows[:limit]]],
        branches,
        tags,
        _version(branches, tags, table, ref),
        len(rows) > limit,
    )


def version(repo: Repository, ref: str | None = None) -> str:
    """The version that a listing would have now; it costs no walk over the commits."""
    return _version(*names_and_table(repo, ref), ref)


def _version(
    branches: Mapping[str, ObjectId],
    tags: Mapping[str, ObjectId],
    table: SnapshotTable,
    ref: str | None,
) -> str:
    """Commits do not change: their number and what has a name tell all."""
    names = repr((sorted(branches.items()), sorted(tags.items()), ref)).encode()
    return f"{len(table)}-{hashlib.blake2b(names, digest_size=8).hexdigest()}"


def names_and_table(
    repo: Repository, ref: str | None = None
) -> tuple[Mapping[str, ObjectId], Mapping[str, ObjectId], SnapshotTable]:
    """Branches, tags, and the snapshots they reach (or those that a snapshot id reaches)."""
    ref_store = repo._ctx.ref_store
    if ref_store.spec_version != 1:
        state = ref_store.state()
        return state.branches, state.tags, state.snapshots
    branches, tags, records = ref_store.commits()
    if ref is not None:
        records = list(ref_store.ancestry(parse_object_id(ref)))
    return branches, tags, SnapshotTable.from_records(records)


def _reached(table: SnapshotTable, starts: Iterable[int]) -> NDArray[np.int64]:
    """Rows of some snapshots and all their ancestors."""
    parents = table.parents.tolist()
    seen = bytearray(len(parents))
    for row in starts:
        while row != NO_PARENT and not seen[row]:
            seen[row] = 1
            row = parents[row]
    return np.flatnonzero(np.frombuffer(seen, np.uint8))


def _children_first(rows: NDArray[np.int64], parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same order, but for parents whose clock was ahead of their children's."""
    place = np.full(len(parents) + 1, len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    place[-1] = len(rows)
    if (place[parents[rows]] > np.arange(len(rows))).all():
        return rows
    above = parents.tolist()
    waiting = np.bincount(parents[rows][parents[rows] >= 0], minlength=len(parents)).tolist()
    listed = rows.tolist()
    at = place.tolist()
    done = bytearray(len(parents))
    ordered = []
    for number, start in enumerate(listed):
        row = start
        # A parent that was passed over because of a child below it follows that child at once.
        while row != NO_PARENT and at[row] <= number and not done[row] and not waiting[row]:
            done[row] = 1
            ordered.append(row)
            row = above[row]
            if row != NO_PARENT:
                waiting[row] -= 1
    ordered += [row for row in listed if not done[row]]  # only of a damaged (cyclic) history
    return np.array(ordered, np.int64)
