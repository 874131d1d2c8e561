from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from flatbuffers import flexbuffers
from hypothesis import assume, given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError, InvalidInputError
from icechunk.spec.flatbuffers import flex
from tests.spec.states import json_values


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0 and True."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@given(json_values)
def test_values_come_back(value: Any) -> None:
    assert same(flex.decode(flex.encode(value)), value)


@given(json_values)
def test_the_published_codec_reads_ours(value: Any) -> None:
    """`flatbuffers` on PyPI comes from the authors of FlexBuffers."""
    assume(has_ascii_keys(value))  # it refuses other keys, which JSON allows
    assert same(flexbuffers.Loads(flex.encode(value)), value)


def has_ascii_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(key.isascii() and has_ascii_keys(item) for key, item in value.items())
    return all(map(has_ascii_keys, value)) if isinstance(value, list) else True


def test_maps_are_sorted_by_the_bytes_of_their_keys() -> None:
    value = {"é": 1, "z": 2, "a": 3, "": 4, "aa": 5}
    assert list(flex.decode(flex.encode(value))) == ["", "a", "aa", "z", "é"]


def test_integers_beyond_64_bits_become_floats() -> None:
    assert flex.decode(flex.encode([2**64, -(2**63) - 1])) == [2.0**64, -(2.0**63)]


@pytest.mark.parametrize("value", [{"a\0b": 1}, ["\ud800"], {"\ud800": 1}])
def test_text_that_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        flex.encode(value)
    assert caught.value.kind == "bad-metadata"


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="'set' object"):
        flex.encode({"a": {1}})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_has_a_limit() -> None:
    assert flex.decode(flex.encode(nested(flex.MAX_DEPTH))) == nested(flex.MAX_DEPTH)
    with pytest.raises(InvalidInputError):
        flex.encode(nested(flex.MAX_DEPTH + 1))


def narrow(kind: int, body: bytes, root: int, width: int = 1, inner: int = 0) -> bytes:
    """Buffer whose root is an offset of one byte to position `root` of `body`."""
    return body + bytes([len(body) - root, kind << 2 | inner, width])


