"""Three states of one array: which chunks, shape and encoding the merged array has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.changes.cut_chunks import cut_off, whole_chunks
from icechunk.changes.merge import SameBytes
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.merging.append_chunks import joined
from icechunk.merging.appends import Append, Appends
from icechunk.merging.cell_merge import merge_cells
from icechunk.merging.sides import Sides, alike, array_of
from icechunk.merging.verdicts import BASE, CELLS, SOURCE, TARGET, UNDECIDED, Verdicts
from icechunk.spec.manifest.chunk_table import TOMBSTONE, ChunkTable
from icechunk.spec.manifest.coordinates import common, inside, member, sorted_unique
from icechunk.spec.manifest.references import changed, deletions
from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot
from icechunk.spec.snapshot.zarr_metadata import parse_node

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.core.ids import ObjectId
    from icechunk.merging.chunk_values import ChunkValues
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
    objects : set of ObjectId
        Chunk objects that were written for it.
    """

    adopted: tuple[ManifestRef, ...] | None = None
    edits: ChunkTable | None = None
    touched: Coords | None = None
    conflicts: list[Conflict] = field(default_factory=list)
    objects: set[ObjectId] = field(default_factory=set)


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
        Side that stands where both sides resized an axis, or one wrote what the other cut off.
    contested : dict of int to int
        Axes of which that is so, and the first chunk along them that it is about.
    grown : dict of int to int
        Axes along which both sides appended equally much, and the first chunk with new rows.
    append : Append or None
        The rows that both sides appended, where all of them are taken.
    conflicts : list of Conflict
        What is not decided; the target stands then.
    """

    shape: tuple[int, ...]
    side: int = TARGET
    contested: dict[int, int] = field(default_factory=dict)
    grown: dict[int, int] = field(default_factory=dict)
    append: Append | None = None
    conflicts: list[Conflict] = field(default_factory=list)

    def decide(self, kind: ConflictType, sides: Sides, verdicts: Verdicts) -> None:
        """Note the side that was chosen for a conflict, or that none was."""
        side = verdicts.side(kind, sides.path)
        conflict = Conflict(kind, sides.path)
        if side == UNDECIDED and conflict not in self.conflicts:
            self.conflicts.append(conflict)
        self.side = SOURCE if side == SOURCE else TARGET

    def contest(self, axis: int, sides: Sides) -> None:
        """Let one side stand along an axis, from the first chunk on that is cut or new."""
        nodes = (node for node in (sides.base, sides.source, sides.target) if node is not None)
        self.contested[axis] = min(whole_chunks(node, axis) for node in nodes)

    def within(self, coords: Coords) -> NDArray[np.bool_]:
        """Which chunks one side decides as a whole; shape ``(n,)``."""
        return _from(coords, self.contested)

    def appended(self, coords: Coords) -> NDArray[np.bool_]:
        """Which chunks have rows that both sides appended; shape ``(n,)``."""
        return _from(coords, self.grown)


def _from(coords: Coords, firsts: dict[int, int]) -> NDArray[np.bool_]:
    """Which chunks are at or beyond the given places of some axes; shape ``(n,)``."""
    found = np.zeros(len(coords), np.bool_)
    for axis, first in firsts.items():
        found |= coords[:, axis] >= first
    return found


def merged_shape(sides: Sides, verdicts: Verdicts, appends: Appends | None = None) -> MergedShape:
    """Merge the shapes of an array axis by axis."""
    source, target = array_of(sides.source).shape, array_of(sides.target).shape
    base = target if sides.base is None else array_of(sides.base).shape
    result = MergedShape(())
    for axis, (was, mine, its) in enumerate(zip(base, source, target, strict=True)):
        length = its if mine in (was, its) else mine
        if appends is not None and was < min(mine, its) and result.append is None:
            result.append = appends.along(sides, axis)
            if result.append is not None:
                result.shape += (result.append.total,)
                result.contested[axis] = result.append.base // result.append.chunk
                continue
        if was < mine == its and sides.base is not None:
            result.grown[axis] = whole_chunks(sides.base, axis)
        if was not in (mine, its) and mine != its:
            grew = mine > was and its > was
            kind = (
                ConflictType.AppendDoubleUpdate if grew else ConflictType.ZarrMetadataDoubleUpdate
            )
            result.decide(kind, sides, verdicts)
            result.contest(axis, sides)
            length = mine if result.side == SOURCE else its
        result.shape += (length,)
    if not result.contested:
        _settle_cuts(sides, result, verdicts)
    return result


def _settle_cuts(sides: Sides, result: MergedShape, verdicts: Verdicts) -> None:
    """Settle what one side wrote where the array, made smaller by the other, has no room."""
    if sides.base is None:
        return
    before = array_of(sides.base).shape
    former = None
    for writer, other, writes in (
        (sides.source, sides.target, sides.source_table),
        (sides.target, sides.source, sides.target_table),
    ):
        cut = [axis for axis, length in enumerate(array_of(other).shape) if length < before[axis]]
        written = sides.source_written() if writer is sides.source else sides.target_written()
        if not cut or not written:
            continue
        former = sides.former() if former is None else former
        table = writes()
        coords = changed(former, table)
        coords = coords[table.contains(coords)]
        if not len(cut_off(coords, sides.base, writer, other)):
            continue
        result.decide(ConflictType.ChunksUpdatedBeyondResize, sides, verdicts)
        kept = sides.source if result.side == SOURCE else sides.target
        for axis in cut:
            result.contest(axis, sides)
        lengths = list(result.shape)
        for axis in cut:
            lengths[axis] = array_of(kept).shape[axis]
        result.shape = tuple(lengths)


def merge_chunks(
    sides: Sides,
    merged: NodeSnapshot,
    resized: MergedShape,
    verdicts: Verdicts,
    same_bytes: SameBytes,
    values: ChunkValues | None = None,
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
    values : ChunkValues, optional
        Reads and stores chunks whose cells are merged; without it none are.
    """
    result = ArrayResult()
    array = array_of(merged)
    shrinks = _shrinks(array, array_of(sides.target))
    source_written, target_written = sides.source_written(), sides.target_written()
    if not source_written and not shrinks and resized.append is None:
        return result
    # A manifest names references by the id of their array.
    same_id = sides.source.id == sides.target.id
    if same_id and not target_written and array.shape == array_of(sides.source).shape:
        # Nothing of this array has to be decoded to be written: only the log needs the coordinates.
        result.adopted = sides.states[1].manifests(sides.source)
        if result.adopted is not None:
            result.touched = changed(sides.target_table(), sides.source_table())
            return result
    source, target, former = sides.source_table(), sides.target_table(), sides.former()
    ours, theirs = changed(former, source), changed(former, target)
    both = common(ours, theirs)
    contested = both[~alike(source, target, both, same_bytes)]
    laid = ours[~member(ours, both)]
    # Where one side stands as a whole, chunks are not decided one by one.
    whole = contested[resized.within(contested)]
    contested = contested[~resized.within(contested)]
    if resized.append is None and resized.contested and resized.side == SOURCE:
        its = theirs[~member(theirs, both)]
        laid = sorted_unique(np.concatenate((laid, whole, its[resized.within(its)])))
    else:
        laid = laid[~resized.within(laid)]
    codes, pieces = _decided(sides, merged, contested, resized, verdicts, values, result)
    open_ = contested[codes == UNDECIDED]
    if resized.append is not None:
        ends = joined(sides, merged, resized.append, verdicts, values)
        result.objects |= ends.written.objects
        open_ = sorted_unique(np.concatenate((open_, ends.conflicts)))
        former_ends = target.select(resized.within(target.coords()))
        pieces.append(taken(ends.table, changed(former_ends, ends.table)))
    if len(open_):
        result.conflicts.append(Conflict.of_chunks(sides.path, open_))
    laid = sorted_unique(np.concatenate((laid, contested[codes == SOURCE])))
    pieces += [taken(source, laid), taken(former, contested[codes == BASE])]
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


