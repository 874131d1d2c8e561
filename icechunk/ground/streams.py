"""One iterator for ``for`` and ``async for``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Generic, TypeVar

from icechunk.ground.runtime import on_front

T = TypeVar("T")

_FIRST_PAGE = 16
_LARGEST_PAGE = 1024


class AsyncCloseableIterator(Generic[T]):
    """Items one by one, for ``for`` and ``async for`` alike; either goes on where the other was.

    Made by methods that list things. Under ``async for`` the items are fetched on another thread,
    a growing page at a time.
    """

    __module__ = "icechunk._icechunk_python"

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._page: list[T] = []  # fetched and not yet handed out, last one first
        self._size = _FIRST_PAGE

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._page.pop() if self._page else next(self._items)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if not self._page:
            size, self._size = self._size, min(self._size * 2, _LARGEST_PAGE)
            page = await on_front(lambda: list(islice(self._items, size)))
            self._page = page[::-1]
        if not self._page:
            raise StopAsyncIteration
        return self._page.pop()

    async def aclose(self) -> None:
        """Stop early."""
        self._items, self._page = iter(()), []
