"""An iterator for both ``for`` and ``async for``."""

from __future__ import annotations

import threading

import pytest

from icechunk.core.streams import AsyncCloseableIterator


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 16 + 32, 5000])
@pytest.mark.parametrize("held", [True, False])
async def test_both_loops_together_yield_every_item_once(count: int, held: bool) -> None:
    def items():
        return list(range(count)) if held else iter(range(count))

    assert [one async for one in AsyncCloseableIterator(items())] == list(range(count))
    assert list(AsyncCloseableIterator(items())) == list(range(count))
    mixed = AsyncCloseableIterator(items())
    first = await anext(mixed, None)
    rest = list(mixed)
    assert ([] if first is None else [first, *rest]) == list(range(count))
    with pytest.raises(StopAsyncIteration):
        await anext(mixed)


async def test_a_list_takes_no_thread_and_keeps_its_items() -> None:
    threads = []

    def generated():
        threads.append(threading.get_ident())
        yield "one"

    assert [one async for one in AsyncCloseableIterator(generated())] == ["one"]
    assert threads != [threading.get_ident()]
    given = ["a", "b"]
    assert [one async for one in AsyncCloseableIterator(given)] == ["a", "b"]
    assert given == ["a", "b"]


@pytest.mark.parametrize("items", [["a", "b"], ("a", "b")])
async def test_a_closed_iterator_is_empty(items) -> None:
    stream = AsyncCloseableIterator(items)
    assert await anext(stream) == "a"
    await stream.aclose()
    assert [one async for one in stream] == []
    assert list(stream) == []
