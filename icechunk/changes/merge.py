"""Merge the changes of a fork into its session; writes of both sides stay, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.chunk_edits import cut
from icechunk.changes.cut_chunks import cut_off
from icechunk.changes.document_merge import differences
from icechunk.changes.document_merge import merge as merge_documents
from icechunk.changes.tree_view import TreeView
from icechunk.core.errors import ConflictError, ErrorKind
from icechunk.core.ids import NodeId
from icechunk.core.paths import ROOT, join, parent_and_name
from icechunk.spec.manifest.chunk_table import TOMBSTONE, ChunkTable
from icechunk.spec.manifest.coordinates import Coords, sorted_unique
from icechunk.spec.manifest.references import clashing, same
from icechunk.spec.snapshot.nodes import NodeSnapshot, NodeTable
from icechunk.spec.snapshot.zarr_metadata import parse_node

_NAMED = 10
_FREE = ("attributes", "dimension_names", "shape")
"""Keys of ``zarr.json`` that may change while others write chunks: bytes keep their meaning."""

SameBytes = Callable[[ChunkTable, ChunkTable], "np.ndarray[Any, np.dtype[np.bool_]]"]
"""Which rows of two tables, chunk by chunk, refer to equal bytes in different places."""


@dataclass(frozen=True, slots=True)
class Fork:
    """One side of a merge: a state, and the changes since.

    Attributes
    ----------
    nodes : NodeTable
        The hierarchy at the fork, what the session had not committed included.
    changes : ChangeSet
        What the fork changed; removals by resizes are named chunk by chunk.
    references : callable
        All chunk references that an array of `nodes` had at the fork.
    """

    nodes: NodeTable
    changes: ChangeSet
    references: Callable[[NodeSnapshot], ChunkTable]


def merge(into: ChangeSet, base: NodeTable, fork: Fork, same_bytes: SameBytes | None) -> None:
    """Add the changes of a fork to those of a session.

    Every node is compared in three states: at the fork, in the session now, in the fork now.  What
    only one side changed is taken, what both changed alike is fine, the rest is a conflict.

    Parameters
    ----------
    into : ChangeSet
        Receives the changes; to be thrown away when an error is raised.
    base : NodeTable
        The hierarchy that `into` lies over.
    fork : Fork
        What comes back.
    same_bytes : callable or None
        Asked about the chunks that both wrote; of equal ones the receiver's reference stays.
        None: chunks of the fork replace those of the session.

    Raises
    ------
    ConflictError
        Kind ``merge-failed``: both made the same node, changed the same metadata differently,
        removed what the other changed, or wrote the same chunk differently.
    """
    problems = _Merge(into, base, fork, same_bytes).run()
    if problems:
        raise ConflictError(
            message="cannot merge the forked sessions, both sides changed the same things: "
            + "; ".join(problems)
            + ". Let every fork write chunks of its own (align the regions to chunks and shards)",
            kind=ErrorKind.MERGE_FAILED,
        )


class _Merge:
    """The merge of one fork into a change set."""

    def __init__(
        self, into: ChangeSet, base: NodeTable, fork: Fork, same_bytes: SameBytes | None
    ) -> None:
        self._into = into
        self._mine = TreeView(base, into)
        self._made = {node.id: node.path for node in into.new.values()}
        self._fork = fork
        self._theirs = TreeView(fork.nodes, fork.changes)
        self._same_bytes = same_bytes
        self._problems: list[str] = []

    def run(self) -> list[str]:
        """Merge; return the problems found."""
        changes = self._fork.changes
        written = {node_id for node_id, edits in changes.chunks.items() if len(edits)}
        for node_id in changes.updated.keys() | written:
            before = self._fork.nodes.by_id(node_id)
            if before is not None:  # else the fork made it
                self._change(before)
        self._delete()
        for made in changes.new.values():
            self._add(made)
        self._find_orphans()
        self._into.objects |= changes.objects
        return self._problems

    def _now(self, node_id: NodeId) -> NodeSnapshot | None:
        """A node as the session has it, new or of the base."""
        path = self._made.get(node_id)
        if path is None:
            return self._mine.by_id(node_id)
        node = self._into.new.get(path)
        return node if node is not None and node.id == node_id else None

    def _change(self, before: NodeSnapshot) -> None:
        """Merge metadata and chunks of a node that existed at the fork."""
        mine = self._now(before.id)
        theirs = self._theirs.by_id(before.id)
        assert theirs is not None
        if mine is None:
            self._problems.append(
                f"one deleted {before.path}, the other changed it"
                if before.id in self._into.deleted
                else "nodes that one changed do not exist in the other (deleted, or never made "
                f"there): {before.path}"
            )
            return
        merged = self._document(before, mine, theirs)
        if merged is None:
            return
        array = mine.array if merged == mine.user_data else parse_node(merged)
        edits = self._fork.changes.chunks.get(before.id)
        if array is not None and edits is not None:
            table = self._fresh(before, mine, edits.table(), theirs)
            self._into.edits(mine).extend(cut(table, array.num_chunks))
        elif array is not None and before.array is not None:
            self._fresh(before, mine, ChunkTable.empty(len(before.array.shape)), theirs)
        if merged != mine.user_data:
            self._into.update(mine, merged, array)

    # -- metadata --------------------------------------------------------------------------------

    def _document(
        self, before: NodeSnapshot, mine: NodeSnapshot, theirs: NodeSnapshot
    ) -> bytes | None:
        """The ``zarr.json`` that holds the changes of both sides; None where none does."""
        if mine.user_data == theirs.user_data == before.user_data:
            return mine.user_data
        former, ours, its = (node.document for node in (before, mine, theirs))
        old, own, new = (_encoding(document) for document in (former, ours, its))
        if (new not in (old, own) and len(self._since(before, mine))) or (
            own not in (old, new) and self._written(before.id)
        ):
            self._problems.append(
                f"one changed how {before.path} is stored, the other wrote chunks of it"
            )
            return None
        if not differences({}, former, its) or not differences({}, ours, its):
            return mine.user_data
        if not differences({}, former, ours):
            return theirs.user_data
        merged, left = merge_documents(former, ours, its, {})
        if left or _encoding(merged) not in (own, new):
            keys = ", ".join(difference.pointer for difference in left[:_NAMED])
            self._problems.append(
                f"both changed the metadata of {before.path}" + (f": {keys}" if keys else "")
            )
            return None
        return json.dumps(merged).encode()

    def _written(self, node_id: NodeId) -> bool:
        edits = self._fork.changes.chunks.get(node_id)
        return edits is not None and len(edits) > 0

    # -- chunks ----------------------------------------------------------------------------------

    def _since(self, before: NodeSnapshot, mine: NodeSnapshot) -> ChunkTable:
        """Edits that the session made since the fork."""
        edits = self._into.chunks.get(mine.id)
        if before.array is None or edits is None or not len(edits):
            return ChunkTable.empty(0 if mine.array is None else len(mine.array.shape))
        now = edits.table()
        return now.select(_differs(now, self._fork.references(before)))

    def _fresh(
        self, before: NodeSnapshot, mine: NodeSnapshot, theirs: ChunkTable, its: NodeSnapshot
    ) -> ChunkTable:
        """The fork's edits, without those that the session has too."""
        assert before.array is not None
        assert mine.array is not None
        assert its.array is not None
        if self._same_bytes is None:
            return theirs
        lost = [cut_off(_written(theirs), before, its, mine)]
        if any(new < old for new, old in zip(its.array.shape, before.array.shape, strict=False)):
            ours = _written(self._since(before, mine))
            lost.append(cut_off(ours, before, mine, its))
        return self._clash(before, before.path, mine, theirs, lost)

    def _clash(
        self,
        before: NodeSnapshot | None,
        path: str,
        mine: NodeSnapshot,
        theirs: ChunkTable,
        lost: list[Coords],
    ) -> ChunkTable:
        """Find chunks that both sides changed differently; return the edits without equal ones."""
        edits = self._into.chunks.get(mine.id)
        if edits is not None and self._same_bytes is not None:
            now = edits.table()
            both = clashing(now, theirs)
            if len(both) and before is not None:
                held = now.select(_rows_at(now, both))
                both = both[_differs(held, self._fork.references(before))]
            rows = now.find_many(both), theirs.find_many(both)
            gone = (now.kind[rows[0]] == TOMBSTONE) != (theirs.kind[rows[1]] == TOMBSTONE)
            lost.append(both[gone])
            both, rows = both[~gone], (rows[0][~gone], rows[1][~gone])
            equal = self._same_bytes(now.select(rows[0]), theirs.select(rows[1]))
            theirs = theirs.select(~_rows_at(theirs, both[equal]))
            self._name(f"both wrote chunks of {path}", both[~equal])
        lost = [coords for coords in lost if len(coords)]
        if lost:
            self._name(
                f"one removed chunks or made {path} smaller, the other wrote chunks there",
                sorted_unique(np.concatenate(lost)),
            )
        return theirs

    def _name(self, problem: str, coords: Coords) -> None:
        if len(coords):
            shown = ", ".join(str(row) for row in coords[:_NAMED].tolist())
            more = len(coords) - _NAMED
            self._problems.append(f"{problem}: {shown}" + (f" and {more} more" if more > 0 else ""))

    # -- nodes -----------------------------------------------------------------------------------

    def _delete(self) -> None:
        for gone in self._fork.changes.deleted.values():
            mine, before = self._now(gone.id), self._fork.nodes.by_id(gone.id)
            if mine is None or before is None:
                continue
            if not _alike(mine, before) or len(self._since(before, mine)):
                self._problems.append(f"one deleted {gone.path}, the other changed it")
            else:
                self._into.remove(mine)

    def _add(self, made: NodeSnapshot) -> None:
        """Merge a node that the fork added."""
        mine = self._mine.get(made.path)
        edits = self._fork.changes.chunks.get(made.id)
        if mine is None:
            self._into.insert(made)
            if edits is not None:
                self._into.chunks[made.id] = edits.copy()
        elif mine.id == made.id:  # merged before
            if not _alike(mine, made):
                self._problems.append(f"both changed the metadata of {made.path}")
            elif edits is not None:
                table = edits.table()
                fresh = self._clash(None, made.path, mine, table, [table.coords()[:0]])
                self._into.edits(mine).extend(fresh)
        elif mine.is_array or made.is_array or not _alike(mine, made):
            self._problems.append(f"both created {made.path}")

    def _find_orphans(self) -> None:
        """Find nodes whose parent the other side deleted, or replaced by an array."""
        changes = self._fork.changes
        for path in changes.new:
            parent = ROOT if path == ROOT else parent_and_name(path)[0]
            was = self._theirs.get(parent)
            if path != ROOT and was is not None and self._lacks(parent, was.is_array):
                self._problems.append(f"one deleted {parent}, the other made {path} in it")
        for gone in changes.deleted.values():
            children = self._mine.children(gone.path)
            if children and self._lacks(gone.path, gone.is_array):
                below = join(gone.path, children[0])
                self._problems.append(f"one deleted {gone.path}, the other made {below}")

    def _lacks(self, path: str, was_array: bool) -> bool:
        """Whether a path is not a parent any more: deleted, or an array now."""
        node = self._mine.get(path)
        return node is None or (node.is_array and not was_array)


def _alike(one: NodeSnapshot, two: NodeSnapshot) -> bool:
    """Whether two nodes have equal metadata, compared as JSON."""
    if one.user_data == two.user_data:
        return True
    return not differences({}, one.document, two.document)


def _encoding(document: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for a chunk's bytes to mean the same values at the same place."""
    return {key: value for key, value in document.items() if key not in _FREE}


def _differs(now: ChunkTable, before: ChunkTable) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which edits differ from the references before; shape ``(n,)``."""
    rows = before.find_many(now.coords())
    held = np.flatnonzero(rows >= 0)
    changed: np.ndarray[Any, np.dtype[np.bool_]] = now.kind != TOMBSTONE
    changed[held] = ~same(now, held, before, rows[held])
    return changed


def _written(edits: ChunkTable) -> Coords:
    """Coordinates of edits that are not deletions."""
    return edits.coords(np.flatnonzero(edits.kind != TOMBSTONE))


def _rows_at(table: ChunkTable, coords: Coords) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows of a table are at given coordinates, all of which it has; shape ``(n,)``."""
    found = np.zeros(len(table), np.bool_)
    found[table.find_many(coords)] = True
    return found
