"""Columns of ids against plain sets of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.ids import id_text
from icechunk.spec.columns.id_columns import (
    NO_IDS,
    column,
    from_texts,
    ids_of,
    member,
    texts_of,
    union,
    without,
)

few_ids = st.binary(min_size=12, max_size=12) | st.sampled_from(
    [bytes(12), bytes(11) + b"\1", b"\1" + bytes(11), b"\1" * 11 + b"\0", b"\1" * 12, b"\xff" * 12]
)
id_sets = st.sets(few_ids, max_size=20)


@given(id_sets)
def test_ids_come_back_whole_and_sorted(ids: set[bytes]) -> None:
    assert ids_of(column(ids)) == sorted(ids)


@given(id_sets)
def test_texts_of_many_are_those_of_each(ids: set[bytes]) -> None:
    assert texts_of(column(ids)) == [id_text(raw) for raw in sorted(ids)]


@given(id_sets, id_sets)
def test_columns_behave_like_sets(one: set[bytes], two: set[bytes]) -> None:
    mine, theirs = column(one), column(two)
    assert ids_of(union([mine, theirs])) == sorted(one | two)
    assert ids_of(without(mine, theirs)) == sorted(one - two)
    assert member(mine, theirs).tolist() == [each in two for each in sorted(one)]
    assert ids_of(NO_IDS) == ids_of(union([])) == []


strange = st.text(max_size=22) | st.sampled_from(
    ["", "repo", "0" * 19 + "1", "o" * 20, "0" * 20 + "\n", "é" * 20, "U" * 20, "0" * 21]
)


@given(st.lists(few_ids.map(id_text) | strange, max_size=12))
def test_names_are_ids_only_as_they_are_written(texts: list[str]) -> None:
    ids, valid = from_texts(texts)
    for text, raw, ours in zip(texts, ids_of(ids), valid.tolist(), strict=True):
        assert ours == (len(text) == 20 and id_text(raw) == text and text.isascii())


@given(few_ids)
def test_every_id_is_known_by_its_text(raw: bytes) -> None:
    ids, valid = from_texts([id_text(raw)])
    assert valid.tolist() == [True]
    assert ids_of(ids) == [raw]
    lower, fits = from_texts([id_text(raw).lower()])
    assert fits.tolist() == [id_text(raw).isdigit()]
    assert len(lower) == 1


def test_an_empty_listing_has_no_ids() -> None:
    ids, valid = from_texts([])
    assert (len(ids), len(valid)) == (0, 0)
