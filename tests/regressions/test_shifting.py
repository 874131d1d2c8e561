"""Defects of other implementations of shifting chunks, kept from coming back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

import icechunk


def session_with_row(values: list[int]) -> tuple[icechunk.Repository, icechunk.Session]:
    """A session with the committed array /a of one cell per chunk and the fill value -1."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=(len(values),), chunks=(1,), dtype="i4", fill_value=-1
    )[:] = np.array(values)
    session.commit("row")
    return repo, repo.writable_session("main")


def row_of(session: icechunk.Session) -> list[int]:
    return zarr.open_array(session.store, path="a", mode="r")[:].tolist()


async def test_r14_chunks_of_different_sizes_are_not_shifted():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [3],
        "data_type": "int32",
        "chunk_grid": {
            "name": "rectilinear",
            "configuration": {"kind": "inline", "chunk_shapes": [[1, 2]]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
    make = default_buffer_prototype().buffer.from_bytes
    await session.store.set("r/zarr.json", make(json.dumps(document).encode()))
    await session.store.set("r/c/0", make(bytes(4)))
    before = session.status()
    with pytest.raises(icechunk.IcechunkError, match="regular"):
        session.shift_array("/r", (1,))
    with pytest.raises(icechunk.IcechunkError, match="regular"):
        session.reindex_array("/r", lambda at: [at[0] + 1])
    assert session.status() == before


def test_r15_an_empty_chunk_shifted_onto_a_full_one_clears_it():
    repo, session = session_with_row([-1, 2, -1])
    session.shift_array("/a", (1,))
    assert row_of(session) == [-1, -1, 2]
    session.commit("shifted")
    assert row_of(repo.readonly_session("main")) == [-1, -1, 2]


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("grow", [False, True])
def test_r16_resize_and_shift_do_not_depend_on_where_the_commit_is(commit, grow):
    repo, session = session_with_row([1, 2, 3, 4])
    zarr.open_array(session.store, path="a", mode="r+").resize((2,))
    if grow:
        zarr.open_array(session.store, path="a", mode="r+").resize((4,))
    if commit:
        session.commit("resized")
        session = repo.writable_session("main")
    session.shift_array("/a", (-1,))
    assert row_of(session) == ([2, -1, -1, -1] if grow else [2, -1])
    session.commit("shifted")
    assert row_of(repo.readonly_session("main")) == ([2, -1, -1, -1] if grow else [2, -1])


@pytest.mark.parametrize("size", [1, 3, 4, 2**31, 2**32, 2**62, 2**63 - 1])
def test_r17_shifts_to_both_sides_are_alike_and_never_overflow(size):
    for sign in (1, -1):
        _, session = session_with_row([1, 2, 3])
        session.shift_array("/a", (sign * size,))
        expected = {1: [-1, 1, 2], -1: [2, 3, -1]}[sign] if size == 1 else [-1, -1, -1]
        assert row_of(session) == expected
    _, session = session_with_row([1, 2, 3])
    session.shift_array("/a", (-(2**63),))
    assert row_of(session) == [-1, -1, -1]
    with pytest.raises(OverflowError):
        session.shift_array("/a", (2**63,))
