from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.spec.columns import text_pool
from icechunk.spec.columns.text_pool import TextPool, frame, insert_row


@pytest.fixture(
    autouse=True, scope="module", params=[text_pool._FEW, 1], ids=["one by one", "numpy"]
)
def _both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """A few rows are read one by one, more with numpy: what is true of one is of the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_pool, "_FEW", request.param)
        yield


raws = st.lists(st.none() | st.binary(max_size=9), max_size=8)


def listed(pool: TextPool) -> list[bytes | None]:
    return [pool.raw(row) for row in range(len(pool))]


@given(raws)
def test_texts_come_back_in_order(texts: list[bytes | None]) -> None:
    pool = TextPool.from_raw(texts)
    assert listed(pool) == texts
    assert pool.dense
    assert listed(pool.compacted()) == texts


@given(raws, st.data())
def test_insertion_is_list_insertion(texts: list[bytes | None], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(texts)))
    raw = data.draw(st.none() | st.binary(max_size=9))
    pool = TextPool.from_raw(texts).inserted(row, raw)
    assert listed(pool) == [*texts[:row], raw, *texts[row:]]


@given(raws, raws, st.data())
def test_rows_taken_and_added(
    texts: list[bytes | None], more: list[bytes | None], data: st.DataObject
) -> None:
    mask = np.array([data.draw(st.booleans()) for _ in texts], bool)
    kept = [text for text, keep in zip(texts, mask, strict=True) if keep]
    assert listed(TextPool.from_raw(texts).taken(mask).extended(more)) == [*kept, *more]


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=8), st.binary(max_size=5))
def test_texts_scattered_in_a_buffer_are_made_dense(texts: list[bytes], gap: bytes) -> None:
    buffer, starts = b"", []
    for text in texts:
        buffer += gap
        starts.append(len(buffer))
        buffer += text
    lengths = np.array([len(text) for text in texts], np.int64)
    pool = TextPool.of_spans(buffer, np.array(starts, np.int64), lengths)
    assert listed(pool) == texts
    assert pool.dense
    assert len(pool.data) <= sum(len(text) // 4 * 4 + 8 for text in texts)


def test_a_pool_that_is_dense_already_is_copied_in_one_piece() -> None:
    pool = TextPool.from_raw([b"first", b"", b"third one"])
    again = TextPool.of_spans(b"\1\2\3\4" + pool.data + b"\5\6\7\0", pool.start + 4, pool.length)
    assert again.data == pool.data
    assert listed(again) == listed(pool)


def test_equal_texts_next_to_each_other_are_stored_once() -> None:
    pool = TextPool.empty()
    for _ in range(1000):
        pool = pool.inserted(0, b"main")
    assert len(pool.data) == len(frame(b"main"))
    assert len(TextPool.of_spans(pool.data + bytes(4000), pool.start, pool.length).data) == 12


def test_garbage_is_dropped_before_it_outweighs_the_rest() -> None:
    pool = TextPool.from_raw([b"x" * 100] * 10)
    pool = pool.taken(slice(0, 1)).inserted(0, b"new")
    assert len(pool.data) < 200


def test_overlapping_spans_of_a_hostile_file_are_refused() -> None:
    start = np.arange(1000, dtype=np.int64)
    with pytest.raises(FormatError, match="overlap"):
        TextPool.of_spans(b"x" * 2000, start, np.full(1000, 1000, np.int64))


def test_insert_row_keeps_shape_and_type() -> None:
    column = np.arange(6, dtype=np.uint8).reshape(2, 3)
    wider = insert_row(column, 1, np.array([9, 9, 9], np.uint8))
    assert wider.tolist() == [[0, 1, 2], [9, 9, 9], [3, 4, 5]]
    assert wider.dtype == np.uint8
