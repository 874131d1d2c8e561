from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.spec.columns.text_column import TextColumn
from icechunk.spec.flatbuffers import columns as flat_columns
from icechunk.spec.flatbuffers.bulk import Blobs, Records, table_vector
from icechunk.spec.flatbuffers.columns import TableColumn, gather, u32_rows
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import Builder, ref, struct, u8, u16, u32, u64


@pytest.fixture(
    autouse=True, scope="module", params=[flat_columns._FEW, 1], ids=["one by one", "numpy"]
)
def _both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """A few rows are read one by one, more with numpy: what is true of one is of the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_columns, "_FEW", request.param)
        yield


Row = dict[str, Any]

optional_rows = st.fixed_dictionaries(
    {},
    optional={
        "byte": st.integers(0, 255),
        "short": st.integers(0, 2**16 - 1),
        "word": st.integers(0, 2**32 - 1),
        "long": st.integers(0, 2**64 - 1),
        "id": st.binary(min_size=12, max_size=12),
        "text": st.text(max_size=5),
        "numbers": st.lists(st.integers(0, 2**32 - 1), max_size=3),
    },
)


def build(rows: list[Row]) -> Body:
    b = Builder()
    tables = []
    for row in rows:
        text = b.string(row["text"]) if "text" in row else None
        numbers = None
        if "numbers" in row:
            raw = np.array(row["numbers"], "<u4")
            numbers = b.struct_vector(raw.tobytes(), len(raw), 4)
        tables.append(
            b.table(
                {
                    0: u8(row.get("byte")),
                    1: u16(row.get("short")),
                    2: u32(row.get("word")),
                    4: u64(row.get("long")),
                    5: struct(row.get("id")),
                    6: ref(text),
                    7: ref(numbers),
                }
            )
        )
    return Body(b.finish(b.table({0: ref(b.offset_vector(tables))})), "x")


@given(st.lists(optional_rows, max_size=12))
def test_columns_agree_with_the_scalar_reader(rows: list[Row]) -> None:
    root = build(rows).root()
    column = TableColumn.of_vector(root, 0)
    scalar = root.vector_of_tables(0)
    assert len(column) == len(rows)
    assert column.u8(0, 9).tolist() == [t.u8(0, 9) for t in scalar]
    assert column.u16(1).tolist() == [t.u16(1) for t in scalar]
    assert column.u32(2, 5).tolist() == [t.u32(2, 5) for t in scalar]
    assert column.i32(2).tolist() == [t.i32(2) for t in scalar]
    assert column.u64(4).tolist() == [t.u64(4) for t in scalar]
    assert column.has(3).tolist() == [False] * len(rows)
    assert column.has(40).tolist() == [False] * len(rows)
    ids = [row.tobytes() for row in column.structs(5, 12)]
    assert ids == [t.opt_struct(5, 12) or bytes(12) for t in scalar]
    start, count = column.vectors(6, 1)
    found = [root.body.data[s : s + n].decode() for s, n in zip(start, count, strict=True)]
    assert found == [t.opt_string(6) or "" for t in scalar]
    start, count = column.vectors(7, 4)
    assert count.tolist() == [len(row.get("numbers", ())) for row in rows]
    full = count == 3
    wanted = [row["numbers"] for row in rows if len(row.get("numbers", ())) == 3]
    assert u32_rows(root.body, start[full], 3).tolist() == wanted


def test_a_field_some_rows_lack_is_missing() -> None:
    root = build([{"word": 1}, {"word": 2}, {"byte": 1}]).root()
    column = TableColumn.of_vector(root, 0)
    with pytest.raises(FormatError, match="missing required field 2"):
        column.require(2)


def test_a_vector_field_that_is_absent_is_missing() -> None:
    b = Builder()
    root = Body(b.finish(b.table({})), "x").root()
    with pytest.raises(FormatError, match="missing required field 0"):
        TableColumn.of_vector(root, 0)


def test_gather_by_stride_and_by_position_agree() -> None:
    raw = random.Random(1).randbytes(4096)
    body = Body(raw, "x")
    for dtype in ("u1", "<u2", "<u4", "<u8", "V12"):
        size = max(np.dtype(dtype).itemsize, 4) if dtype != "V12" else 16
        strided = np.arange(16, 4000, size, dtype=np.int64)
        shuffled = np.random.default_rng(1).permutation(strided)
        expected = [raw[at : at + np.dtype(dtype).itemsize] for at in shuffled.tolist()]
        assert [item.tobytes() for item in gather(body, shuffled, np.dtype(dtype))] == expected
        direct = dict(zip(strided.tolist(), gather(body, strided, np.dtype(dtype)), strict=True))
        assert [direct[at].tobytes() for at in shuffled.tolist()] == expected


@pytest.mark.parametrize("at", [[-1, 4], [0, 4093], [0, 2**40], [2**62]])
def test_positions_outside_are_format_errors(at: list[int]) -> None:
    with pytest.raises(FormatError, match="out of bounds"):
        gather(Body(bytes(4096), "x"), np.array(at, np.int64), np.dtype("<u4"))


def test_unaligned_numbers_are_format_errors() -> None:
    with pytest.raises(FormatError, match="32-bit number is unaligned"):
        gather(Body(bytes(64), "x"), np.array([0, 8, 6], np.int64), np.dtype("<u4"))


@given(
    st.lists(st.binary(max_size=9), min_size=1, max_size=100),
    st.integers(0, 4),
    st.sampled_from([1, 2, 1024]),
)
def test_one_walk_over_blocks_reads_what_single_fields_do(
    texts: list[bytes], width: int, slab: int
) -> None:
    count = len(texts)
    random_numbers = np.random.default_rng(count)
    numbers = random_numbers.integers(0, 2**32, (count, width), dtype=np.uint32)
    long = random_numbers.integers(0, 2**63, count, dtype=np.uint64)
    column = TextColumn.from_bytes(texts)
    records = Records(
        count=count,
        stride=-(-(24 + 4 * width) // 8) * 8,
        vtable=(12, 24, 4, 0, 16, 8),  # numbers, absent, text, long
        scalars=[(4, "<u4", 16), (8, "<u8", long), (20, "<u4", width)],
        matrix=(24, numbers),
        blobs=[(16, Blobs(*column.distinct(), nul=True))],
    )
    b = Builder()
    block = table_vector([records])
    body = Body(b.finish(b.table({0: ref(b.block(block.raw, block.entry, 8))})), "x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_columns, "_SLAB", slab)
        plain = TableColumn.of_vector(body.root(), 0)
        walked = TableColumn.of_vector(body.root(), 0)
        walked.prefetch({1: "<u8", 2: "<u4", 3: "<u8", 99: "V12"}, 0)
        assert bool(walked._known) == (walked._run not in (0, count))
        for found in (plain, walked):
            assert found.u64(3).tolist() == long.tolist()
            assert not found.u64(1).any()
            lengths, rows = found.u32_rows(0)
            assert lengths.tolist() == [width] * count
            assert rows.tolist() == numbers.tolist()
            start, length = found.vectors(2, 1)
            assert TextColumn(body.data, start, length.astype(np.uint32)).texts() == [
                text.decode("utf-8", "replace") for text in texts
            ]
