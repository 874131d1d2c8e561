"""Every method of the store accepts any key, or raises an error of this library."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import cpu

import icechunk
from tests.store.documents import GROUP, PROTOTYPE, array_document

NAMES = ["", "a", "g", "s", "c", "c.0", ".", "..", "zarr.json", ".zarray", ".zattrs", "%2F", "é"]
NUMBERS = ["0", "1", "00", "-1", "+1", "1_0", "0x1", "1.0", "\u00b2", "\u0661", "9" * 5000]
EDGES = ["4294967295", "4294967296", "9999999999", "n" * 5000, "\x00", "a\x00", "\ud800"]
WORDS = st.one_of(
    st.sampled_from([*NAMES, *NUMBERS, *EDGES]),
    st.integers(-2, 2**70).map(str),
    st.text(max_size=5),
)
KEYS = st.lists(WORDS, max_size=5).map("/".join)
RANGES = [RangeByteRequest(0, 1), OffsetByteRequest(1), SuffixByteRequest(1)]
VALUES = [cpu.Buffer.from_bytes(data) for data in (b"1", b"", GROUP, array_document((2, 2)))]


def session(kind: str) -> icechunk.Session:
    """A session with a group `g`, an array `a` of rank 2, a scalar array `s`, and some chunks."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    made = repo.writable_session("main")
    store = made.store
    for key, data in [
        ("zarr.json", GROUP),
        ("g/zarr.json", GROUP),
        ("a/zarr.json", array_document((2, 2))),
        ("a/c/0/1", b"x" * 3),
        ("a/c/1/1", b"x" * 600),
        ("s/zarr.json", array_document(())),
        ("s/c", b"x"),
    ]:
        store.set_sync(key, cpu.Buffer.from_bytes(data))
    if kind == "fresh":
        return made
    made.commit("base")
    return repo.readonly_session("main") if kind == "read-only" else repo.writable_session("main")


async def everything(found):
    return [item async for item in found]


#: Method and call with a key; those that read first, those that remove last.
CALLS = [
    ("exists", lambda store, key: store.exists(key)),
    *(("get", lambda store, key, r=r: store.get(key, PROTOTYPE, r)) for r in (None, *RANGES)),
    *(
        ("get_sync", lambda store, key, r=r: store.get_sync(key, byte_range=r))
        for r in (None, *RANGES)
    ),
    (
        "get_partial_values",
        lambda store, key: store.get_partial_values(PROTOTYPE, [(key, r) for r in (None, *RANGES)]),
    ),
    (
        "get_ranges",
        lambda store, key: everything(store.get_ranges(key, RANGES, prototype=PROTOTYPE)),
    ),
    (
        "get_ranges_sync",
        lambda store, key: store.get_ranges_sync(key, RANGES, prototype=PROTOTYPE),
    ),
    ("getsize", lambda store, key: store.getsize(key)),
    ("getsize_prefix", lambda store, key: store.getsize_prefix(key)),
    ("is_empty", lambda store, key: store.is_empty(key)),
    ("list_dir", lambda store, key: everything(store.list_dir(key))),
    ("list_prefix", lambda store, key: everything(store.list_prefix(key))),
    ("array_chunk_iterator", lambda store, key: everything(store.array_chunk_iterator(key))),
    ("set_if_not_exists", lambda store, key: store.set_if_not_exists(key, VALUES[0])),
    *(("set", lambda store, key, v=v: store.set(key, v)) for v in VALUES),
    *(("set_sync", lambda store, key, v=v: store.set_sync(key, v)) for v in VALUES),
    (
        "set_virtual_ref",
        lambda store, key: store.set_virtual_ref(
            key, "s3://bucket/x", offset=0, length=1, validate_container=False
        ),
    ),
    ("delete", lambda store, key: store.delete(key)),
    ("delete_sync", lambda store, key: store.delete_sync(key)),
    ("delete_dir", lambda store, key: store.delete_dir(key)),
]
WITHOUT_KEY = {"list", "clear", "sync_clear", "with_read_only", "open", "close"}
SAME_BODY = {"set_virtual_ref_async", "set_virtual_refs_async", "set_virtual_refs_arr_async"}
BY_COORDINATES = {"set_virtual_refs", "set_virtual_refs_arr"}
ALWAYS_REFUSED = {"set_partial_values"}


