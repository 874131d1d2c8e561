"""One array in the three states of a merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.references import same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.changes.merge import SameBytes
    from icechunk.merging.state import State
    from icechunk.spec.manifest.coordinates import Coords
    from icechunk.spec.snapshot.nodes import ArrayData, NodeSnapshot


def array_of(node: NodeSnapshot) -> ArrayData:
    """What a snapshot records of an array."""
    assert node.array is not None
    return node.array


@dataclass(frozen=True, slots=True)
class Sides:
    """One array in three states.

    Attributes
    ----------
    base, source, target : NodeSnapshot
        `base` is None for arrays that both sides made.
    states : tuple of State
        Of base (or None), source and target.
    """

    base: NodeSnapshot | None
    source: NodeSnapshot
    target: NodeSnapshot
    states: tuple[State | None, State, State]

    @property
    def path(self) -> str:
        """Path of the array in the target."""
        return self.target.path

    def former(self) -> ChunkTable:
        """References of the base."""
        state = self.states[0]
        if self.base is None or self.base.array is None or state is None:
            return ChunkTable.empty(len(array_of(self.target).shape))
        return state.table(self.base)

    def source_table(self) -> ChunkTable:
        """References of the source."""
        return self.states[1].table(self.source)

    def target_table(self) -> ChunkTable:
        """References of the target."""
        return self.states[2].table(self.target)

    def source_written(self) -> bool:
        """Whether the source changed references, or may have."""
        return self._written(self.states[1], self.source)

    def target_written(self) -> bool:
        """Whether the target changed references, or may have."""
        return self._written(self.states[2], self.target)

    def _written(self, state: State, node: NodeSnapshot) -> bool:
        if self.base is None or self.base.array is None:
            return True
        return state.manifests(node) != self.base.array.manifests


def alike(
    source: ChunkTable, target: ChunkTable, coords: Coords, same_bytes: SameBytes
) -> NDArray[np.bool_]:
    """Which chunks are equal in both states, by reference or by content; shape ``(n,)``."""
    mine, its = source.find_many(coords), target.find_many(coords)
    equal: NDArray[np.bool_] = (mine < 0) & (its < 0)
    both = np.flatnonzero((mine >= 0) & (its >= 0))
    equal[both] = same(source, mine[both], target, its[both])
    rest = both[~equal[both]]
    if len(rest):
        equal[rest] = same_bytes(source.select(mine[rest]), target.select(its[rest]))
    return equal
