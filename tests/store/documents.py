"""Metadata documents and keys for the tests of the store."""

from __future__ import annotations

import json

import pytest
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype

GROUP = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
PROTOTYPE = default_buffer_prototype()

OLDER_ZARR = pytest.mark.skipif(
    not hasattr(Store, "_get_bytes"), reason="newer Zarr has no such methods"
)


def array_document(shape: tuple[int, ...] = (100, 100, 100)) -> bytes:
    """``zarr.json`` of an array with one chunk per cell."""
    return json.dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1] * len(shape)}},
            "chunk_key_encoding": {"name": "default"},
            "fill_value": 0,
            "codecs": [{"name": "bytes"}],
        }
    ).encode()
