"""The interface of all storages.

A storage holds named objects and does not interpret their contents. Almost all objects are written
once, under a new random name, and never change. The few that change (`repo`, refs, `config.yaml`)
are written by `Storage.create` and `Storage.replace` only, which are atomic and conditional.

Keys are relative: segments joined by ``/``, on every platform.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, final

from icechunk.config.rendering import Entry, Shown
from icechunk.config.resolve import StorageTuning
from icechunk.config.storage import StorageSettings
from icechunk.core.clock import to_datetime
from icechunk.core.errors import ErrorKind, InvalidInputError, ReadOnlyError, StorageError
from icechunk.core.runtime import offload
from icechunk.storage.constructors import Constructor
from icechunk.storage.requests import watch

Data = bytes | bytearray | memoryview
"""Types of data that can be written."""

Version = str
"""Opaque token of one state of a mutable object."""

Listing = list[tuple[str, int]]
"""Keys and sizes in bytes."""


class ConcurrentWriterWarning(UserWarning):
    """A program that does not take the lock overwrote an object right after an update."""


@final
class Fetched:
    """An object's bytes and the version they were read at.

    Parameters
    ----------
    data
        The whole object.
    version
        Its version, or a function that returns it: most objects are immutable, and their version
        is never asked for.
    """

    __slots__ = ("_version", "data")

    def __init__(self, data: bytes, version: Version | Callable[[], Version]) -> None:
        self.data = data
        self._version = version

    @property
    def version(self) -> Version:
        """Version to pass to `Storage.replace`."""
        if not isinstance(self._version, str):
            self._version = self._version()
        return self._version

    def __iter__(self) -> Iterator[Any]:
        yield self.data
        yield self.version

    def __repr__(self) -> str:
        return f"Fetched({len(self.data)} bytes, version={self.version!r})"


class ObjectInfo(NamedTuple):
    """One object of a listing."""

    key: str
    size: int
    """Bytes."""
    modified: int
    """Time of the last write by the storage's clock, in microseconds since 1970."""


class StorageObjectInfo(Shown):
    """One object of `Storage.list_objects_metadata`.

    Parameters
    ----------
    key : str
        Name, relative to the prefix listed.
    size_bytes : int
        Size.
    created_at : datetime.datetime
        Time of the last write by the storage's clock, UTC.
    """

    __slots__ = ("created_at", "key", "size_bytes")

    def __init__(self, key: str, size_bytes: int, created_at: datetime) -> None:
        self.key = key
        self.size_bytes = size_bytes
        self.created_at = created_at

    def _path(self) -> str:
        return "icechunk.storage.StorageObjectInfo"

    def _entries(self) -> Iterable[Entry]:
        return [
            Entry("key", self.key),
            Entry("size_bytes", self.size_bytes),
            Entry("created_at", self.created_at),
        ]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StorageObjectInfo):
            return NotImplemented
        return (self.key, self.size_bytes, self.created_at) == (
            other.key,
            other.size_bytes,
            other.created_at,
        )

    __hash__ = None  # type: ignore[assignment]


