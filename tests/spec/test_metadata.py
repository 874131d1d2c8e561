from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from icechunk.core.errors import InvalidInputError
from icechunk.spec.flatbuffers import flex
from icechunk.spec.metadata import json_object, json_value
from tests.spec.states import metadata

# What the reference library 2.3.0 reads back after storing the same value.
STORED: list[tuple[Any, Any]] = [
    ((1, 2), [1, 2]),
    (range(3), [0, 1, 2]),
    (np.int64(3), 3),
    (np.float32(0.1), 0.10000000149011612),
    (np.bool_(True), True),
    (np.array([1, 2]), [1, 2]),
    (np.array(3.5), 3.5),
    (b"ab", [97, 98]),
    (bytearray(b"ab"), [97, 98]),
    (memoryview(b"ab"), [97, 98]),
    (2**63, 2**63),
    (2**64, 18446744073709551616.0),
    (-(2**63) - 1, -9.223372036854775808e18),
    (float("nan"), None),
    (float("inf"), None),
    (np.float64("nan"), None),
    (-0.0, -0.0),
    ([], []),
    ({}, {}),
    ({"a": (np.int8(1), None)}, {"a": [1, None]}),
]


@pytest.mark.parametrize(("given", "stored"), STORED, ids=[repr(b) for _, b in STORED])
def test_values_take_their_stored_form(given: Any, stored: Any) -> None:
    made = json_object({"x": given})["x"]
    assert made == stored
    assert type(made) is type(stored)


@pytest.mark.parametrize(
    "value", [{1}, frozenset(), datetime.datetime(2020, 1, 1), object(), "\ud800", 10**400]
)
def test_values_without_json_form_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="object is not an instance of 'dict'"):
        json_object({"x": value})


def test_numpy_values_without_python_form_are_refused() -> None:
    with pytest.raises(TypeError):
        json_value(np.datetime64("2020-01-01"))
    with pytest.raises(TypeError):
        json_value(np.longdouble(1.0) if np.longdouble is not np.float64 else {1})


def test_keys_are_text() -> None:
    with pytest.raises(TypeError, match="'int' object is not an instance of 'str'"):
        json_object({1: 2})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="'int' object is not an instance of 'str'"):
        json_object({"x": {1: 2}})
    with pytest.raises(TypeError, match="'list' object"):
        json_object([1])  # type: ignore[arg-type]


def test_nothing_is_the_empty_object() -> None:
    assert json_object(None) == {}


def test_the_depth_that_is_taken_can_be_stored() -> None:
    value: Any = 1
    for _ in range(flex.MAX_DEPTH):
        value = [value]
    assert flex.decode(flex.encode(json_value(value))) == value
    with pytest.raises(InvalidInputError):
        json_value([value])


@given(metadata)
def test_json_stays_as_it_is_in_a_copy(value: dict[str, Any]) -> None:
    made = json_object(value)
    assert made == value
    assert made is not value