# Bytes written by hand after the FlexBuffers documentation.
FOREIGN: dict[str, tuple[bytes, Any]] = {
    "null": (b"\0\0\1", None),
    "int of 1 byte": (b"\xff\x04\1", -1),
    "int of 2 bytes": (struct.pack("<h", -300) + b"\x05\2", -300),
    "int of 4 bytes": (struct.pack("<i", -70000) + b"\x06\4", -70000),
    "uint of 1 byte": (b"\xff\x08\1", 255),
    "uint of 8 bytes": (struct.pack("<Q", 2**64 - 1) + b"\x0b\x08", 2**64 - 1),
    "float of 2 bytes": (struct.pack("<e", 0.5) + b"\x0d\2", 0.5),
    "float of 4 bytes": (struct.pack("<f", 1.25) + b"\x0e\4", 1.25),
    "bool": (b"\1\x68\1", True),
    "key": (narrow(4, b"key\0", 0), "key"),
    "string": (narrow(5, b"\3abc\0", 1), "abc"),
    "string with a length of 2 bytes": (narrow(5, b"\3\0abc\0", 2, inner=1), "abc"),
    "indirect int": (narrow(6, struct.pack("<i", -5), 0, inner=2), -5),
    "indirect uint": (narrow(7, struct.pack("<H", 65535), 0, inner=1), 65535),
    "indirect float": (narrow(8, struct.pack("<d", 0.1), 0, inner=3), 0.1),
    "vector": (narrow(10, b"\3\1\2\0\4\x68\0", 1), [1, True, None]),
    "vector of int": (narrow(11, b"\3\1\xfe\3", 1), [1, -2, 3]),
    "vector of uint, 2 bytes": (
        narrow(12, struct.pack("<3H", 2, 1, 65535), 2, inner=1),
        [1, 65535],
    ),
    "vector of float, 4 bytes": (
        narrow(13, struct.pack("<I2f", 2, 0.5, -1.5), 4, inner=2),
        [0.5, -1.5],
    ),
    "vector of keys": (narrow(14, b"a\0bc\0\2\6\5", 6), ["a", "bc"]),
    "vector of strings (deprecated)": (narrow(15, b"\1a\0\2bc\0\2\x07\5", 8), ["a", "bc"]),
    "fixed 2 int": (narrow(16, b"\1\xff", 0), [1, -1]),
    "fixed 2 uint": (narrow(17, b"\1\xff", 0), [1, 255]),
    "fixed 2 float": (narrow(18, struct.pack("<2f", 1, 2), 0, inner=2), [1.0, 2.0]),
    "fixed 3 int": (narrow(19, b"\1\2\3", 0), [1, 2, 3]),
    "fixed 3 uint": (narrow(20, b"\1\2\xff", 0), [1, 2, 255]),
    "fixed 3 float": (narrow(21, struct.pack("<3d", 1, 2, 3), 0, inner=3), [1.0, 2.0, 3.0]),
    "fixed 4 int": (narrow(22, b"\1\2\3\x80", 0), [1, 2, 3, -128]),
    "fixed 4 uint": (narrow(23, b"\1\2\3\x80", 0), [1, 2, 3, 128]),
    "fixed 4 float": (narrow(24, struct.pack("<4e", 1, 2, 3, 4), 0, inner=1), [1.0, 2.0, 3.0, 4.0]),
    "blob": (narrow(25, b"\2\xff\0", 1), [255, 0]),
    "vector of bool": (narrow(36, b"\3\1\0\1", 1), [True, False, True]),
    "empty typed vector": (narrow(11, b"\0", 1), []),
    "map": (narrow(9, b"a\0b\0\2\5\4\2\1\2\x07\x08\4\4", 10), {"a": 7, "b": 8}),
    "map whose keys are wider": (
        narrow(9, b"a\0" + struct.pack("<HH", 1, 4) + b"\2\2\1\x07\4", 9),
        {"a": 7},
    ),
    "empty map": (narrow(9, b"\0\0\1\0", 4), {}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_every_type_and_width_of_other_writers(name: str) -> None:
    raw, value = FOREIGN[name]
    assert same(flex.decode(raw), value)


@pytest.mark.parametrize("name", FOREIGN)
def test_damage_is_a_format_error_or_another_value(name: str) -> None:
    raw, _ = FOREIGN[name]
    buffers = [raw[:size] for size in range(len(raw))]
    buffers += [
        raw[:at] + bytes([byte]) + raw[at + 1 :] for at in range(len(raw)) for byte in range(256)
    ]
    for buffer in buffers:
        with contextlib.suppress(FormatError):
            flex.decode(buffer)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_a_format_error(raw: bytes) -> None:
    with contextlib.suppress(FormatError):
        flex.decode(raw)


def test_parts_shared_over_and_over_do_not_explode() -> None:
    # Each vector holds the one below it 16 times: 16 ** 40 leaves in a kilobyte.
    out = bytearray(b"\1\1\x04")
    below = 1
    for _ in range(40):
        out += bytes([16])
        here = len(out)
        out += bytes(here + slot - below for slot in range(16)) + bytes([10 << 2] * 16)
        below = here
    with pytest.raises(FormatError, match="unfolds"):
        flex.decode(narrow(10, bytes(out), below))


def test_deeper_nesting_than_the_limit_is_refused() -> None:
    out = bytearray(b"\1\1\x04")
    below = 1
    for _ in range(flex.MAX_DEPTH + 1):
        out += b"\1"
        here = len(out)
        out += bytes([here - below, 10 << 2])
        below = here
    with pytest.raises(FormatError, match="nested"):
        flex.decode(narrow(10, bytes(out), below))
