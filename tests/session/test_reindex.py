"""`shift_array` and `reindex_array` against a model in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.core.buffer import default_buffer_prototype

import icechunk
from tests.repositories import with_grid


def row(values: list[int], *, commit: bool = True) -> tuple[icechunk.Repository, icechunk.Session]:
    """A repository with the array /a of one cell per chunk, -1 where there is no chunk."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    array = zarr.create_array(
        session.store, name="a", shape=(len(values),), chunks=(1,), dtype="i4", fill_value=-1
    )
    array[:] = np.array(values, "i4")
    if commit:
        session.commit("a row")
        session = repo.writable_session("main")
    return repo, session


def cells(session: icechunk.Session) -> list[int]:
    return zarr.open_array(session.store, path="a", mode="r")[:].tolist()


@given(
    values=st.lists(st.integers(-1, 5), min_size=1, max_size=6),
    offsets=st.lists(st.integers(-7, 7), min_size=1, max_size=3),
    commit=st.booleans(),
)
def test_shifts_follow_the_model(values, offsets, commit):
    repo, session = row(values, commit=commit)
    model = np.array(values)
    for offset in offsets:
        session.shift_array("/a", (offset,))
        moved = np.full_like(model, -1)
        for position, value in enumerate(model):
            if 0 <= position + offset < len(model):
                moved[position + offset] = value
        model = moved
        assert cells(session) == model.tolist()
    if session.has_uncommitted_changes:
        session.commit("shifted")
    assert cells(repo.readonly_session("main")) == model.tolist()


def test_a_shift_in_two_dimensions_copies_no_data():
    repo, _ = with_grid(icechunk.in_memory_storage())
    chunks = len(repo.storage.list_objects(prefix="chunks"))
    session = repo.writable_session("main")
    before = zarr.open_array(session.store, path="a")[...]
    session.shift_array("/a", (1, -1))
    after = zarr.open_array(session.store, path="a")[...]
    np.testing.assert_array_equal(after[2:, :4], before[:-2, 4:])
    assert (after[:2] == -1).all()
    assert (after[:, 4:] == -1).all()
    session.commit("shifted")
    assert len(repo.storage.list_objects(prefix="chunks")) == chunks


def test_the_touched_chunks_are_sources_and_destinations():
    _, session = row([1, 2, -1, -1])
    session.shift_array("/a", (1,))
    assert session.status().updated_chunks == {"/a": [[0], [1], [2]]}
    _, session = row([1, 2, -1, -1])
    session.shift_array("/a", (0,))
    assert session.status().updated_chunks == {"/a": [[0], [1]]}


def test_forward_alone_copies_and_backward_clears():
    _, session = row([1, 2, 3, 4])
    session.reindex_array("/a", lambda at: [at[0] + 1] if at[0] < 3 else None)
    assert cells(session) == [1, 1, 2, 3]
    _, session = row([1, 2, 3, 4])
    session.reindex_array(
        "/a",
        lambda at: [at[0] + 1] if at[0] < 3 else None,
        lambda at: [at[0] - 1] if at[0] else None,
    )
    assert cells(session) == [-1, 1, 2, 3]


def test_callbacks_get_lists_and_may_return_any_sequence():
    _, session = row([1, 2, 3, 4])
    seen = []

    def reverse(at: list[int]) -> np.ndarray:
        seen.append(at)
        return np.array([3 - at[0]])

    session.reindex_array("/a", reverse, reverse)
    assert cells(session) == [4, 3, 2, 1]
    assert seen[:2] == [[0], [1]]
    session.reindex_array("/a", lambda at: (0,))
    assert cells(session) == [1, 3, 2, 1]


@pytest.mark.parametrize(
    ("forward", "kind"),
    [
        (lambda at: [4], "invalid-chunk-index"),
        (lambda at: [-1], "invalid-chunk-index"),
        (lambda at: [0, 0], "invalid-chunk-index"),
        (lambda at: 1 // 0, "unknown"),
        (lambda at: "0", "unknown"),
        (lambda at: [0.5], "unknown"),
    ],
)
def test_a_callback_that_goes_wrong_changes_nothing(forward, kind):
    _, session = row([1, 2, 3, 4])
    with pytest.raises(icechunk.IcechunkError) as caught:
        session.reindex_array("/a", forward)
    assert caught.value.kind == kind
    assert not session.has_uncommitted_changes


def test_arguments_of_the_wrong_kind():
    repo, session = row([1, 2, 3, 4])
    with pytest.raises(TypeError):
        session.reindex_array("/a", 5)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        session.shift_array("/a", (2**70,))
    with pytest.raises(icechunk.InvalidInputError):
        session.shift_array("/a", ())
    with pytest.raises(icechunk.InvalidInputError, match="must start with"):
        session.shift_array("a", (1,))
    with pytest.raises(icechunk.NodeNotFoundError):
        session.shift_array("/b", (1,))
    zarr.create_group(session.store, path="g")
    with pytest.raises(icechunk.InvalidInputError) as caught:
        session.shift_array("/g", (1,))
    assert caught.value.kind == "not-an-array"
    with pytest.raises(icechunk.ReadOnlyError):
        repo.readonly_session("main").shift_array("/a", (1,))


async def test_chunks_of_different_sizes_stay_where_they_are():
    session = icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
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
    await session.store.set("r/c/0", make(b"1234"))
    with pytest.raises(icechunk.IcechunkError, match="regular"):
        session.shift_array("/r", (1,))
    with pytest.raises(icechunk.IcechunkError, match="regular"):
        session.reindex_array("/r", lambda at: at)
