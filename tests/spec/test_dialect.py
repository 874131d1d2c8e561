from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.spec.dialect import V1, V2, Dialect, dialect_for

# a FlexBuffers map cannot hold NUL in a key
keys = st.text(max_size=4).filter(lambda key: "\0" not in key)
json_values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from([V1, V2]))
def test_metadata_values_round_trip(value: Any, dialect: Dialect) -> None:
    found = dialect.decode_value(dialect.encode_value(value))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (None, b"\xc0"),
        (5, b"\x05"),
        (300, b"\xcd\x01\x2c"),
        (0.5, b"\xcb\x3f\xe0\0\0\0\0\0\0"),
        ({"a": [True]}, b"\x81\xa1a\x91\xc3"),
    ],
)
def test_spec_1_writes_minimal_messagepack_with_wide_floats(value: Any, raw: bytes) -> None:
    assert V1.encode_value(value) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\xa5ab",
        b"\x05\x05",
        b"\xa2\xff\xfe",
        b"\x91" * 5000,
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_damaged_messagepack_is_a_format_error(raw: bytes) -> None:
    with pytest.raises(FormatError):
        V1.decode_value(raw)


def test_dialects_by_version() -> None:
    assert dialect_for(1) is V1
    assert dialect_for(2) is V2
    assert (V1.spec_version, V2.spec_version) == (1, 2)
