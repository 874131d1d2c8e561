"""Three states of one array: which chunks, shape and encoding the merged array has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.changes.cut_chunks import cut_off, whole_chunks
from icechunk.changes.merge import SameBytes
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.merging.verdicts import BASE, SOURCE, TARGET, UNDECIDED, Verdicts
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import common, inside, member, sorted_unique
from icechunk.spec.manifest.references import changed, deletions, same
from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot
from icechunk.spec.snapshot.zarr_metadata import parse_node

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.merging.state import State
    from icechunk.spec.manifest.coordinates import Coords

_FREE = ("attributes", "dimension_names", "shape", "fill_value")
"""Keys of ``zarr.json`` that may change while the other side writes chunks."""


@dataclass(slots=True)
class ArrayResult:
    """What becomes of an array of the target.

    Attributes
    ----------
    adopted : tuple of ManifestRef or None
        Manifests of the source that hold all references; None where the target's stay.
    edits : ChunkTable or None
        Changes over the target's references.
    touched : ndarray or None
        Coordinates whose reference is not that of the target, uint32 of shape ``(n, d)``.
    conflicts : list of Conflict
        What is not decided.
    """

    adopted: tuple[ManifestRef, ...] | None = None
    edits: ChunkTable | None = None
    touched: Coords | None = None
    conflicts: list[Conflict] = field(default_factory=list)


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
            return ChunkTable.empty(len(_array(self.target).shape))
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


def encoding(document: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for a chunk's bytes to mean the same values at the same place."""
    kept = {key: value for key, value in document.items() if key not in _FREE}
    kept["rank"] = len(document["shape"])
    return kept


@dataclass(slots=True)
class MergedShape:
    """The shape of a merged array.

    Attributes
    ----------
    shape : tuple of int
        Length of each axis.
    side : int
        Side that was chosen where both sides resized an axis differently, else ``UNDECIDED``.
    appended : list of int
        Axes along which both sides appended different lengths.
    conflicts : list of Conflict
        What is not decided.
    """

    shape: tuple[int, ...]
    side: int = UNDECIDED
    appended: list[int] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def merged_shape(sides: Sides, verdicts: Verdicts) -> MergedShape:
    """Merge the shapes of an array axis by axis."""
    source, target = _array(sides.source).shape, _array(sides.target).shape
    base = target if sides.base is None else _array(sides.base).shape
    result = MergedShape(())
    for axis, (was, mine, its) in enumerate(zip(base, source, target, strict=True)):
        length = its if mine in (was, its) else mine
        if was not in (mine, its) and mine != its:
            grew = mine > was and its > was
            kind = (
                ConflictType.AppendDoubleUpdate if grew else ConflictType.ZarrMetadataDoubleUpdate
            )
            side = verdicts.side(kind, sides.path)
            length = mine if side == SOURCE else its
            if grew:
                result.appended.append(axis)
            if side != UNDECIDED:
                result.side = side
            elif Conflict(kind, sides.path) not in result.conflicts:
                result.conflicts.append(Conflict(kind, sides.path))
        result.shape += (length,)
    return result


