from __future__ import annotations

import struct as _struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.spec.flatbuffers import write as flat_write
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import (
    Builder,
    i32,
    ref,
    struct,
    u8,
    u16,
    u32,
    u64,
)

SCALARS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "u8": (u8, st.integers(0, 2**8 - 1)),
    "u16": (u16, st.integers(0, 2**16 - 1)),
    "u32": (u32, st.integers(0, 2**32 - 1)),
    "i32": (i32, st.integers(-(2**31), 2**31 - 1)),
    "u64": (u64, st.integers(0, 2**64 - 1)),
}
WIDTH = {"u8": 1, "u16": 2, "u32": 4, "i32": 4, "u64": 8}


@given(st.dictionaries(st.integers(0, 11), st.sampled_from(sorted(SCALARS)), max_size=8), st.data())
def test_scalars_come_back_aligned(kinds: dict[int, str], data: st.DataObject) -> None:
    values = {slot: data.draw(SCALARS[kind][1]) for slot, kind in kinds.items()}
    builder = Builder()
    builder.string("x" * data.draw(st.integers(0, 9)))
    root = builder.table({slot: SCALARS[kinds[slot]][0](value) for slot, value in values.items()})
    table = Body(builder.finish(root), "t").root()
    for slot, kind in kinds.items():
        assert getattr(table, kind)(slot) == values[slot]
        assert table.place(slot, 1) % WIDTH[kind] == 0
    for slot in set(range(13)) - set(kinds):
        assert not table.presence(slot)
        assert table.u32(slot, 7) == 7


def test_every_kind_of_object_comes_back() -> None:
    b = Builder()
    name = b.string("mäin")
    kids = [b.table({0: ref(name), 1: u32(k, 0), 2: u64(k * 10**12)}) for k in range(5)]
    fields = {
        0: struct(b"i" * 12),
        1: ref(b.offset_vector(kids)),
        2: ref(b.struct_vector(b"x" * 24, 2, 1)),
        3: ref(None),
        4: ref(b.offset_vector([name, b.string("")])),
        5: ref(b.bytes_vector(b"\0\1\2")),
        6: ref(b.struct_vector(_struct.pack("<3Q", 1, 2, 3), 3, 8)),
        7: ref(kids[2]),
        8: ref(b.table({})),
        9: ref(b.offset_vector([])),
    }
    root = Body(b.finish(b.table(fields)), "t").root()
    assert root.struct(0, 12) == b"i" * 12
    children = root.vector_of_tables(1)
    assert [k.string(0) for k in children] == ["mäin"] * 5
    assert [k.u32(1) for k in children] == list(range(5))
    assert [k.presence(1) for k in children] == [False, True, True, True, True]
    assert [k.u64(2) for k in children] == [k * 10**12 for k in range(5)]
    assert all(k.pos % 8 == 0 for k in children)
    assert root.struct_vector(2, 12) == b"x" * 24
    assert root.opt_string(3) is None
    assert root.string_vector(4) == ["mäin", ""]
    assert root.bytes_vector(5) == b"\0\1\2"
    assert np.frombuffer(root.struct_vector(6, 8), "<u8").tolist() == [1, 2, 3]
    span = root.vector(6, 8)
    assert span is not None
    assert span[0] % 8 == 0
    assert root.table(7).u32(1) == 2
    assert root.table(8).presence(0) is False
    assert root.vector_of_tables(9) == []
    for absent in (root.opt_string_vector, root.opt_vector_of_tables):
        assert absent(10) is None
    assert root.opt_bytes_vector(10) is None
    assert root.opt_struct(10, 8) is None
    assert root.opt_struct_vector(10, 8) is None


def test_missing_required_fields_are_named() -> None:
    b = Builder()
    root = Body(b.finish(b.table({})), "snapshots/X").root()
    for read in (
        root.string,
        root.table,
        root.vector_of_tables,
        root.string_vector,
        root.bytes_vector,
        lambda slot: root.struct(slot, 12),
        lambda slot: root.struct_vector(slot, 8),
    ):
        with pytest.raises(FormatError, match=r"`snapshots/X`: missing required field 3"):
            read(3)


def test_equal_shapes_share_a_vtable_and_equal_calls_give_equal_bytes() -> None:
    def build(count: int) -> bytes:
        b = Builder()
        tables = [b.table({0: u32(k), 3: u8(1)}) for k in range(count)]
        return b.finish(b.table({0: ref(b.offset_vector(tables))}))

    assert build(3) == build(3)
    assert len(build(5)) - len(build(3)) == 2 * (4 + 12)


def test_strings_end_in_a_nul_that_is_not_counted() -> None:
    for length in range(1, 9):
        b = Builder()
        raw = b.finish(b.table({0: ref(b.string("s" * length))}))
        at = raw.index(length.to_bytes(4, "little") + b"s" * length + b"\0")
        assert at % 4 == 0


def test_shared_strings_are_stored_once() -> None:
    b = Builder()
    assert b.shared_string("time") == b.shared_string("time")
    assert b.shared_string("time") != b.shared_string("lat")


def test_identifier_and_prefix() -> None:
    b = Builder()
    raw = b.finish(b.table({}))
    assert raw[4:8] == b"Ichk"


def test_bodies_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_write, "MAX_BODY", 1000)
    b = Builder()
    root = b.table({0: ref(b.bytes_vector(bytes(1000)))})
    with pytest.raises(FormatError, match="manifest splitting") as caught:
        b.finish(root)
    assert caught.value.kind == "serialization"
