from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.spec.columns import text_column as columns
from icechunk.spec.columns.text_column import TextColumn, copy_spans, equal_spans

texts = st.lists(st.one_of(st.none(), st.binary(max_size=20), st.sampled_from([b"ab", b"abc"])))


def spread(values: list[bytes]) -> TextColumn:
    """Every value in a place of its own, with rubbish between."""
    pool, start = b"", []
    for value in values:
        pool += b"#"
        start.append(len(pool))
        pool += value
    lengths = np.array([len(value) for value in values], np.uint32)
    return TextColumn(pool + b"#", np.array(start, np.int64), lengths)


def listed(column: TextColumn) -> list[bytes]:
    return [column.bytes_at(row) for row in range(len(column))]


@given(texts)
def test_round_trip(values: list[bytes | None]) -> None:
    column = TextColumn.from_bytes(values)
    assert listed(column) == [value or b"" for value in values]
    assert listed(pickle.loads(pickle.dumps(column))) == listed(column)
    assert listed(column.take(slice(None, None, 2))) == listed(column)[::2]


@given(texts, st.booleans())
def test_distinct_names_every_value_once(values: list[bytes | None], content: bool) -> None:
    column = spread([value or b"" for value in values])
    codes, found = column.distinct(content=content)
    assert [found.bytes_at(code) for code in codes.tolist()] == listed(column)
    if content:
        assert len(found) == len({value or b"" for value in values})


@given(texts)
def test_compact_keeps_the_values(values: list[bytes | None]) -> None:
    column = spread([value or b"" for value in values])
    column = TextColumn(bytes(column.pool) + bytes(5000), column.start, column.length)
    assert listed(column.compact()) == listed(column)
    assert column.compact().nbytes <= column.nbytes


def test_distinct_survives_hash_collisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_HASH_SEED", np.zeros(4, np.uint64))
    column = spread([b"aaaa", b"bbbb", b"aaaa", b"cccc"])
    codes, found = column.distinct()
    assert [found.bytes_at(code) for code in codes.tolist()] == listed(column)
    assert len(found) == 3


def test_wide_pools_have_spans_beyond_31_bits() -> None:
    start = np.array([2**33, 5, 2**33, 5], np.int64)
    column = TextColumn(b"", start, np.array([0, 0, 0, 0], np.uint32))
    codes, found = column.distinct(content=False)
    assert found.start[codes].tolist() == start.tolist()
    assert len(found) == 2


@pytest.mark.parametrize("dtype", ["S", "U", "T"])
def test_columns_from_numpy_strings(dtype: str) -> None:
    words = ["s3://a/b", "", "s3://a/cc"]
    if dtype == "T":
        string_dtype = getattr(np.dtypes, "StringDType", None)
        if string_dtype is None:
            pytest.skip("this numpy has no StringDType")
        array = np.array(words, string_dtype())
    else:
        array = np.array(words, dtype)
    assert TextColumn.from_array(array).texts() == words


def test_text_that_is_not_ascii_is_utf8() -> None:
    words = ["s3://é", "s3://日本"]
    assert TextColumn.from_array(np.array(words)).texts() == words
    assert TextColumn.from_strings(words).texts() == words


def test_copy_spans_moves_ranges_of_every_length() -> None:
    source = np.arange(100, dtype=np.uint8)
    target = np.zeros(50, np.uint8)
    copy_spans(
        target,
        np.array([0, 10, 20, 49], np.int64),
        source,
        np.array([5, 50, 90, 99], np.int64),
        np.array([3, 0, 10, 1], np.uint32),
    )
    assert target[:3].tolist() == [5, 6, 7]
    assert target[20:30].tolist() == list(range(90, 100))
    assert target[49] == 99
    assert target.sum() == 18 + sum(range(90, 100)) + 99


@given(texts, st.booleans(), st.slices(9))
def test_texts_are_those_of_the_rows(values: list[bytes | None], shared: bool, some: slice) -> None:
    """Whatever the pool holds between them, ASCII or not, and in whatever order the rows are."""
    present = [value or b"" for value in values]
    column = TextColumn.from_bytes(values) if shared else spread(present)
    for part in (column, column.take(some)):
        assert part.texts() == [part.text_at(row) for row in range(len(part))]


@pytest.mark.parametrize("seed", range(5))
def test_equal_spans(seed: int) -> None:
    chance = np.random.default_rng(seed)
    # Few letters, the NUL among them: many spans are equal, and some differ in a NUL at their end.
    one, two = (chance.integers(0, 2, 300).astype(np.uint8) for _ in range(2))
    length = chance.integers(0, 6, 2000).astype(np.uint32)
    starts = [chance.integers(0, 294, 2000) for _ in range(2)]
    found = equal_spans(one, starts[0], two, starts[1], length)
    rows = zip(starts[0].tolist(), starts[1].tolist(), length.tolist(), strict=True)
    expected = [bytes(one[a : a + n]) == bytes(two[b : b + n]) for a, b, n in rows]
    assert found.tolist() == expected
    assert 0 < sum(expected) < 2000


@given(texts, st.booleans())
def test_few_rows_are_factorised_like_many(values: list[bytes | None], content: bool) -> None:
    column = spread([value or b"" for value in values])
    codes, found = column.distinct(content=content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_FEW", 0)
        expected, its_texts = column.distinct(content=content)
    assert codes.tolist() == expected.tolist()
    assert listed(found) == listed(its_texts)
