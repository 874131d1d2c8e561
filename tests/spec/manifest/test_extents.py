from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import InternalError
from icechunk.spec.manifest import extents as boxes

ranges = st.tuples(st.integers(0, 4), st.integers(0, 5))
extents = st.lists(ranges, min_size=2, max_size=2).map(tuple)


def cells(box: boxes.Extents) -> set[tuple[int, ...]]:
    return set(itertools.product(*(range(low, high) for low, high in box)))


@given(extents, extents)
def test_algebra_agrees_with_sets_of_cells(a: boxes.Extents, b: boxes.Extents) -> None:
    assert boxes.overlaps(a, b) == bool(cells(a) & cells(b))
    assert boxes.covers(a, b) == (cells(b) <= cells(a))
    assert cells(a) | cells(b) <= cells(boxes.union(a, b))
    assert boxes.size(a) == len(cells(a))
    assert boxes.is_empty(a) == (not cells(a))
    shared = boxes.intersection(a, b)
    assert (cells(shared) if shared is not None else set()) == cells(a) & cells(b)
    for cell in itertools.product(range(6), repeat=2):
        assert boxes.contains(a, cell) == (cell in cells(a))


def test_zero_dimensional_box_holds_the_only_chunk() -> None:
    assert boxes.contains((), ())
    assert boxes.overlaps((), ())
    assert boxes.covers((), ())
    assert boxes.size(()) == 1


def test_another_rank_is_never_inside() -> None:
    assert not boxes.contains(((0, 2),), (0, 0))
    assert not boxes.covers(((0, 2),), ((0, 1), (0, 1)))
    assert not boxes.overlaps(((0, 2),), ())
    with pytest.raises(InternalError, match="rank 1 and 2"):
        boxes.union(((0, 1),), ((0, 1), (0, 1)))
