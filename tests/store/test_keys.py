"""Nodes and chunks that keys refer to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import icechunk
from icechunk.store.keys import chunk_prefix, metadata_key, split

NAMES = st.text(
    st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in (".", "..", "zarr.json"))


@pytest.mark.parametrize(
    ("key", "path", "coords"),
    [
        ("zarr.json", "/", None),
        ("a/zarr.json", "/a", None),
        ("a/b-c/zarr.json", "/a/b-c", None),
        ("c", "/", ()),
        ("c/0", "/", (0,)),
        ("c/0/12", "/", (0, 12)),
        ("a/c", "/a", ()),
        ("a/c/3/4", "/a", (3, 4)),
        ("c/c", "/c", ()),
        ("c/c/0", "/c", (0,)),
        ("x/c/c", "/x/c", ()),
        ("x/c/0/c/1", "/x/c/0", (1,)),
        ("c/zarr.json", "/c", None),
    ],
)
def test_keys(key, path, coords):
    assert split(key) == (path, coords)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "foo",
        "a/0.1",
        "a/c.0.0",
        "a/c/0.0",
        "a/c/-1",
        "a/c/+1",
        "a/c/01",
        "a/c/1_0",
        "a/c/١",
        "a//c/0",
        "/a/zarr.json",
        "/zarr.json",
        "a/../zarr.json",
        "./zarr.json",
        "xzarr.json",
    ],
)
def test_what_zarr_would_not_write_is_refused(key):
    with pytest.raises(icechunk.InvalidInputError) as caught:
        split(key)
    assert caught.value.kind == icechunk.ErrorKind.INVALID_KEY
    assert f"`{key}`" in str(caught.value)


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(st.integers(0, 2**32), max_size=3))
def test_keys_of_any_path_and_coordinates(names, coords):
    path = "/" + "/".join(names)
    assert split(metadata_key(path)) == (path, None)
    key = "/".join([chunk_prefix(path), *map(str, coords)])
    assert split(key) == (path, tuple(coords))