class Pack(ABC):
    """An object to which several chunks are appended.

    A chunk is readable, by every process, when `append` has returned. It survives a loss of power
    after `Storage.sync` of the pack's key, which may be called at any time.
    """

    __slots__ = ("__weakref__", "key")

    key: str
    """Name of the object, for log lines."""

    delegates: ClassVar[bool] = False
    """Another pack writes the bytes, and logs the request."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.delegates:
            watch(cls, ("append",), _pack_request)

    @abstractmethod
    def append(self, data: Data) -> int:
        """Append bytes; any number of threads may call it at once.

        Returns
        -------
        int
            Offset of the bytes in the object.

        Raises
        ------
        StorageError
            If the bytes cannot be written, or in a forked child of the process that opened the
            pack: two processes never write one pack.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes reserved so far, also those of appends that have not finished."""

    @abstractmethod
    def close(self) -> None:
        """Close the file. An append that has already begun still succeeds."""


REQUESTS = (
    "get", "read_range", "read_range_async", "read_into", "put", "put_async", "create", "replace",
    "head", "list", "delete", "sync", "open_pack",
)  # fmt: skip
"""Methods of a storage that send requests."""


def _request(storage: Storage, given: tuple[Any, ...]) -> dict[str, Any]:
    """Return what the log says of a request: names and sizes, no contents."""
    fields: dict[str, Any] = {"storage": storage.identity}
    what, *more = given
    if isinstance(what, str):
        fields["key"] = what
    elif isinstance(what, Sequence):
        fields |= {"key": what[0] if what else "", "objects": len(what)}
    data = next((part for part in more if isinstance(part, Data)), None)
    fields["bytes"] = 0 if data is None else memoryview(data).nbytes
    return fields


def _pack_request(pack: Pack, given: tuple[Any, ...]) -> dict[str, Any]:
    return {"key": getattr(pack, "key", ""), "bytes": memoryview(given[0]).nbytes}


def segments(key: str) -> list[str]:
    """Split a key into its segments.

    Raises
    ------
    InvalidInputError
        If the key could name something outside the storage's root: empty, absolute, with empty,
        ``.`` or ``..`` segments, a backslash or a NUL.
    """
    parts = key.split("/")
    if "\\" in key or "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise InvalidInputError(
            f"invalid object key `{key!r}`: a key is relative, with `/` between its segments and "
            "without empty, `.` or `..` segments, backslashes or NUL characters",
            ErrorKind.BAD_PREFIX,
        )
    return parts


def folder_of(prefix: str) -> str:
    """Return a listing prefix as a key without slashes around it; empty for the root."""
    inner = prefix.strip("/")
    if inner:
        segments(inner)
    return inner


def missing(key: str, where: str) -> StorageError:
    """Return the error of an object that does not exist."""
    return StorageError(
        f"object not found: `{key}` in {where}. It may have been removed by garbage collection, "
        "or the storage may point to another place than intended",
        ErrorKind.OBJECT_NOT_FOUND,
    )


def wrong_size(key: str, offset: int, length: int, got: int) -> StorageError:
    """Return the error of an object that ends before a range that should be inside it."""
    return StorageError(
        f"invalid object size: `{key}` has {got} of the {length} bytes expected at offset "
        f"{offset}. The object is damaged or was replaced; restore it from a backup",
        ErrorKind.INVALID_OBJECT_SIZE,
    )


class Storage(Shown, ABC):
    """Keeps the objects of a repository.

    Make one with `icechunk.local_filesystem_storage`, `icechunk.in_memory_storage` and their
    siblings, and pass it to `icechunk.Repository`. Storages compare by identity, and can be used
    from all threads and from forked children. A pickled storage is its constructor's arguments,
    without open files or clients.
    """

    blocking_ok: bool = False
    """Calls take microseconds, so they may be made on an event loop."""

    pack_target_bytes: int = 0
    """Size at which a new pack is begun; 0 where every chunk is an object of its own."""

    read_only: bool = False
    """Nothing can be written here."""

    delegates: ClassVar[bool] = False
    """Another storage sends the requests, and logs them."""

    # Low-level constructors; prefer the functions of `icechunk.storage`.
    new_in_memory = Constructor("memory")
    new_local_filesystem = Constructor("local")
    new_s3 = Constructor("s3")
    new_s3_object_store = Constructor("s3")
    new_tigris = Constructor("tigris")
    new_r2 = Constructor("r2")
    new_hf = Constructor("hugging_face")
    new_gcs = Constructor("gcs")
    new_azure_blob = Constructor("azure")
    new_http = Constructor("http")
    new_redirect = Constructor("redirect")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.delegates:
            watch(cls, REQUESTS, _request)

    @property
    @abstractmethod
    def identity(self) -> str:
        """Kind and location, without secrets; equal for storages that hold the same objects."""

    @abstractmethod
    def get(self, key: str) -> Fetched:
        """Read a whole object.

        Raises
        ------
        StorageError
            ``object-not-found`` when it does not exist.
        """

    @abstractmethod
    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Read exactly `length` bytes from `offset` on.

        Raises
        ------
        StorageError
            ``object-not-found``, or ``invalid-object-size`` when the object ends before.
        """

    def read_into(self, key: str, offset: int, target: memoryview) -> None:
        """Fill writable memory (unsigned bytes) with an object's bytes from `offset` on.

        Raises
        ------
        StorageError
            Like `read_range`; the memory may then be filled in part.
        """
        target[:] = self.read_range(key, offset, len(target))

    @abstractmethod
    def put(self, key: str, data: Data) -> None:
        """Write an immutable object under a new name, unconditionally.

        Replaces an object of that name, atomically. Not durable before `sync`.
        """

    @abstractmethod
    def create(self, key: str, data: Data) -> Version | None:
        """Write an object if there is none of that name; durable on return.

        Returns
        -------
        str or None
            The version written; None when the key exists.
        """

    @abstractmethod
    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        """Write an object if its version is still `expected`: compare-and-swap, durable on return.

        Returns
        -------
        str or None
            The version written; None when the object has another version or is gone.
        """

    @abstractmethod
    def head(self, key: str) -> ObjectInfo | None:
        """Return an object's size and time; None when it does not exist."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield all objects below a prefix of whole segments (``""`` is the root), in any order.

        Keys are relative to the root. An object that is itself named `prefix` is not below it.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects; missing ones are fine.

        Returns
        -------
        int
            How many existed, as far as the storage reports it.
        """

    def sync(self, keys: Iterable[str]) -> None:
        """Make written objects survive power loss.

        Raises
        ------
        StorageError
            When one of them is missing or cannot be made durable. No ref may then be moved to a
            snapshot that needs it.
        """

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Return a context in which other writers of this library wait before changing `key`.

        The lock is advisory, re-entrant, and holds between processes too. Where a storage has no
        locks it does nothing: correctness rests on `replace`, and the lock only saves attempts that
        would fail.
        """
        return nullcontext()

    def open_pack(self, key: str) -> Pack | None:
        """Begin a pack; None where every chunk is an object of its own."""
        return None

    async def read_range_async(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Do `read_range` without blocking the event loop."""
        return await offload(self.read_range, key, offset, length)

    async def put_async(self, key: str, data: Data) -> None:
        """Do `put` without blocking the event loop."""
        await offload(self.put, key, data)

    def tuned(self, tuning: StorageTuning) -> Storage:
        """Return a storage of the same objects with other settings; itself when nothing changes."""
        return self

    def require_creatable(self) -> None:
        """Refuse to create a repository where that cannot work; probe objects are removed again.

        Raises
        ------
        InvalidInputError
            Kind ``empty-prefix-creation``.
        ReadOnlyError
            Kind ``read-only-storage``.
        StorageError
            When the storage lacks the conditional writes that commits need.
        """
        self.require_writable("Cannot create repository")

    def require_writable(self, what: str) -> None:
        """Refuse to write to a read-only storage.

        Parameters
        ----------
        what : str
            Beginning of the message, such as "Cannot create tag".

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-storage``.
        """
        if self.read_only:
            raise ReadOnlyError(
                f"{what}: the storage {self.identity} is read-only; copy the repository to a "
                "storage that can be written to",
                ErrorKind.READ_ONLY_STORAGE,
            )

    # -- public methods ---------------------------------------------------------------------------

    def default_settings(self) -> StorageSettings:
        """Return the settings in force when a repository's configuration gives none."""
        return StorageSettings()

    def list_objects(
        self, settings: StorageSettings | None = None, prefix: str | None = None
    ) -> Listing:
        """List names and sizes; `list_objects_metadata` has the times too.

        Parameters
        ----------
        settings : StorageSettings, optional
            Accepted for compatibility.
        prefix : str, optional
            Only objects below this prefix of whole segments; everything when absent.

        Returns
        -------
        list of (str, int)
            Key relative to the prefix, and size in bytes; sorted by key.
        """
        return [
            (info.key, info.size_bytes) for info in self.list_objects_metadata(settings, prefix)
        ]

    def list_objects_metadata(
        self, settings: StorageSettings | None = None, prefix: str | None = None
    ) -> Sequence[StorageObjectInfo]:
        """List names, sizes and times of the last write.

        Parameters
        ----------
        settings : StorageSettings, optional
            Accepted for compatibility.
        prefix : str, optional
            Only objects below this prefix of whole segments; everything when absent.

        Returns
        -------
        list of StorageObjectInfo
            Sorted by key; keys are relative to the prefix.
        """
        folder = folder_of(prefix or "")
        cut = len(folder) + 1 if folder else 0
        return [
            StorageObjectInfo(info.key[cut:], info.size, to_datetime(info.modified))
            for info in sorted(self.list(folder))
        ]

    def _path(self) -> str:
        return "icechunk.Storage"

    def __repr__(self) -> str:
        return str(self)
