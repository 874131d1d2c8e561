"""Defects of other implementations of listing, names and keys, kept from coming back."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

import icechunk
from tests.repositories import read, with_grid

PROTOTYPE = default_buffer_prototype()


def new_session() -> tuple[icechunk.Repository, icechunk.Session]:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    return repo, repo.writable_session("main")


@pytest.mark.parametrize("committed", [False, True])
async def test_r51_a_prefix_lists_everything_below_it_and_nothing_else(committed):
    repo, session = new_session()
    for path in ("foo", "foo-bar", "foo/a", "foo/a/b", "foo.x", "foo0", "fo"):
        zarr.create_group(session.store, path=path)
    if committed:
        session.commit("groups")
        session = repo.readonly_session("main")
    expected = {"foo/zarr.json", "foo/a/zarr.json", "foo/a/b/zarr.json"}
    for prefix in ("foo", "foo/"):
        assert {key async for key in session.store.list_prefix(prefix)} == expected
    assert {name async for name in session.store.list_dir("foo")} == {"zarr.json", "a"}


async def test_r52_names_with_every_character_before_the_slash_read_back():
    repo, session = new_session()
    characters = [c for c in string.printable if c < "/" and c.isprintable()]
    names = ["foo", *(f"foo{c}" for c in characters), *(f"0{c}" for c in characters), "0"]
    for number, name in enumerate(names):
        array = zarr.create_array(
            session.store, name=f"{name}/x", shape=(1,), chunks=(1,), dtype="i4", fill_value=-1
        )
        array[:] = number
    session.commit("odd names")
    later = repo.readonly_session("main")
    for number, name in enumerate(names):
        assert read(later, f"{name}/x")[0] == number
        listed = {key async for key in later.store.list_prefix(name)}
        assert listed == {f"{name}/x/zarr.json", f"{name}/x/c/0", f"{name}/zarr.json"}


async def test_r53_deleting_what_cannot_exist_does_nothing():
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    for key in (
        "a/c/99/0",
        "a/c/0/99",
        "a/c/0",
        "a/c/0/0/0",
        "a/c",
        "nope/c/0",
        "nope/zarr.json",
        "c/0",
        "c",
    ):
        await session.store.delete(key)
    for prefix in ("nope", "a/c/99", "nope/c"):
        await session.store.delete_dir(prefix)
    assert not session.has_uncommitted_changes


@pytest.mark.parametrize("key", ["/a/zarr.json", "/a/c/0/0", "/zarr.json", "a//zarr.json"])
async def test_r54_keys_that_are_no_keys_are_refused(key):
    repo, _ = with_grid(icechunk.in_memory_storage())
    store = repo.readonly_session("main").store
    for attempt in (
        store.getsize(key),
        store.get(key, PROTOTYPE),
        store.exists(key),
    ):
        with pytest.raises(icechunk.InvalidInputError) as caught:
            await attempt
        assert caught.value.kind == "invalid-key"


async def test_r55_metadata_is_stored_as_zarr_wrote_it():
    repo, session = new_session()
    memory = zarr.storage.MemoryStore()
    for store in (session.store, memory):
        zarr.create_group(store)
        zarr.create_group(store, path="g", attributes={"é": [1, None]})
        zarr.create_array(store, name="plain", shape=(4,), chunks=(2,), dtype="f4")
        zarr.create_array(
            store, name="named", shape=(4,), chunks=(2,), dtype="f4", dimension_names=["x"]
        )
    session.commit("documents")
    store = repo.readonly_session("main").store
    for key in ("zarr.json", "g/zarr.json", "plain/zarr.json", "named/zarr.json"):
        ours, theirs = await store.get(key, PROTOTYPE), await memory.get(key, PROTOTYPE)
        assert ours is not None
        assert theirs is not None
        assert ours.to_bytes() == theirs.to_bytes()
        document = json.loads(ours.to_bytes())
        assert document["attributes"] is not None
        assert document.get("dimension_names", []) is not None


def test_r56_a_tree_of_datasets_comes_back_whole():
    xarray = pytest.importorskip("xarray")
    repo, session = new_session()
    coarse = xarray.Dataset({"t": ("x", np.arange(4.0))}, {"x": np.arange(4)})
    fine = xarray.Dataset({"t": ("x", np.arange(8.0))}, {"x": np.arange(8) / 2})
    tree = xarray.DataTree.from_dict(
        {"/": xarray.Dataset(attrs={"title": "tree"}), "/coarse": coarse, "/fine/inner": fine}
    )
    tree.to_zarr(session.store, mode="w", zarr_format=3, consolidated=False)
    session.commit("tree")
    store = repo.readonly_session("main").store
    back = xarray.open_datatree(store, engine="zarr", zarr_format=3, consolidated=False)
    xarray.testing.assert_identical(back.load(), tree)


def test_r33_no_key_of_an_object_starts_with_a_slash():
    """An empty prefix, and any other, lists and collects exactly what was written."""
    storage = icechunk.in_memory_storage()
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=4000, chunks=2000, dtype="i4")[:] = 1
    session.commit("kept")
    keys = {info.key for info in storage.list("")}
    assert not [key for key in keys if key.startswith("/") or "//" in key]
    summary = repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
    assert summary.chunks_deleted == summary.manifests_deleted == summary.snapshots_deleted == 0
    assert {info.key for info in storage.list("")} >= keys
    assert (zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")[:] == 1).all()
