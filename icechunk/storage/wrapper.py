"""A storage that passes calls on to another one, for subclasses that observe or change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

from icechunk.config.rendering import Entry
from icechunk.config.resolve import StorageTuning
from icechunk.config.storage import StorageSettings
from icechunk.storage.base import Data, Fetched, ObjectInfo, Pack, Storage, Version

T = TypeVar("T")

READS = frozenset({"get", "read_range", "read_into", "head", "list"})
"""Methods that change nothing."""

WRITES = frozenset({"put", "create", "replace", "delete", "sync", "open_pack", "append"})
"""Methods that change something."""


class Call(NamedTuple):
    """One call of a storage.

    `verb` is the name of the method of `icechunk.Storage`, or ``append`` for that of a pack.
    """

    verb: str
    keys: tuple[str, ...]
    """Objects, or the prefix listed."""
    size: int
    """Bytes written or requested; 0 where there are none, or the number is not known."""


class StorageWrapper(Storage):
    """A storage that calls another one; subclasses override `around`.

    Parameters
    ----------
    inner : Storage
        The storage that keeps the bytes.
    """

    delegates = True

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.blocking_ok = inner.blocking_ok
        self.pack_target_bytes = inner.pack_target_bytes
        self.read_only = inner.read_only

    def around(self, call: Call, run: Callable[[], T]) -> T:
        """Do one call.

        Parameters
        ----------
        call : Call
            Method and arguments.
        run : callable
            Calls the inner storage and returns its result.
        """
        return run()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner,)

    @property
    def identity(self) -> str:
        """That of the inner storage: they hold the same objects."""
        return self.inner.identity

    def tuned(self, tuning: StorageTuning) -> StorageWrapper:
        """Return itself, after tuning the inner storage."""
        self.inner = self.inner.tuned(tuning)
        return self

    def require_creatable(self) -> None:
        """Check the inner storage."""
        self.inner.require_creatable()

    def default_settings(self) -> StorageSettings:
        """Settings of the inner storage."""
        return self.inner.default_settings()

    def get(self, key: str) -> Fetched:
        """Read a whole object."""
        return self.around(Call("get", (key,), 0), lambda: self.inner.get(key))

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Read a part of an object."""
        call = Call("read_range", (key,), length)
        return self.around(call, lambda: self.inner.read_range(key, offset, length))

    def read_into(self, key: str, offset: int, target: memoryview) -> None:
        """Read a part of an object into memory."""
        call = Call("read_into", (key,), len(target))
        self.around(call, lambda: self.inner.read_into(key, offset, target))

    def put(self, key: str, data: Data) -> None:
        """Write an immutable object."""
        self.around(Call("put", (key,), len(data)), lambda: self.inner.put(key, data))

    def create(self, key: str, data: Data) -> Version | None:
        """Write an object if there is none of that name."""
        call = Call("create", (key,), len(data))
        return self.around(call, lambda: self.inner.create(key, data))

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        """Write an object if its version is still the expected one."""
        call = Call("replace", (key,), len(data))
        return self.around(call, lambda: self.inner.replace(key, data, expected))

    def head(self, key: str) -> ObjectInfo | None:
        """Size and time of an object."""
        return self.around(Call("head", (key,), 0), lambda: self.inner.head(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below a prefix."""
        call = Call("list", (prefix,), 0)
        return iter(self.around(call, lambda: tuple(self.inner.list(prefix))))

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects."""
        names = tuple(keys)
        return self.around(Call("delete", names, 0), lambda: self.inner.delete(names))

    def sync(self, keys: Iterable[str]) -> None:
        """Make objects durable."""
        names = tuple(keys)
        self.around(Call("sync", names, 0), lambda: self.inner.sync(names))

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Lock of the inner storage."""
        return self.inner.lock(key)

    def open_pack(self, key: str) -> Pack | None:
        """Begin a pack of the inner storage."""
        pack = self.around(Call("open_pack", (key,), 0), lambda: self.inner.open_pack(key))
        return None if pack is None else _Pack(self, key, pack)

    def _entries(self) -> Iterable[Entry]:
        return [Entry("inner", self.inner)]

    def _path(self) -> str:
        return f"{type(self).__module__}.{type(self).__qualname__}"


class _Pack(Pack):
    """A pack whose appends go through its storage's `around`."""

    delegates = True

    def __init__(self, owner: StorageWrapper, key: str, inner: Pack) -> None:
        self._owner, self.key, self._inner = owner, key, inner

    def append(self, data: Data) -> int:
        call = Call("append", (self.key,), len(data))
        return self._owner.around(call, lambda: self._inner.append(data))

    @property
    def size(self) -> int:
        return self._inner.size

    def close(self) -> None:
        self._inner.close()
