from __future__ import annotations

import pickle
import timeit
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import InternalError, InvalidInputError
from icechunk.core.ids import ObjectId
from icechunk.spec.manifest.chunk_table import (
    INLINE,
    NATIVE,
    TOMBSTONE,
    VIRTUAL,
    ChunkTable,
    Location,
    TextColumn,
)
from icechunk.spec.manifest.coordinates import ChunkIndex

Model = dict[ChunkIndex, Location]

GONE = Location(TOMBSTONE, None, 0, 0, None, None, None, 0)


def native(number: int, offset: int = 0, length: int = 9) -> Location:
    chunk = ObjectId(number.to_bytes(12, "big"))
    return Location(NATIVE, chunk, offset, length, None, None, None, 0)


places = st.one_of(
    st.builds(native, st.integers(0, 3), st.sampled_from([0, 7]), st.integers(1, 2**40)),
    st.builds(
        lambda url, etag, modified: Location(VIRTUAL, None, 3, 4, None, url, etag, modified),
        st.sampled_from(["s3://a/b", "s3://a/ü", "s3://a/cd"]),
        st.sampled_from([None, '"tag"']),
        st.sampled_from([0, 1_700_000_000]),
    ),
    st.binary(min_size=1, max_size=5).map(
        lambda raw: Location(INLINE, None, 0, len(raw), raw, None, None, 0)
    ),
)


def items(number: st.SearchStrategy[int], *, dead: bool = False) -> st.SearchStrategy[Any]:
    place = st.one_of(places, st.just(GONE)) if dead else places
    return st.lists(st.tuples(st.tuples(number, number), place), max_size=25)


axes = st.sampled_from([st.integers(0, 4), st.sampled_from([0, 1, 2**31, 2**32 - 1])])


def plain(place: Location) -> Location:
    return place._replace(inline=None if place.inline is None else bytes(place.inline))


def as_dict(table: ChunkTable) -> Model:
    coords = list(map(tuple, table.coords().tolist()))
    assert coords == sorted(coords)
    assert len(set(coords)) == len(coords)
    return {c: plain(table.location(row)) for row, c in enumerate(coords)}


@given(st.data())
def test_a_table_is_a_sorted_dictionary_where_the_last_row_wins(data: st.DataObject) -> None:
    rows = data.draw(items(data.draw(axes)))
    model: Model = dict(rows)
    table = ChunkTable.from_locations(2, rows)
    assert as_dict(table) == model
    for coords, place in model.items():
        row = table.find(coords)
        assert plain(table.location(row)) == place
    asked = np.array([c for c, _ in rows] + [(3, 3), (2**32 - 1, 0)], np.uint32)
    rows_found = table.find_many(asked).tolist()
    assert rows_found == [table.find(c) for c in asked.tolist()]
    assert as_dict(pickle.loads(pickle.dumps(table))) == model
    ids = {place.id for place in model.values() if place.id is not None}
    assert [bytes(chunk) for chunk in table.native_ids()] == sorted(ids)


@given(st.data())
def test_merge_is_dictionary_update_and_delete(data: st.DataObject) -> None:
    number = data.draw(axes)
    base = dict(data.draw(items(number)))
    edits = dict(data.draw(items(number, dead=True)))
    expected = {c: p for c, p in {**base, **edits}.items() if p is not GONE and p.kind != TOMBSTONE}
    a = ChunkTable.from_locations(2, base.items())
    b = ChunkTable.from_locations(2, edits.items())
    assert as_dict(ChunkTable.merge(a, b)) == expected
    kept = ChunkTable.merge(a, b, keep_tombstones=True)
    assert as_dict(kept) == {**base, **edits}
    assert as_dict(a) == base


