"""Both sides appended along a dimension: one side's new rows are placed after the other's.

All arrays of a group that share the dimension are one unit, so that coordinates and data stay
together: one decision is about all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.changes.cut_chunks import whole_chunks
from icechunk.conflicts.model import ConflictType
from icechunk.core.paths import parent_and_name
from icechunk.merging.chunk_values import ChunkFormat, ChunkValues
from icechunk.merging.sides import Sides, alike, array_of
from icechunk.merging.verdicts import SOURCE, TARGET, Verdicts
from icechunk.spec.manifest.coordinates import common
from icechunk.spec.manifest.references import changed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.changes.merge import SameBytes
    from icechunk.merging.state import State
    from icechunk.spec.snapshot.nodes import NodeSnapshot

_KIND = ConflictType.AppendDoubleUpdate
_FIRST = {"ours then theirs": SOURCE, "theirs then ours": TARGET}
_BY_COORDINATE = "by coordinate"
_JOINS = (*_FIRST, _BY_COORDINATE)
_MEANING = ("units", "calendar", "scale_factor", "add_offset")
"""Attributes that say what the stored values of a coordinate mean."""


@dataclass(frozen=True, slots=True)
class Append:
    """New rows of both sides along an axis.

    Attributes
    ----------
    axis : int
        The axis.
    first : int
        ``SOURCE`` or ``TARGET``: the side whose rows keep their places.
    base, firsts, seconds : int
        Lengths of the base, of that side, and of the other side.
    chunk : int
        Chunk length.
    """

    axis: int
    first: int
    base: int
    firsts: int
    seconds: int
    chunk: int

    @property
    def total(self) -> int:
        """Length of the merged array."""
        return self.firsts + self.seconds - self.base

    @property
    def shift(self) -> int:
        """How far the rows of the second side move."""
        return self.firsts - self.base

    @property
    def by_reference(self) -> bool:
        """Whether whole chunks move, so that no values have to be read."""
        return self.base % self.chunk == 0 and self.shift % self.chunk == 0

    def gathered(self) -> list[int]:
        """Chunks along the axis with rows of several origins, which are read and written."""
        found = [self.base // self.chunk] if self.base % self.chunk else []
        start = self.firsts // self.chunk
        if self.shift % self.chunk:
            found += range(start, -(-self.total // self.chunk))
        elif self.firsts % self.chunk:
            found.append(start)
        return sorted(set(found))


class Appends:
    """Finds which arrays were appended to together, and what was decided about them.

    Parameters
    ----------
    base : State or None
    source, target : State
        The states that are merged.
    verdicts : Verdicts
        What was decided.
    values : ChunkValues or None
        Reads chunks; without it only whole chunks are moved.
    same_bytes : callable
        Asked about chunks that both sides wrote differently.
    """

    def __init__(
        self,
        base: State | None,
        source: State,
        target: State,
        verdicts: Verdicts,
        values: ChunkValues | None,
        same_bytes: SameBytes,
    ) -> None:
        self._states = base, source, target
        self._verdicts = verdicts
        self._values = values
        self._same_bytes = same_bytes

    def along(self, sides: Sides, axis: int) -> Append | None:
        """What to do where both sides appended; None where one side stands, or nothing is decided.

        None also where the arrays of the unit do not fit each other, so that the conflict stays.
        """
        if not any(one.type is _KIND and one.choice in _JOINS for one in self._verdicts.decisions):
            return None
        unit = self._unit(sides, axis)
        choice = self._choice(sides, unit)
        if choice is None or unit is None:
            return None
        lengths = [
            tuple(array_of(node).shape[at] for node in (one.base, one.source, one.target) if node)
            for one, at in unit
        ]
        if len(set(lengths)) != 1 or len(lengths[0]) != 3 or not all(map(_only_grew, unit)):
            return None
        base, source, target = lengths[0]
        if not base < min(source, target) or (source == target and not self._conflict(unit)):
            return None
        first = _FIRST.get(choice)
        if first is None:
            first = self._order(unit, base)
        if first is None or not all(self._possible(one, at, first) for one, at in unit):
            return None
        return _append(sides, axis, first)

    def _choice(self, sides: Sides, unit: list[tuple[Sides, int]] | None) -> str | None:
        paths = [sides.path, *(one.path for one, _ in unit or () if one.path != sides.path)]
        for path in paths:
            decision = self._verdicts.decision(_KIND, path)
            if decision is not None:
                return decision.choice if decision.choice in _JOINS else None
        return None

    def _unit(self, sides: Sides, axis: int) -> list[tuple[Sides, int]] | None:
        """The arrays of the group with this dimension; None when one is only on one side."""
        name = _dimension(sides.target, axis)
        if name is None:
            return [(sides, axis)]
        base, source, target = self._states
        group = parent_and_name(sides.path)[0]
        found = []
        for node in target:
            at = _axis(node, group, name)
            if at is None:
                continue
            mine = source.by_id(node.id)
            former = None if base is None else base.by_id(node.id)
            if mine is None or mine.array is None or former is None or former.array is None:
                return None
            if len(mine.array.shape) != len(array_of(node).shape):
                return None
            found.append((Sides(former, mine, node, self._states), at))
        news = (node for node in source if target.by_id(node.id) is None)
        if any(_axis(node, group, name) is not None for node in news):
            return None
        return found

    def _conflict(self, unit: list[tuple[Sides, int]]) -> bool:
        """Whether both sides wrote one of the new chunks differently, having grown equally."""
        for sides, axis in unit:
            assert sides.base is not None
            former, source, target = sides.former(), sides.source_table(), sides.target_table()
            both = common(changed(former, source), changed(former, target))
            both = both[both[:, axis] >= whole_chunks(sides.base, axis)]
            if not alike(source, target, both, self._same_bytes).all():
                return True
        return False

    def _possible(self, sides: Sides, axis: int, first: int) -> bool:
        """Whether the chunks of an array can be moved, or read and written."""
        if sides.target.document["chunk_grid"]["name"] != "regular":
            return False
        if _append(sides, axis, first).by_reference:
            return True
        if self._values is None:
            return False
        try:
            ChunkFormat(sides.target)
        except Exception:  # whatever Zarr raises for a codec or data type it does not know
            return False
        return True

    # -- by coordinate ---------------------------------------------------------------------------

    def _order(self, unit: list[tuple[Sides, int]], base: int) -> int | None:
        """The side whose coordinates come first; None where they do not tell."""
        if self._values is None:
            return None
        for sides, at in unit:
            name = parent_and_name(sides.path)[1]
            if len(array_of(sides.target).shape) != 1 or _dimension(sides.target, at) != name:
                continue
            if not _same_meaning(sides):
                return None
            try:
                mine = self._tail(sides.states[1], sides.source, base)
                its = self._tail(sides.states[2], sides.target, base)
            except Exception:  # see `_possible`
                return None
            for low, high, first in ((mine, its, SOURCE), (its, mine, TARGET)):
                if _ordered(np.concatenate((low, high[min(base, 2) :]))):
                    return first
        return None

    def _tail(self, state: State, node: NodeSnapshot, base: int) -> NDArray[Any]:
        """Values of a 1-d array from the last two of the base on."""
        assert self._values is not None
        form = ChunkFormat(node)
        (chunk,), (length,) = form.chunk, form.shape
        start = max(base - 2, 0)  # two, which say whether values rise or fall
        places = [(at,) for at in range(start // chunk, -(-length // chunk))]
        blocks = self._values.blocks(form, state.table(node), places)
        return np.concatenate(blocks)[start - start // chunk * chunk :][: length - start]


def _append(sides: Sides, axis: int, first: int) -> Append:
    assert sides.base is not None
    nodes = (sides.source, sides.target)
    one, two = nodes if first == SOURCE else nodes[::-1]
    chunk = sides.target.document["chunk_grid"]["configuration"]["chunk_shape"][axis]
    return Append(
        axis,
        first,
        array_of(sides.base).shape[axis],
        array_of(one).shape[axis],
        array_of(two).shape[axis],
        chunk,
    )


def _only_grew(member: tuple[Sides, int]) -> bool:
    """Whether neither side made an array smaller along any axis."""
    sides, _ = member
    assert sides.base is not None
    shapes = [array_of(node).shape for node in (sides.base, sides.source, sides.target)]
    return all(was <= min(mine, its) for was, mine, its in zip(*shapes, strict=True))


def _names(node: NodeSnapshot) -> Sequence[str | None]:
    names: Any = array_of(node).dimension_names
    if names is None:
        names = node.document.get("attributes", {}).get("_ARRAY_DIMENSIONS")
    return names if isinstance(names, list | tuple) else ()


def _dimension(node: NodeSnapshot, axis: int) -> str | None:
    names = _names(node)
    return names[axis] if axis < len(names) else None


def _axis(node: NodeSnapshot, group: str, name: str) -> int | None:
    """Axis with a dimension name, for an array directly in a group."""
    if node.array is None or parent_and_name(node.path)[0] != group or name not in _names(node):
        return None
    return list(_names(node)).index(name)


def _same_meaning(sides: Sides) -> bool:
    documents = [node.document for node in (sides.source, sides.target)]
    one, two = (
        [document["data_type"], *(document.get("attributes", {}).get(key) for key in _MEANING)]
        for document in documents
    )
    return bool(one == two)


def _ordered(values: NDArray[Any]) -> bool:
    """Whether values strictly increase, or strictly decrease."""
    if values.dtype.kind not in "iufmMUST":
        return False
    pairs = list(pairwise(values.tolist() if values.dtype.kind in "UST" else values))
    return all(a < b for a, b in pairs) or all(a > b for a, b in pairs)
