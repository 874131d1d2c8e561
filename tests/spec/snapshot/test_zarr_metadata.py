"""What a `zarr.json` must be for the format to have room for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import icechunk
from icechunk.spec.snapshot.zarr_metadata import parse_node
from tests.interop.actions import array_doc


@pytest.mark.parametrize(
    ("shape", "chunks", "extra"),
    [
        ([2**40], [1], {}),
        ([2**32], [1], {}),
        ([2, 2**33], [1, 1], {}),
        ([2**33], [[[1, 2**33]]], {"rectilinear": True}),
        ([2**70], [2**60], {}),
        ([-1], [1], {}),
        ([2.5], [1], {}),
        ([True], [1], {}),
        ([2], [1], {"dimension_names": ["\ud800"]}),
        ([2], [1], {"dimension_names": ["x", "y"]}),
    ],
)
def test_arrays_that_the_format_cannot_hold_are_refused(
    shape: list[Any], chunks: list[Any], extra: dict[str, Any]
) -> None:
    with pytest.raises(icechunk.InvalidInputError) as caught:
        parse_node(array_doc(shape, chunks, **extra).encode())
    assert caught.value.kind == "invalid-array-metadata"


def test_the_largest_grid_is_taken() -> None:
    largest = 2**32 - 1
    array = parse_node(array_doc([largest, 2**64 - 1], [1, 2**33]).encode())
    assert array is not None
    assert array.num_chunks == (largest, 2**31)
    array = parse_node(array_doc([largest], [[[1, largest]]], rectilinear=True).encode())
    assert array is not None
    assert array.num_chunks == (largest,)


@pytest.mark.parametrize(
    "encoding",
    [
        {"name": "v2", "configuration": {"separator": "."}},
        {"name": "v2", "configuration": {"separator": "/"}},
        {"name": "v2"},
        "v2",
        {"name": "default", "configuration": {"separator": "."}},
        {"name": "default", "configuration": ["/"]},
        {"name": "suffix", "configuration": {"suffix": ".tiff"}},
        {},
        None,
        5,
    ],
)
def test_arrays_whose_chunks_have_other_keys_are_refused(encoding: Any) -> None:
    document = json.dumps(
        {**json.loads(array_doc([4], [2])), "chunk_key_encoding": encoding}
    ).encode()
    with pytest.raises(icechunk.InvalidInputError, match="chunk_key_encoding=") as caught:
        parse_node(document, foreign_keys=False)
    assert caught.value.kind == "invalid-array-metadata"
    assert json.dumps(encoding) in str(caught.value)
    assert parse_node(document) is not None  # committed ones stay what they are


@pytest.mark.parametrize(
    "encoding",
    [
        "default",
        {"name": "default"},
        {"name": "default", "configuration": {}},
        {"name": "default", "configuration": {"separator": "/"}},
    ],
)
def test_every_spelling_of_the_default_chunk_keys_is_taken(encoding: Any) -> None:
    document = {**json.loads(array_doc([4], [2])), "chunk_key_encoding": encoding}
    array = parse_node(json.dumps(document).encode(), foreign_keys=False)
    assert array is not None
    assert array.num_chunks == (2,)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"zarr_format": 2}',
        b'{"zarr_format": 3, "node_type": "table"}',
        b'{"zarr_format": 3, "node_type": "group", "attributes": ' + b'{"a":' * 10**5 + b"1",
        b'{"zarr_format": 3, "node_type": "group", "a": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_node_is_refused(document: bytes) -> None:
    with pytest.raises(icechunk.InvalidInputError) as caught:
        parse_node(document)
    assert caught.value.kind == "bad-metadata"


def test_halves_of_surrogate_pairs_are_refused_where_they_would_be_stored() -> None:
    document = json.loads(array_doc([2], [1], attributes={"text": "\ud800"}))
    assert parse_node(json.dumps(document).encode()) is not None, "kept as the bytes they are"
