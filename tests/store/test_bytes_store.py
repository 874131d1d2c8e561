"""`IcechunkStore._store`: reading and writing keys as `bytes`."""

from __future__ import annotations

import copy
import textwrap

import pytest

import icechunk
from icechunk._icechunk_python import PyStore
from tests.oracle import run_reference
from tests.store.documents import GROUP, PROTOTYPE, array_document


async def test_bytes_go_in_and_come_out() -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    store, raw = session.store, session.store._store
    assert isinstance(raw, PyStore)
    await raw.set("zarr.json", GROUP)
    await raw.set("a/zarr.json", bytearray(array_document((2,))))
    await raw.set("a/c/0", memoryview(b"012345"))
    assert (await store.get("a/c/0", PROTOTYPE)).to_bytes() == b"012345"
    assert await raw.get("zarr.json") == GROUP
    assert await raw.get("a/c/0", None) == b"012345"
    assert await raw.get("a/c/0", (1, 3)) == b"12"
    assert await raw.get("a/c/0", (4, None)) == b"45"
    assert await raw.get("a/c/0", (None, 2)) == b"45"
    spans = [("a/c/0", (0, 1)), ("a/c/1", None), ("a/c/0", None)]
    assert await raw.get_partial_values(spans) == [b"0", None, b"012345"]
    await raw.set_if_not_exists("a/c/0", b"other")
    await raw.set_if_not_exists("a/c/1", b"other")
    assert (await raw.get("a/c/0"), await raw.get("a/c/1")) == (b"012345", b"other")
    assert await raw.exists("a/c/1")
    assert await raw.getsize("a/c/1") == 5
    assert sorted(raw.list()) == sorted(store.list())
    assert raw.session == session
    assert raw == session.store._store == copy.copy(raw)
    assert raw != repo.writable_session("main").store._store
    with pytest.raises(KeyError, match="a/c/9"):
        await raw.get("a/c/9")
    with pytest.raises(TypeError):
        await raw.set("a/c/0", [1, 2])
    with pytest.raises(icechunk.InvalidInputError):
        await raw.get("nonsense")
    with pytest.raises(icechunk.ReadOnlyError):
        await repo.readonly_session("main").store._store.set("zarr.json", GROUP)


SCRIPT = """
import asyncio, icechunk
repo = icechunk.Repository.create(icechunk.in_memory_storage())
raw = repo.writable_session("main").store._store
async def answers():
    await raw.set("zarr.json", args[0].encode())
    await raw.set("a/zarr.json", args[1].encode())
    await raw.set("a/c/0", b"012345")
    given = []
    for span in (None, (1, 3), (4, None), (None, 2), (0, 0)):
        given.append(bytes(await raw.get("a/c/0", span)).decode())
    for key in ("a/c/1", "b/zarr.json", "nonsense"):
        try:
            await raw.get(key)
        except Exception as error:
            given.append([type(error).__name__, isinstance(error, KeyError)])
    return given
result = asyncio.run(answers())
"""


@pytest.mark.oracle
def test_answers_are_those_of_the_reference() -> None:
    documents = [GROUP.decode(), array_document((2,)).decode()]
    ours = {"args": documents}
    exec(textwrap.dedent(SCRIPT), ours)
    assert ours["result"] == run_reference(SCRIPT, *documents)