def test_no_method_of_the_store_is_left_out() -> None:
    public = {
        name
        for name, member in inspect.getmembers(icechunk.IcechunkStore)
        if not name.startswith("_") and callable(member)
    }
    called = {name for name, _ in CALLS}
    assert public - called == (WITHOUT_KEY | SAME_BODY | BY_COORDINATES | ALWAYS_REFUSED) & public


def causes(error: BaseException) -> set[type]:
    """Class of an error, or classes of the errors in a group."""
    if isinstance(error, BaseExceptionGroup):
        return set().union(*map(causes, error.exceptions))
    return {type(error)}


def allowed(error: BaseException) -> bool:
    return all(
        issubclass(cause, (icechunk.IcechunkError, FileNotFoundError)) for cause in causes(error)
    )


async def called(call, store, key):
    """Result of a call, awaited if it is awaitable."""
    found = call(store, key)
    return await found if inspect.isawaitable(found) else found


async def answer(call, store, key):
    """Result of a call; None for an error that it may raise."""
    try:
        return await called(call, store, key)
    except Exception as error:
        if not allowed(error):
            raise
        return None


async def ask_everything(key: str, kind: str) -> None:
    store = session(kind).store
    for method, call in CALLS:
        if hasattr(store, method):  # older Zarr has fewer
            await answer(call, store, key)
            exists = await answer(CALLS[0][1], store, key)
            held = await answer(CALLS[1][1], store, key)
            virtual = method.startswith("set_virtual") or held is not None
            assert bool(exists) == (held is not None) or virtual, method


@pytest.mark.parametrize("kind", ["fresh", "committed", "read-only"])
@given(key=KEYS)
@example(key="a/c/0")
@example(key="a/c/0/1/0")
@example(key="a/c")
@example(key="s/c/0")
@example(key="a/c/0/" + "9" * 5000)
@example(key="a/c/4294967296/9999999999")
@example(key="\ud800/zarr.json")
@example(key="a/\x00/zarr.json")
@example(key="g/.zarray")
@example(key="g/c/zarr.json/")
def test_any_key_is_answered_or_refused(key: str, kind: str) -> None:
    asyncio.run(ask_everything(key, kind))


@pytest.mark.parametrize("kind", ["fresh", "committed"])
@pytest.mark.parametrize("key", ["a/c/0", "a/c/0/1/0", "a/c", "s/c/0", "a/c/0/4294967296"])
async def test_a_key_of_another_rank_is_absent_and_takes_nothing(key: str, kind: str) -> None:
    store = session(kind).store
    before = sorted(store.list())
    assert not await store.exists(key)
    assert await store.get(key, PROTOTYPE) is None
    assert store.get_sync(key) is None
    with pytest.raises(FileNotFoundError):
        await store.getsize(key)
    for write in (store.set, store.set_if_not_exists):
        with pytest.raises(icechunk.InvalidInputError) as caught:
            await write(key, VALUES[0])
        assert caught.value.kind == "invalid-chunk-index"
    await store.delete(key)
    assert sorted(store.list()) == before


@pytest.mark.parametrize("key", [None, 5, b"zarr.json", ("a",)])
async def test_what_is_no_text_is_a_type_error(key: object) -> None:
    store = session("fresh").store
    for method, call in CALLS:
        if hasattr(store, method):
            with pytest.raises((TypeError, BaseExceptionGroup)) as caught:
                await called(call, store, key)
            assert causes(caught.value) == {TypeError}, method


async def test_listings_are_asynchronous_iterators() -> None:
    for kind in ("fresh", "committed"):
        store = session(kind).store
        for listing in (
            store.list,
            functools.partial(store.list_prefix, "a"),
            functools.partial(store.list_dir, "a"),
            functools.partial(store.list_dir, "a/c"),
        ):
            names = listing()
            assert isinstance(names, AsyncIterator)
            first = await anext(names)
            assert sorted([first, *[name async for name in names]]) == sorted(listing())
            with pytest.raises(StopAsyncIteration):
                await anext(names)
            stopped = listing()
            await anext(stopped)
            await stopped.aclose()
            assert await anext(stopped, None) is None
