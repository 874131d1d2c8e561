"""What one commit changed, by node identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icechunk.core.ids import NodeId, ObjectId
    from icechunk.spec.manifest.coordinates import Coords


class Move(NamedTuple):
    """A node that changed its path and kept its id; descendants of it have their own entries."""

    source: str
    target: str
    node_id: NodeId
    is_array: bool


@dataclass(frozen=True, slots=True, eq=False)
class TransactionLog:
    """The changes of one snapshot against its parent (Icechunk spec, "Transaction logs").

    Attributes
    ----------
    id : ObjectId
        Id of the snapshot it belongs to.
    new_groups, new_arrays, deleted_groups, deleted_arrays : frozenset of NodeId
    updated_groups, updated_arrays : frozenset of NodeId
        Nodes whose metadata changed.
    updated_chunks : mapping of NodeId to ndarray of uint32, shape (n, d)
        Chunks written or deleted, lexicographically sorted, each once.
    moved : tuple of Move
        In the order of the file: by `target`, compared by path component.
    """

    id: ObjectId
    new_groups: frozenset[NodeId] = frozenset()
    new_arrays: frozenset[NodeId] = frozenset()
    deleted_groups: frozenset[NodeId] = frozenset()
    deleted_arrays: frozenset[NodeId] = frozenset()
    updated_groups: frozenset[NodeId] = frozenset()
    updated_arrays: frozenset[NodeId] = frozenset()
    updated_chunks: Mapping[NodeId, Coords] = field(default_factory=dict)
    moved: tuple[Move, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TransactionLog):
            return NotImplemented
        return (
            self._sets() == other._sets()
            and self.moved == other.moved
            and self.updated_chunks.keys() == other.updated_chunks.keys()
            and all(
                np.array_equal(coords, other.updated_chunks[node])
                for node, coords in self.updated_chunks.items()
            )
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def _sets(self) -> tuple[object, ...]:
        return (
            self.id,
            self.new_groups,
            self.new_arrays,
            self.deleted_groups,
            self.deleted_arrays,
            self.updated_groups,
            self.updated_arrays,
        )

    @property
    def is_empty(self) -> bool:
        """Whether the commit changed nothing."""
        return not (any(self._sets()[1:]) or self.updated_chunks or self.moved)