def merge_chunks(
    sides: Sides,
    merged: NodeSnapshot,
    resized: MergedShape,
    verdicts: Verdicts,
    same_bytes: SameBytes,
) -> ArrayResult:
    """Merge the references of an array whose encoding is the same on both sides.

    Parameters
    ----------
    sides : Sides
        The three states.
    merged : NodeSnapshot
        With the merged metadata.
    resized : MergedShape
        How its shape came about.
    verdicts : Verdicts
        What was decided.
    same_bytes : callable
        Asked about the chunks that both wrote differently.
    """
    result = ArrayResult()
    array = _array(merged)
    shrinks = _shrinks(array, _array(sides.target))
    source_written, target_written = sides.source_written(), sides.target_written()
    if not source_written and not shrinks:
        return result
    if not target_written and array.shape == _array(sides.source).shape:
        # Nothing of this array has to be decoded to be written: only the log needs the coordinates.
        result.adopted = sides.states[1].manifests(sides.source)
        if result.adopted is not None:
            result.touched = changed(sides.target_table(), sides.source_table())
            return result
    source, target, former = sides.source_table(), sides.target_table(), sides.former()
    ours, theirs = changed(former, source), changed(former, target)
    if resized.side == UNDECIDED:
        result.conflicts += _beyond_resize(sides, merged, source, target, ours, theirs, verdicts)
    both = common(ours, theirs)
    contested = both[~_alike(source, target, both, same_bytes)]
    laid = ours[~member(ours, both)]
    codes = verdicts.sides(sides.path, contested, array.num_chunks)
    if resized.appended:
        # Where both appended, one side's rows stand as a whole, also where only one wrote chunks.
        codes[_appended(contested, sides, resized) & (codes == UNDECIDED)] = (
            resized.side if resized.side != UNDECIDED else TARGET
        )
        if resized.side == SOURCE:
            its = theirs[~member(theirs, both)]
            laid = sorted_unique(np.concatenate((laid, its[_appended(its, sides, resized)])))
        else:
            laid = laid[~_appended(laid, sides, resized)]
    open_ = contested[codes == UNDECIDED]
    if len(open_):
        result.conflicts.append(Conflict.of_chunks(sides.path, open_))
    laid = sorted_unique(np.concatenate((laid, contested[codes == SOURCE])))
    pieces = [taken(source, laid), taken(former, contested[codes == BASE])]
    edits = ChunkTable.concat(pieces, ndim=len(array.shape))
    edits = edits.within(tuple((0, max(n, 1)) for n in array.num_chunks))
    touched = edits.coords()
    if shrinks:
        gone = target.coords()
        gone = gone[~inside(gone, tuple((0, max(n, 1)) for n in array.num_chunks))]
        touched = sorted_unique(np.concatenate((touched, gone)))
    if len(edits):
        result.edits = edits
    if len(touched):
        result.touched = touched
    return result


def _appended(coords: Coords, sides: Sides, resized: MergedShape) -> NDArray[np.bool_]:
    """Which chunks hold elements behind the end of the base, along an axis both appended to."""
    found = np.zeros(len(coords), np.bool_)
    assert sides.base is not None
    for axis in resized.appended:
        found |= coords[:, axis] >= whole_chunks(sides.base, axis)
    return found


def _array(node: NodeSnapshot) -> ArrayData:
    assert node.array is not None
    return node.array


def _shrinks(array: ArrayData, target: ArrayData) -> bool:
    return any(new < old for new, old in zip(array.shape, target.shape, strict=True))


def _beyond_resize(
    sides: Sides,
    merged: NodeSnapshot,
    source: ChunkTable,
    target: ChunkTable,
    ours: Coords,
    theirs: Coords,
    verdicts: Verdicts,
) -> list[Conflict]:
    """What one side wrote where the merged array, made smaller by the other, has no room."""
    if sides.base is None or sides.base.array is None:
        return []
    before = sides.base.array
    kind = ConflictType.ChunksUpdatedBeyondResize
    lost = [
        cut_off(_present(table, coords), sides.base, writer, merged)
        for table, coords, writer, other in (
            (source, ours, sides.source, sides.target),
            (target, theirs, sides.target, sides.source),
        )
        if any(n < o for n, o in zip(_array(other).shape, before.shape, strict=True))
    ]
    if not any(map(len, lost)) or verdicts.side(kind, sides.path) != UNDECIDED:
        return []
    return [Conflict(kind, sides.path)]


def _present(table: ChunkTable, coords: Coords) -> Coords:
    return coords[table.contains(coords)]


def taken(table: ChunkTable, coords: Coords) -> ChunkTable:
    """References of a state at some coordinates; deletions where it has none."""
    rows = table.find_many(coords)
    held = table.select(np.sort(rows[rows >= 0]))
    return ChunkTable.merge(deletions(coords[rows < 0]), held)


def _alike(
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


def with_document(node: NodeSnapshot, document: bytes) -> NodeSnapshot:
    """The node with other metadata; an array keeps its manifests."""
    if document == node.user_data:
        return node
    array = parse_node(document, rectilinear=True)
    if array is not None and node.array is not None:
        array = ArrayData(
            array.shape, array.num_chunks, array.dimension_names, node.array.manifests
        )
    return NodeSnapshot(node.id, node.path, document, array)
