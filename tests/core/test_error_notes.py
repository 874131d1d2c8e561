"""Notes on errors: kind and operation."""

from __future__ import annotations

import copy
import pickle
import textwrap
import traceback

import numpy as np
import pytest
import zarr
from zarr.core.buffer import cpu

import icechunk
from tests.oracle import run_reference
from tests.repositories import with_grid
from tests.store.documents import PROTOTYPE


def session() -> icechunk.Session:
    return with_grid(icechunk.in_memory_storage())[0].writable_session("main")


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


async def test_errors_of_a_store_name_kind_and_key() -> None:
    store = session().store
    with pytest.raises(icechunk.InvalidInputError) as caught:
        await store.get("a/0.1", PROTOTYPE)
    assert notes(caught.value) == ["kind of this error: invalid-key", "while reading `a/0.1`"]
    with pytest.raises(icechunk.InvalidInputError) as caught:
        store.get_sync("a/0.1")
    assert notes(caught.value) == ["kind of this error: invalid-key", "while reading `a/0.1`"]
    with pytest.raises(icechunk.InvalidInputError) as caught:
        store.set_sync("a/c/900/0", cpu.Buffer.from_bytes(b"x"))
    assert notes(caught.value)[1] == "while writing `a/c/900/0`"


def test_errors_of_a_session_name_the_method() -> None:
    with pytest.raises(icechunk.IcechunkError) as caught:
        session().move("/a", "/b")
    assert notes(caught.value) == [
        "kind of this error: non-rearrange-session",
        "while calling Session.move",
    ]
    assert "kind of this error" in "".join(traceback.format_exception(caught.value))
    assert "kind of this error" not in str(caught.value)


def test_missing_nodes_and_conflicts_have_none() -> None:
    with pytest.raises(icechunk.NodeNotFoundError) as missing:
        session().get_node_id("/nothing")
    assert notes(missing.value) == []
    repo = with_grid(icechunk.in_memory_storage())[0]
    sessions = [repo.writable_session("main") for _ in range(2)]
    for number, one in enumerate(sessions):
        zarr.open_array(one.store, path="a", mode="r+")[0, 0] = number + 5
    sessions[0].commit("first")
    with pytest.raises(icechunk.ConflictError) as conflict:
        sessions[1].commit("second")
    assert notes(conflict.value) == []


def test_notes_are_added_and_pickled_once() -> None:
    error = icechunk.StorageError("lost", "io")
    error.during("reading `a`")
    error.during("reading `b`")
    wanted = ["kind of this error: io", "while reading `a`"]
    for again in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert notes(again) == wanted


def test_a_read_only_error_is_the_value_error_that_zarr_promises() -> None:
    store = with_grid(icechunk.in_memory_storage())[0].readonly_session("main").store
    with pytest.raises(ValueError, match="read-only") as caught:
        store.set_sync("a/c/0/0", cpu.Buffer.from_bytes(np.zeros(4, "u1").tobytes()))
    assert isinstance(caught.value, icechunk.ReadOnlyError)
    assert caught.value.kind == "read-only-store"


@pytest.mark.oracle
def test_the_reference_has_notes_on_the_same_errors() -> None:
    code = """
    import asyncio, icechunk
    from zarr.core.buffer import cpu, default_buffer_prototype
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session, reader = repo.writable_session("main"), repo.readonly_session("main")
    def noted(call):
        try:
            call()
        except Exception as error:
            return [type(error).__name__, bool(getattr(error, "__notes__", None))]
    async def get():
        await session.store.get("a/0.1", default_buffer_prototype())
    async def write(store):
        await store.set("a/c/0", cpu.Buffer.from_bytes(b"x"))
    result = [
        noted(call)
        for call in (
            lambda: asyncio.run(get()),
            lambda: asyncio.run(write(session.store)),
            lambda: asyncio.run(write(reader.store)),
            lambda: session.get_node_id("/a"),
            lambda: session.commit("nothing"),
            lambda: repo.lookup_branch("nowhere"),
        )
    ]
    """
    ours: dict[str, object] = {}
    exec(textwrap.dedent(code), ours)
    assert ours["result"] == run_reference(code)
