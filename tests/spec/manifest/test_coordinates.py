from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.spec.manifest.coordinates import (
    Keyspace,
    bounding_box,
    common,
    inside,
    member,
    sorted_unique,
)

small = st.integers(0, 6)
large = st.integers(0, 2**32 - 1)


def rows_of(number: st.SearchStrategy[int], ndim: int) -> st.SearchStrategy[Any]:
    row = st.tuples(*[number] * ndim)
    return st.lists(row, max_size=30).map(
        lambda rows: np.array(rows, np.uint32).reshape(len(rows), ndim)
    )


any_rows = st.one_of([rows_of(n, d) for n in (small, large) for d in (0, 1, 2, 3)])


def as_set(rows: Any) -> set[tuple[int, ...]]:
    return set(map(tuple, rows.tolist()))


@given(any_rows)
def test_keys_keep_lexicographic_order_and_lead_back(rows: Any) -> None:
    space = Keyspace.of_box(bounding_box(rows))
    keys = space.keys(rows)
    assert np.array_equal(space.coords(keys), rows)
    order = sorted(range(len(rows)), key=lambda k: tuple(rows[k].tolist()))
    assert (np.argsort(keys, kind="stable") == order).all()
    for row, key in zip(rows.tolist(), keys.tolist(), strict=True):
        assert space.key(row) == key


@given(any_rows)
def test_sorted_unique(rows: Any) -> None:
    assert list(map(tuple, sorted_unique(rows).tolist())) == sorted(as_set(rows))


@given(st.data(), st.sampled_from([1, 2, 3]), st.sampled_from([small, large]))
def test_set_operations(data: st.DataObject, ndim: int, number: Any) -> None:
    a = data.draw(rows_of(number, ndim))
    b = data.draw(rows_of(number, ndim))
    b = np.concatenate([b, a[::2]])
    assert list(map(tuple, common(a, b).tolist())) == sorted(as_set(a) & as_set(b))
    assert member(a, b).tolist() == [tuple(row) in as_set(b) for row in a.tolist()]


def test_outside_the_box_there_is_no_key() -> None:
    space = Keyspace.of_box(((2, 5), (1, 3)))
    assert space.key((2, 1)) == 0
    assert space.key((4, 2)) == 5
    for coords in ((1, 1), (5, 1), (2, 0), (2, 3), (2,), (2, 1, 0)):
        assert space.key(coords) is None


@pytest.mark.parametrize("side", [2**31 - 1, 2**32 - 1])
def test_boxes_beyond_63_bits_fall_back_to_byte_keys(side: int) -> None:
    rows = np.array([[0, 0], [side - 1, 0], [side - 1, side - 1]], np.uint32)
    space = Keyspace.of_box(bounding_box(rows))
    assert space.wide == (side > 2**31)
    assert np.array_equal(space.coords(space.keys(rows)), rows)


def test_inside_accepts_bounds_beyond_u32() -> None:
    rows = np.array([[0], [2**32 - 1]], np.uint32)
    assert inside(rows, ((0, 2**40),)).tolist() == [True, True]
    assert inside(rows, ((2**32 - 1, 2**32),)).tolist() == [False, True]
    assert inside(rows, ((-5, -1),)).tolist() == [False, False]
