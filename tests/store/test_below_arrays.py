"""Nodes below an array, or below a path without a node, are listed and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.core.buffer import cpu
from zarr.storage import MemoryStore

import icechunk
from icechunk.testing import invariants
from tests.oracle import run_reference
from tests.store.documents import GROUP, array_document

NODES = {
    "zarr.json": GROUP,
    "a/zarr.json": array_document((2, 2)),
    "a/b/zarr.json": GROUP,
    "a/b/d/zarr.json": array_document((2,)),
    "a/c/zarr.json": GROUP,
    "a/c/0/zarr.json": array_document((2,)),
    "lonely/node/zarr.json": GROUP,
}
CHUNKS = ["a/c/0/1", "a/c/1/0", "a/b/d/c/1", "a/c/0/c/0"]
KEYS = sorted([*NODES, *CHUNKS])
PREFIXES = ["", "a", "a/", "a/b", "a/b/d", "a/c", "a/c/0", "lonely", "lonely/node"]


def put(store: icechunk.IcechunkStore, key: str, data: bytes) -> None:
    store.set_sync(key, cpu.Buffer.from_bytes(data))


def filled() -> tuple[icechunk.Repository, icechunk.Session]:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    for key, document in NODES.items():
        put(session.store, key, document)
    for key in CHUNKS:
        put(session.store, key, b"x")
    return repo, session


def stores(
    change: Callable[[icechunk.IcechunkStore], None] = lambda store: None,
) -> Iterator[tuple[str, icechunk.IcechunkStore]]:
    """The same keys as uncommitted changes, as a commit, and as changes over a commit."""
    repo, session = filled()
    change(session.store)
    yield "fresh", session.store
    session.commit("all")
    yield "committed", repo.readonly_session("main").store
    repo, session = filled()
    session.commit("all")
    session = repo.writable_session("main")
    change(session.store)
    yield "changed", session.store


def under(prefix: str) -> list[str]:
    folder = prefix.strip("/")
    return [key for key in KEYS if not folder or key.startswith(folder + "/")]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_listings_reach_every_key(prefix: str) -> None:
    for kind, store in stores():
        assert sorted(store.list()) == KEYS, kind
        assert sorted(store.list_prefix(prefix)) == under(prefix), kind


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_folders_and_sizes_are_those_of_a_plain_store(prefix: str) -> None:
    plain = MemoryStore()
    for key in KEYS:
        await plain.set(key, cpu.Buffer.from_bytes(NODES.get(key, b"x")))
    wanted = [name async for name in plain.list_dir(prefix)]
    for kind, store in stores():
        found = [name async for name in store.list_dir(prefix)]
        # `c` of an array shows also when it has no chunks.
        invariants.assert_list_dir_equal(f"{kind}: {prefix}", wanted, found)
        assert set(wanted) <= set(found)
        assert await store.getsize_prefix(prefix) == await plain.getsize_prefix(prefix)
        assert not await store.is_empty(prefix)


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_deleting_a_folder_leaves_nothing_below_it(prefix: str) -> None:
    left = sorted(set(KEYS) - set(under(prefix)))
    _, session = filled()
    await session.store.delete_dir(prefix)
    assert sorted(session.store.list()) == left
    repo, session = filled()
    session.commit("all")
    session = repo.writable_session("main")
    await session.store.delete_dir(prefix)
    assert sorted(session.store.list()) == left
    session.commit("less")
    store = repo.readonly_session("main").store
    assert sorted(store.list()) == left
    top = [name async for name in store.list_dir("")]
    assert sorted(top) == sorted({key.partition("/")[0] for key in left})


async def test_what_leads_to_a_node_is_listed_until_the_node_goes() -> None:
    for kind, store in stores():
        assert "lonely" in [name async for name in store.list_dir("")], kind
    for kind, store in stores(lambda store: store.delete_sync("lonely/node/zarr.json")):
        assert "lonely" not in [name async for name in store.list_dir("")], kind
        assert [name async for name in store.list_dir("lonely")] == [], kind


FOLDERS = ("", "a", "a/b", "b/c/a", "c")
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map("/".join)
STEPS = st.lists(st.tuples(st.booleans(), PATHS), max_size=12)


def expected_names(nodes: set[str], folder: str) -> list[str]:
    prefix = folder and folder + "/"
    names = {node[len(prefix) :].partition("/")[0] for node in nodes if node.startswith(prefix)}
    return sorted(names | ({"zarr.json"} if folder in nodes else set()))


@given(STEPS, STEPS)
def test_names_follow_any_nodes_made_and_removed(first, second) -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    nodes: set[str] = set()
    for steps in (first, second):
        session = repo.writable_session("main")
        for make, path in steps:
            if make:
                nodes.add(path)
                put(session.store, f"{path}/zarr.json", GROUP)
            else:
                if path in nodes:
                    nodes = {one for one in nodes if not f"{one}/".startswith(f"{path}/")}
                session.store.delete_sync(f"{path}/zarr.json")
        for folder in FOLDERS:
            assert sorted(session.store.list_dir(folder)) == expected_names(nodes, folder)
        session.commit("step", allow_empty=True)
        for folder in FOLDERS:
            assert sorted(session.store.list_dir(folder)) == expected_names(nodes, folder)


@pytest.mark.oracle
def test_the_reference_finds_nodes_below_arrays(tmp_path) -> None:
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(tmp_path / "repo"))
    session = repo.writable_session("main")
    for key in KEYS:
        if key in NODES:
            put(session.store, key, NODES[key])
    for key in CHUNKS:
        put(session.store, key, b"x")
    session.commit("all")
    keys = run_reference(
        """
        import icechunk
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(args[0]))
        result = sorted(repo.readonly_session("main").store.list())
        """,
        tmp_path / "repo",
    )
    assert keys == KEYS
