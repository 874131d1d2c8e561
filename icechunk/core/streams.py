"""An iterator for both ``for`` and ``async for``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from icechunk.core.runtime import on_front

T = TypeVar("T")

_FIRST_PAGE = 16
_LARGEST_PAGE = 1024


class AsyncCloseableIterator(Generic[T]):
    """Iterator for ``for`` and ``async for``; each continues where the other stopped.

    Returned by methods that list items. With ``async for``, items are fetched on another thread in
    pages of growing size, except those of a list, which need no thread.
    """

    __module__ = "icechunk._icechunk_python"

    def __init__(self, items: Iterable[T]) -> None:
        held = items if isinstance(items, list) else []
        self._items: Iterator[T] = iter(() if held else items)
        self._page: list[T] = held[::-1]  # fetched but not yet returned, in reverse order
        self._size = 0 if isinstance(items, list) else _FIRST_PAGE  # 0: nothing left to fetch

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._page.pop() if self._page else next(self._items)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if not self._page and self._size:
            size = self._size
            page = await on_front(lambda: list(islice(self._items, size)))
            self._page = page[::-1]
            self._size = 0 if len(page) < size else min(size * 2, _LARGEST_PAGE)
        if not self._page:
            raise StopAsyncIteration
        return self._page.pop()

    async def aclose(self) -> None:
        """Stop early."""
        self._items, self._page, self._size = iter(()), [], 0
