"""A storage in the memory of this process, for tests and temporary work."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, cast

from icechunk.config.rendering import Entry, Label
from icechunk.config.storage import (
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
)
from icechunk.core.clock import now_us
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.locks import held
from icechunk.core.runtime import PerProcess
from icechunk.storage.base import (
    Data,
    Fetched,
    ObjectInfo,
    Storage,
    Version,
    folder_of,
    missing,
    segments,
    wrong_size,
)


class _Stored(NamedTuple):
    """One object."""

    data: bytes
    version: Version
    modified: int


class MemoryStorage(Storage):
    """Objects in a dictionary. Every new instance is an empty store of its own.

    A pickled copy is an empty store; a forked child works on its own copy of the objects.
    """

    blocking_ok = True

    def __init__(self) -> None:
        self._objects: dict[str, _Stored] = {}
        self._lock = PerProcess(threading.RLock)
        self._writes = 0
        self._name = uuid.uuid4().hex
        self._was_pickled = False

    def __reduce__(self) -> tuple[Callable[[], MemoryStorage], tuple[()]]:
        return _empty_copy, ()

    @property
    def identity(self) -> str:
        """A name that no other store has."""
        return f"memory:{self._name}"

    def default_settings(self) -> StorageSettings:
        """Return settings of a store that needs no retries."""
        return StorageSettings(
            concurrency=StorageConcurrencySettings(5, 1),
            retries=StorageRetriesSettings(1, 0, 0),
        )

    def _find(self, key: str) -> _Stored:
        try:
            return self._objects[key]
        except KeyError:
            segments(key)
            if self._was_pickled:
                raise StorageError(
                    f"object not found: `{key}`: this is the copy of an in-memory storage, which "
                    "is empty, since memory is not copied to other processes or by a "
                    "pickle. Keep the repository in `icechunk.local_filesystem_storage(path)` or "
                    "in an object store, or use threads",
                    ErrorKind.OBJECT_NOT_FOUND,
                ) from None
            raise missing(key, "the in-memory storage") from None

    def _store(self, key: str, data: Data) -> Version:
        """Keep an object; the caller holds the lock."""
        segments(key)
        self._writes += 1
        version = str(self._writes)
        self._objects[key] = _Stored(bytes(data), version, now_us())
        return version

    def get(self, key: str) -> Fetched:
        """Return a whole object, without copying it."""
        found = self._find(key)
        return Fetched(found.data, found.version)

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Return a view of exactly `length` bytes from `offset` on."""
        data = self._find(key).data
        if offset < 0 or length < 0 or offset + length > len(data):
            raise wrong_size(key, offset, length, max(len(data) - offset, 0))
        return data if length == len(data) else memoryview(data)[offset : offset + length]

    def put(self, key: str, data: Data) -> None:
        """Keep an object."""
        held(self._lock.get(), self._store, key, data)

    def create(self, key: str, data: Data) -> Version | None:
        """Keep an object unless there is one of that name."""
        return held(self._lock.get(), self._create, key, data)

    def _create(self, key: str, data: Data) -> Version | None:
        return None if key in self._objects else self._store(key, data)

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        """Keep an object if its version is still the expected one."""
        return held(self._lock.get(), self._replace, key, data, expected)

    def _replace(self, key: str, data: Data, expected: Version) -> Version | None:
        found = self._objects.get(key)
        if found is None or found.version != expected:
            return None
        return self._store(key, data)

    def head(self, key: str) -> ObjectInfo | None:
        """Return an object's size and time."""
        segments(key)
        found = self._objects.get(key)
        return None if found is None else ObjectInfo(key, len(found.data), found.modified)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix, as they were when listing began."""
        folder = folder_of(prefix)
        start = f"{folder}/" if folder else ""
        present = held(self._lock.get(), list, self._objects.items())
        return (
            ObjectInfo(key, len(found.data), found.modified)
            for key, found in present
            if key.startswith(start)
        )

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects; return how many existed."""
        return held(self._lock.get(), self._delete, keys)

    def _delete(self, keys: Iterable[str]) -> int:
        return sum(self._objects.pop(key, None) is not None for key in keys)

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Keep other threads of this process from changing anything."""
        lock: Any = (
            self._lock.get()
        )  # the lock itself is the context: no interrupt can separate taking it and entering
        return cast(AbstractContextManager[None], lock)

    def _entries(self) -> Iterable[Entry]:
        return [Entry("type", Label("in-memory"))]


def _empty_copy() -> MemoryStorage:
    """Return what a pickled store becomes."""
    storage = MemoryStorage()
    storage._was_pickled = True
    return storage