def _decided(
    sides: Sides,
    merged: NodeSnapshot,
    contested: Coords,
    resized: MergedShape,
    verdicts: Verdicts,
    values: ChunkValues | None,
    result: ArrayResult,
) -> tuple[NDArray[np.uint8], list[ChunkTable]]:
    """Code of each chunk that both sides wrote, and references of those with merged cells."""
    array = array_of(merged)
    codes = verdicts.sides(sides.path, contested, array.num_chunks)
    # What an expired base held is not known: its cells cannot be compared, nor itself be taken.
    lost = unknown(sides.former(), contested)
    codes[lost & (codes >= CELLS)] -= CELLS
    codes[lost & (codes == BASE)] = UNDECIDED
    celled = codes >= CELLS
    written = []
    if celled.any() and values is None:
        codes[celled] -= CELLS
    elif celled.any() and values is not None:
        found = merge_cells(sides, merged, contested, codes, values, verdicts.tolerance)
        result.objects |= found.objects
        written.append(found.table(len(array.shape)))
    appended = (codes == UNDECIDED) & resized.appended(contested)
    if appended.any():
        kind = ConflictType.AppendDoubleUpdate
        side = verdicts.side(kind, sides.path)
        if side not in (SOURCE, TARGET):
            result.conflicts.append(Conflict(kind, sides.path))
            side = TARGET
        codes[appended] = side
    return codes, written


def _shrinks(array: ArrayData, target: ArrayData) -> bool:
    return any(new < old for new, old in zip(array.shape, target.shape, strict=True))


def unknown(former: ChunkTable, coords: Coords) -> NDArray[np.bool_]:
    """Which chunks of a base are not known, since it expired and both sides changed them."""
    rows = former.find_many(coords)
    found = rows >= 0
    found[found] = former.kind[rows[found]] == TOMBSTONE
    return found


def taken(table: ChunkTable, coords: Coords) -> ChunkTable:
    """References of a state at some coordinates; deletions where it has none."""
    rows = table.find_many(coords)
    held = table.select(np.sort(rows[rows >= 0]))
    return ChunkTable.merge(deletions(coords[rows < 0]), held)


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
