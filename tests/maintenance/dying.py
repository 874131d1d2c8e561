"""A storage whose process dies at a chosen call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from icechunk.storage.base import Data, Fetched, ObjectInfo, Storage, Version
from icechunk.storage.memory import MemoryStorage


class Death(BaseException):
    """The process is gone; nothing of the library may catch this."""


class DyingStorage(Storage):
    """Passes calls on to a storage in memory until the time comes.

    Parameters
    ----------
    inner : MemoryStorage
        What survives.
    at : int
        Number of the call, from 0, that the process does not come back from.
    done : bool
        Whether the storage still carries that call out.
    """

    blocking_ok = True

    def __init__(self, inner: MemoryStorage, at: int | None = None, done: bool = False) -> None:
        self.inner = inner
        self.at = at
        self.done = done
        self.calls = 0

    def _call(self, name: str, *args: Any) -> Any:
        number, self.calls = self.calls, self.calls + 1
        if number == self.at:
            if self.done:
                getattr(self.inner, name)(*args)
            raise Death
        if self.at is not None and number > self.at:
            raise Death  # a dead process makes no more calls
        return getattr(self.inner, name)(*args)

    @property
    def identity(self) -> str:
        return self.inner.identity

    def get(self, key: str) -> Fetched:
        found: Fetched = self._call("get", key)
        return found

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        data: bytes | memoryview = self._call("read_range", key, offset, length)
        return data

    def put(self, key: str, data: Data) -> None:
        self._call("put", key, data)

    def create(self, key: str, data: Data) -> Version | None:
        made: Version | None = self._call("create", key, data)
        return made

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        made: Version | None = self._call("replace", key, data, expected)
        return made

    def head(self, key: str) -> ObjectInfo | None:
        found: ObjectInfo | None = self._call("head", key)
        return found

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found: Iterator[ObjectInfo] = self._call("list", prefix)
        return found

    def delete(self, keys: Iterable[str]) -> int:
        count: int = self._call("delete", list(keys))
        return count

    def sync(self, keys: Iterable[str]) -> None:
        self._call("sync", list(keys))

    def lock(self, key: str) -> AbstractContextManager[None]:
        return self.inner.lock(key)

    def _entries(self) -> Iterable[Any]:
        return []
