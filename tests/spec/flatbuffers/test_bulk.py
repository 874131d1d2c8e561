from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from icechunk.core.errors import FormatError
from icechunk.spec.columns.text_column import TextColumn
from icechunk.spec.flatbuffers import bulk as flat_bulk
from icechunk.spec.flatbuffers.bulk import Blobs, Records, table_vector
from icechunk.spec.flatbuffers.columns import TableColumn
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.flatbuffers.write import Builder, ref


def read_back(*groups: Records) -> list[Table]:
    block = table_vector(groups)
    builder = Builder()
    builder.string("odd")
    vector = builder.block(block.raw, block.entry)
    return Body(builder.finish(builder.table({0: ref(vector)})), "x").root().vector_of_tables(0)


def numbered(values: list[int], rows: list[int] | None = None) -> Records:
    """Tables {0: u32 constant 7, 1: u64 value}."""
    return Records(
        count=len(values),
        stride=16,
        vtable=(8, 16, 4, 8),
        scalars=[(4, "<u4", 7), (8, "<u8", np.array(values, np.uint64))],
        rows=None if rows is None else np.array(rows, np.int64),
    )


def worded(values: list[str], rows: list[int] | None, *, nul: bool) -> Records:
    """Tables {0: u32 constant 8, 2: text}, texts stored once each."""
    column = TextColumn.from_strings(values)
    return Records(
        count=len(values),
        stride=12,
        vtable=(10, 12, 4, 0, 8),
        scalars=[(4, "<u4", 8)],
        blobs=[(8, Blobs(*column.distinct(), nul=nul))],
        rows=None if rows is None else np.array(rows, np.int64),
    )


def test_one_group_in_order() -> None:
    tables = read_back(numbered([5, 2**64 - 1, 9]))
    assert [t.u64(1) for t in tables] == [5, 2**64 - 1, 9]
    assert [t.u32(0) for t in tables] == [7, 7, 7]
    assert all(t.pos % 8 == 0 for t in tables)


@pytest.mark.parametrize("nul", [True, False])
def test_mixed_groups_are_scattered_to_their_rows(nul: bool) -> None:
    words = ["a", "a", "bcdefg", "é"]
    tables = read_back(numbered([10, 20], [4, 1]), worded(words, [0, 2, 3, 5], nul=nul))
    assert [t.u32(0) for t in tables] == [8, 7, 8, 8, 7, 8]
    assert [tables[k].u64(1) for k in (1, 4)] == [20, 10]
    assert [tables[k].string(2) for k in (0, 2, 3, 5)] == words
    assert tables[0].vector(2, 1) == tables[2].vector(2, 1)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 32, 100])
@pytest.mark.parametrize("files", [1, 3, 100])
@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("in_order", [True, False])
def test_blocks_of_tables(count: int, files: int, in_turn: bool, in_order: bool) -> None:
    codes = [k % files if in_turn else k * files // count for k in range(count)]
    words = ["x" * 60 + "y" * (code % 7) + str(code) for code in codes]
    rows = None if in_order else list(range(count))
    tables = read_back(worded(words, rows, nul=True), numbered([7] * 0))
    assert [t.string(2) for t in tables] == words
    assert {t.u32(0) for t in tables} == {8}
    column = TableColumn(tables[0].body, np.array([t.pos for t in tables]))
    assert column.u32(0).tolist() == [8] * count
    start, length = column.vectors(2, 1)
    found = TextColumn(tables[0].body.data, start, length.astype(np.uint32))
    assert [found.text_at(row) for row in range(count)] == words


def test_texts_used_in_turn_are_stored_once() -> None:
    words = [f"{k % 50:0100d}" for k in range(5000)]
    block = table_vector([worded(words, list(range(5000)), nul=True)])
    assert len(block.raw) < 5000 * 24


@pytest.mark.parametrize("rows", [None, list(range(8))])
def test_strings_are_nul_terminated_and_aligned(rows: list[int] | None) -> None:
    words = ["x" * size for size in range(1, 9)]
    for table, word in zip(read_back(worded(words, rows, nul=True)), words, strict=True):
        span = table.vector(2, 1)
        assert span is not None
        assert span[0] % 4 == 0
        assert table.body.data[span[0] + len(word)] == 0


@pytest.mark.parametrize("nul", [True, False])
def test_few_tables_are_written_as_many_are(nul: bool) -> None:
    words = ["", "a", "bc", "bc", "def", "é", "12345678"]
    coords = np.arange(14, dtype=np.uint32).reshape(7, 2)
    groups = [numbered([1, 2**64 - 1, 3]), worded(words, None, nul=nul)]
    groups.append(Records(7, 20, (6, 8, 4), [(4, "<u4", 4), (8, "<u4", 2)], (12, coords)))
    few = [bytes(table_vector([group]).raw) for group in groups]
    rows = [replace(group, rows=np.arange(group.count)) for group in groups]
    assert few == [bytes(table_vector([group]).raw) for group in rows]


def test_numbers_that_follow_each_other() -> None:
    coords = np.array([[1, 2, 3], [4, 5, 2**32 - 1]], np.uint32)
    records = Records(2, 24, (6, 8, 4), [(4, "<u4", 4), (8, "<u4", 3)], (12, coords))
    raw = [t.struct_vector(0, 4) for t in read_back(records)]
    assert [np.frombuffer(r, "<u4").tolist() for r in raw] == coords.tolist()


def test_no_tables_at_all() -> None:
    assert read_back() == []
    assert read_back(numbered([])) == []


def test_blocks_beyond_the_limit_are_refused_before_they_are_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flat_bulk, "MAX_BODY", 100)
    with pytest.raises(FormatError, match="manifest splitting") as caught:
        table_vector([numbered(list(range(10)))])
    assert caught.value.kind == "serialization"
