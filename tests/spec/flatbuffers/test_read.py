from __future__ import annotations

import struct

import pytest

from icechunk.core.errors import FormatError
from icechunk.spec.flatbuffers.read import Body, Table


def body(*words: int, tail: bytes = b"") -> Body:
    return Body(struct.pack(f"<{len(words)}I", *words) + tail, "manifests/M")


@pytest.mark.parametrize(
    "bad",
    [
        body(),
        body(8),
        body(2**31, 0),
        body(2**32 - 1, 0, 0),
        body(8, 0, 0),  # vtable of size 8: soffset 0 points to the table itself
        body(8, 0, 2**31),  # vtable far before the start
        body(8, 0, 2**32 - 4, 0x0005_0005),  # odd vtable
        body(8, 0, 2**32 - 4, 0xFFFE_FFFE),  # vtable longer than the file
    ],
)
def test_broken_roots_are_format_errors(bad: Body) -> None:
    with pytest.raises(FormatError, match="`manifests/M`"):
        bad.root()


def table_with(field: int) -> Table:
    """A table at 8 whose only field, at 12, holds `field`; its vtable is at 16."""
    vtable = struct.pack("<HHH", 6, 8, 4)
    return body(8, 0, 2**32 - 8, field, tail=vtable + b"\0\0").root()


@pytest.mark.parametrize("distance", [12, 100, 2**31, 2**32 - 1])
def test_offsets_beyond_the_end_are_format_errors(distance: int) -> None:
    table = table_with(distance)
    for read in (
        table.string,
        table.table,
        table.vector_of_tables,
        table.string_vector,
        table.bytes_vector,
    ):
        with pytest.raises(FormatError):
            read(0)
    with pytest.raises(FormatError):
        table.struct_vector(0, 12)


def test_counts_beyond_the_end_do_not_allocate() -> None:
    table = table_with(0)  # points to itself: the count is whatever the field says
    huge = struct.pack("<4I", 8, 0, 2**32 - 12, 4) + struct.pack("<IHHH", 2**32 - 1, 6, 8, 4)
    table = Body(huge + b"\0\0", "x").root()
    for read in (table.string, table.vector_of_tables, table.string_vector, table.bytes_vector):
        with pytest.raises(FormatError, match="out of bounds"):
            read(0)


def test_scalars_beyond_the_end_are_format_errors() -> None:
    vtable = struct.pack("<HHHH", 8, 8, 9, 0xFFF0)
    table = body(8, 0, 2**32 - 4, tail=vtable).root()
    with pytest.raises(FormatError):
        table.u64(1)
    with pytest.raises(FormatError):
        table.struct(0, 12)


def test_text_that_is_not_utf8_is_a_format_error() -> None:
    raw = struct.pack("<4I", 8, 0, 2**32 - 12, 4) + struct.pack("<I", 2) + b"\xff\xfe"
    data = raw[:8] + struct.pack("<i", -16) + raw[12:] + b"\0\0" + struct.pack("<HHH", 6, 8, 4)
    data = data[:8] + struct.pack("<i", 8 - data.index(struct.pack("<HHH", 6, 8, 4))) + data[12:]
    with pytest.raises(FormatError, match="UTF-8"):
        Body(data, "x").root().string(0)