@given(st.data())
def test_selections(data: st.DataObject) -> None:
    number = data.draw(axes)
    model = dict(data.draw(items(number)))
    table = ChunkTable.from_locations(2, model.items())
    low = data.draw(st.tuples(number, number))
    high = data.draw(st.tuples(number, number))
    box = tuple((a, b + 1) for a, b in zip(low, high, strict=True))
    part = table.within(box)
    assert as_dict(part) == {
        c: p for c, p in model.items() if all(a <= x < b for x, (a, b) in zip(c, box, strict=True))
    }
    mask = np.arange(len(table)) % 2 == 0
    halves = [table.select(mask), table.select(np.flatnonzero(~mask))]
    assert as_dict(ChunkTable.concat(halves, ndim=2)) == model
    for piece in [table, part, *halves]:
        inner = as_dict(piece)
        assert piece.extents() == tuple(
            (min(c[axis] for c in inner), max(c[axis] for c in inner) + 1) if inner else (0, 0)
            for axis in range(2)
        )
        for c in model:
            assert (piece.find(c) >= 0) == (c in inner)


def test_zero_dimensional_table_has_one_row() -> None:
    table = ChunkTable.from_locations(0, [((), native(1))])
    assert table.find(()) == 0
    assert table.extents() == ()
    assert table.within(()) is table
    assert len(ChunkTable.merge(table, ChunkTable.from_locations(0, [((), GONE)]))) == 0


def test_lookups_of_another_rank_find_nothing() -> None:
    table = ChunkTable.from_locations(2, [((0, 0), native(1))])
    assert table.find((0,)) == -1
    assert table.find((0, 0, 0)) == -1
    assert table.find((0, -1)) == -1
    assert ChunkTable.empty(3).find((0, 0, 0)) == -1


def test_columns_that_say_nothing_are_not_kept() -> None:
    table = ChunkTable.from_columns(
        np.zeros((1, 1)),
        np.array([VIRTUAL]),
        np.zeros((1, 12)),
        np.zeros(1),
        np.ones(1),
        text=TextColumn.from_strings(["s3://a/b"]),
        etag=TextColumn.from_strings([None]),
        modified=np.zeros(1),
    )
    assert table.id is None
    assert table.offset is None
    assert table.etag is None
    assert table.modified is None


def test_columns_are_read_only_and_checked() -> None:
    table = ChunkTable.from_locations(1, [((0,), native(1))])
    with pytest.raises(ValueError, match="read-only"):
        table.length[0] = 3
    with pytest.raises(InternalError, match="`length` of chunk references has shape"):
        ChunkTable.from_columns(np.zeros((1, 1)), np.ones(1), None, None, np.ones(2))
    with pytest.raises(InternalError, match="`text`"):
        ChunkTable.from_columns(
            np.zeros((1, 1)), np.ones(1), None, None, np.ones(1), text=TextColumn.blank(2)
        )
    with pytest.raises(InternalError, match="`coords`"):
        ChunkTable.from_columns(np.zeros(1), np.ones(1), None, None, np.ones(1))


@pytest.mark.parametrize("coordinate", [-1, 2**32, 2**40])
def test_coordinates_that_do_not_fit_are_refused_instead_of_wrapped(coordinate: int) -> None:
    with pytest.raises(InvalidInputError, match="invalid chunk index") as caught:
        ChunkTable.from_locations(1, [((coordinate,), native(1))])
    assert caught.value.kind == "invalid-chunk-index"


def _grid(side: int) -> Any:
    axes = np.meshgrid(*[np.arange(side, dtype=np.uint32)] * 2, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _native_table(coords: Any) -> ChunkTable:
    count = len(coords)
    ids = np.zeros((count, 12), np.uint8)
    return ChunkTable.from_columns(coords, np.ones(count), ids, None, np.full(count, 4096))


def test_native_references_cost_at_most_forty_bytes() -> None:
    dense = _native_table(_grid(100))
    assert dense.nbytes <= 21 * len(dense)
    sparse = dense.select(np.arange(len(dense)) % 3 > 0)
    assert sparse.nbytes <= 29 * len(sparse)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_warm_lookup_does_not_touch_the_whole_column(sparse: bool) -> None:
    table = _native_table(_grid(700))
    if sparse:
        table = table.select(np.arange(len(table)) % 100 > 0)
    assert table.find((300, 301)) >= 0
    best = min(timeit.repeat(lambda: table.find((300, 301)), number=2000, repeat=5)) / 2000
    # converting the key column would cost hundreds of microseconds
    assert best < 20e-6
