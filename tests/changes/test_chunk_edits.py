"""Chunk edits behave like a dictionary whose last write wins."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from icechunk.changes.chunk_edits import DELETED, ChunkEdits
from icechunk.core.ids import ObjectId
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, TOMBSTONE, ChunkTable

GRID = (3, 4)
COORDS = st.tuples(st.integers(0, 2), st.integers(0, 3))
NATIVES = st.tuples(
    st.just("native"), COORDS, st.binary(min_size=12, max_size=12), st.integers(0, 99)
)
INLINES = st.tuples(st.just("inline"), COORDS, st.binary(min_size=1, max_size=20), st.just(0))
DELETES = st.tuples(st.just("delete"), COORDS, st.just(b""), st.just(0))
FORGETS = st.tuples(st.just("forget"), COORDS, st.just(b""), st.just(0))
STEPS = st.lists(NATIVES | INLINES | DELETES | FORGETS, max_size=40)


def apply(edits, model, step):
    what, coords, data, offset = step
    if what == "native":
        edits.set_native(coords, ObjectId(data), offset, 7)
        model[coords] = (NATIVE, data, offset, 7, None)
    elif what == "inline":
        edits.set_inline(coords, data)
        model[coords] = (INLINE, None, 0, len(data), data)
    elif what == "forget":
        edits.forget(coords)
        model.pop(coords, None)
    else:
        edits.delete(coords)
        model[coords] = None


def facts(location):
    if location is DELETED:
        return None
    inline = None if location.inline is None else bytes(location.inline)
    return (location.kind, location.id, location.offset, location.length, inline)


def assert_same(edits, model):
    for row in range(GRID[0]):
        for column in range(GRID[1]):
            found = edits.find((row, column))
            if (row, column) in model:
                assert found is not None
                assert facts(found) == model[row, column]
            else:
                assert found is None
    table = edits.table()
    assert [tuple(c) for c in table.coords().tolist()] == sorted(model)
    assert np.array_equal(edits.coords(), table.coords())
    assert bool(len(edits)) == bool(model)
    dead = [tuple(c) for c in table.coords()[table.kind == TOMBSTONE].tolist()]
    assert dead == sorted(c for c, value in model.items() if value is None)


@given(STEPS)
def test_last_write_wins(steps):
    edits, model = ChunkEdits(GRID), {}
    for step in steps:
        apply(edits, model, step)
    assert_same(edits, model)


@given(STEPS, STEPS, STEPS)
def test_tables_laid_over_single_writes_and_back(first, bulk, last):
    edits, layer, model = ChunkEdits(GRID), ChunkEdits(GRID), {}
    for step in first:
        apply(edits, model, step)
    over: dict = {}
    for step in bulk:
        apply(layer, over, step)
    model.update(over)
    edits.extend(layer.table())
    for step in last:
        apply(edits, model, step)
    assert_same(edits, model)
    edits.extend(ChunkEdits(GRID).table())
    assert_same(edits, model)


@given(STEPS)
def test_a_copy_and_a_pickle_hold_the_same_and_are_independent(steps):
    edits, model = ChunkEdits(GRID), {}
    for step in steps:
        apply(edits, model, step)
    for twin in (edits.copy(), pickle.loads(pickle.dumps(edits))):
        assert_same(twin, model)
        twin.delete((0, 0))
    assert_same(edits, model)


@given(STEPS, st.sets(COORDS))
def test_dropped_edits_are_forgotten(steps, dropped):
    edits, model = ChunkEdits(GRID), {}
    for step in steps:
        apply(edits, model, step)
    edits.drop(np.array(sorted(dropped), np.uint32).reshape(-1, 2))
    assert_same(edits, {c: value for c, value in model.items() if c not in dropped})


def test_another_grid_keeps_what_lies_inside_and_removes_the_rest():
    edits = ChunkEdits((4, 4))
    edits.set_inline((1, 1), b"in")
    edits.set_inline((3, 3), b"out")
    edits.regrid((2, 5))
    edits.set_inline((1, 4), b"new column")
    assert bytes(edits.find((1, 1)).inline) == b"in"
    assert bytes(edits.find((1, 4)).inline) == b"new column"
    assert edits.table().coords().tolist() == [[1, 1], [1, 4], [3, 3]]
    edits.regrid((6, 6))
    assert edits.find((3, 3)) is DELETED
    edits.regrid((4,))
    assert not len(edits)


def test_grids_beyond_64_bits():
    grid = (2**31, 2**31, 2**31)
    edits = ChunkEdits(grid)
    far = (2**31 - 1, 5, 2**31 - 1)
    edits.set_inline(far, b"far")
    edits.set_inline((0, 0, 1), b"near")
    assert bytes(edits.find(far).inline) == b"far"
    assert edits.table().coords().tolist() == [[0, 0, 1], list(far)] == edits.coords().tolist()


def test_scalars_have_one_chunk():
    edits = ChunkEdits(())
    edits.set_inline((), b"x")
    edits.set_inline((), b"y")
    table = edits.table()
    assert isinstance(table, ChunkTable)
    assert table.coords().shape == (1, 0) == edits.coords().shape
    assert bytes(edits.find(()).inline) == b"y"
