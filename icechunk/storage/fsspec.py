"""A storage in a file system of fsspec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from threading import Semaphore
from typing import Any, TypeVar

from icechunk.config.rendering import Entry, Label
from icechunk.config.resolve import StorageTuning, storage_tuning
from icechunk.core.clock import from_datetime
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
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
from icechunk.storage.failures import error_details, translated, unanswered
from icechunk.storage.fsspec_conditional import (
    ConditionalWriter,
    Got,
    MemoryConditionalWriter,
    UnconditionalWriter,
)
from icechunk.storage.kinds import kinds
from icechunk.storage.probe import require_conditions
from icechunk.storage.readback import RefusedError, Seen, UnclearError, settle

T = TypeVar("T")

_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created", "timeCreated")


def conditional_writer_of(fs: Any) -> ConditionalWriter:
    """Return the conditional writer of a file system, by its protocol."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if "memory" in protocols and MemoryConditionalWriter.fits(fs):
        return MemoryConditionalWriter(fs)
    for kind in kinds():
        writer: type[ConditionalWriter] | None = kind.fsspec_writer
        if writer and protocols & {*kind.schemes, *kind.synonyms} and writer.fits(fs):
            return writer(fs)
    return UnconditionalWriter(fs)


class FsspecStorage(Storage):
    """Objects as files of an fsspec file system, below a path.

    Parameters
    ----------
    path : str
        The root, as the file system writes it (without protocol).
    make : callable
        Returns the file system; called once in every process.
    protocol : str
        Its name.
    tuning : StorageTuning, optional
        Which conditions are switched off, how conflicts are retried. Time limits and retries of
        requests are those of the file system.
    """

    def __init__(
        self,
        path: str,
        make: Callable[[], Any],
        protocol: str,
        tuning: StorageTuning | None = None,
    ) -> None:
        self._path_ = path.rstrip("/")
        self._opener = make
        self._protocol = protocol
        self._tuning = storage_tuning(None) if tuning is None else tuning
        # Held while one request is sent, never around another: no thread waits for itself.
        self._gate = PerProcess(partial(Semaphore, self._tuning.max_concurrent_requests))
        self._conditional_writers: PerProcess[ConditionalWriter] = PerProcess(
            lambda: conditional_writer_of(self._opener())
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return FsspecStorage, (self._path_, self._opener, self._protocol, self._tuning)

    def tuned(self, tuning: StorageTuning) -> FsspecStorage:
        if tuning == self._tuning:
            return self
        return FsspecStorage(self._path_, self._opener, self._protocol, tuning)

    @property
    def identity(self) -> str:
        """Protocol and path."""
        return f"{self._protocol}://{self._path_.lstrip('/')}"

    def _entries(self) -> Iterable[Entry]:
        return [
            Entry("type", Label("fsspec")),
            Entry("protocol", Label(self._protocol)),
            Entry("path", Label(self._path_)),
        ]

    def require_creatable(self) -> None:
        """Refuse file systems without conditional writes, unless the user switched them off."""
        tuning = self._tuning
        if not self._path_.strip("/"):
            raise InvalidInputError(
                f"cannot create a repository in an empty prefix: {self.identity}; name a folder",
                ErrorKind.EMPTY_PREFIX_CREATION,
            )
        self._allow_conditions(create=tuning.use_conditional_create)
        self._allow_conditions(create=tuning.use_conditional_update)
        if self._conditional.conditional:
            require_conditions(
                self, create=tuning.use_conditional_create, update=tuning.use_conditional_update
            )

    def _allow_conditions(self, *, create: bool) -> None:
        """Refuse a conditional write that the file system does not support."""
        if create and not self._conditional.conditional:
            raise StorageError(
                f"unsafe storage: the fsspec file system {self._protocol!r} has no conditional "
                "writes. Commits of two writers at the same time would silently overwrite each "
                "other. Use local files or an object store; or, where only one process "
                "ever writes at a time, declare it with StorageSettings("
                "unsafe_use_conditional_create=False, unsafe_use_conditional_update=False) in "
                "RepositoryConfig(storage=...)",
                ErrorKind.STORAGE_CONFIG,
            )

    # -- requests ---------------------------------------------------------------------------------

    @property
    def _conditional(self) -> ConditionalWriter:
        return self._conditional_writers.get()

    def _file(self, key: str) -> str:
        segments(key)
        return f"{self._path_}/{key}"

    def _guarded(self, call: Callable[[], T], key: str) -> T:
        """Make a call; raise its failure translated."""
        try:
            with self._gate.get():
                return call()
        except Exception as error:
            failure = translated(error, key, self.identity)
        raise failure

    def _present(self, call: Callable[[], T], key: str) -> T | None:
        """Make a call; return None when the object does not exist."""
        try:
            return self._guarded(call, key)
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return None

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: str) -> Fetched:
        file = self._file(key)
        got = self._guarded(lambda: self._conditional.get(file), key)
        return Fetched(bytes(got.data), got.version)

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        file = self._file(key)
        if offset < 0 or length < 0:
            raise wrong_size(key, offset, length, 0)
        if length == 0:
            info = self.head(key)
            if info is None:
                raise missing(key, self.identity)
            if offset > info.size:
                raise wrong_size(key, offset, length, 0)
            return b""
        got: Got | None = None
        try:
            with self._gate.get():
                got = self._conditional.get(file, (offset, offset + length))
        except Exception as error:
            failure = self._range_failure(error, key, offset, length)
        else:
            failure = wrong_size(key, offset, length, len(got.data))
        if got is None or len(got.data) != length:
            raise failure
        return got.data

    def _range_failure(self, error: Exception, key: str, offset: int, length: int) -> Exception:
        details = error_details(error)
        if details.status == 416 or details.code == "InvalidRange":
            return wrong_size(key, offset, length, 0)
        if isinstance(error, ValueError | OSError) and not isinstance(error, FileNotFoundError):
            info = self.head(key)  # file systems report bad ranges in many ways
            if info is not None and offset + length > info.size:
                return wrong_size(key, offset, length, max(info.size - offset, 0))
        return translated(error, key, self.identity)

    def head(self, key: str) -> ObjectInfo | None:
        file = self._file(key)

        def ask() -> Mapping[str, Any]:
            fs = self._conditional.fs
            fs.invalidate_cache(fs._parent(file))
            found: Mapping[str, Any] = fs.info(file)
            return found

        found = self._present(ask, key)
        if found is None or found.get("type") == "directory":
            return None
        return ObjectInfo(key, int(found["size"] or 0), _modified(found))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = folder_of(prefix)
        place = f"{self._path_}/{folder}" if folder else self._path_

        def find() -> dict[str, Mapping[str, Any]]:
            fs = self._conditional.fs
            fs.invalidate_cache()
            found = fs.find(place, detail=True)
            return found if isinstance(found, dict) else {}  # adlfs on an object: a list

        root = self._path_.strip("/") + "/"
        for name, found in (self._present(find, folder) or {}).items():
            key = name.strip("/").removeprefix(root)
            if name.strip("/") != place.strip("/") and found.get("type") != "directory":
                yield ObjectInfo(key, int(found["size"] or 0), _modified(found))

    # -- writing -------------------------------------------------------------------------------

    def put(self, key: str, data: Data) -> None:
        file = self._file(key)
        self._guarded(lambda: self._conditional.put(file, bytes(data)), key)

    def create(self, key: str, data: Data) -> Version | None:
        self._allow_conditions(create=self._tuning.use_conditional_create)
        return self._settle(key, bytes(data), None)

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        self._allow_conditions(create=self._tuning.use_conditional_update)
        return self._settle(key, bytes(data), expected)

    def _settle(self, key: str, data: bytes, expected: Version | None) -> Version | None:
        file = self._file(key)

        def send(write_id: str) -> Version:
            try:
                with self._gate.get():
                    return self._conditional.send(file, data, expected, write_id)
            except Exception as error:
                outcome = self._outcome(error, key)
            raise outcome

        def look() -> Seen | None:
            return self._present(lambda: self._conditional.look(file), key)

        return settle(send, look, expected, self._tuning.retries, key, self.identity)

    def _outcome(self, error: Exception, key: str) -> Exception:
        """Return the exception for a failed conditional write."""
        failure = translated(error, key, self.identity)
        if self._conditional.refused(error) or failure.kind == ErrorKind.OBJECT_NOT_FOUND:
            return RefusedError()
        details = error_details(error)
        if details.status is None or details.status >= 500:
            return UnclearError(failure, repeat=unanswered(error))
        return failure

    @property
    def conditional(self) -> bool:
        """Whether the file system supports conditional writes."""
        return self._conditional.conditional

    def remove_folder(self, prefix: str) -> None:
        """Remove an empty folder: file systems with real folders keep it when its files go."""
        self._conditional.fs.rmdir(self._file(prefix))

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects; return the number of names given, since the file system reports none."""
        files = [self._file(key) for key in keys]
        if files:
            self._guarded(lambda: self._conditional.delete(files), "")
        return len(files)


def _modified(found: Mapping[str, Any]) -> int:
    """Return the time of the last write in µs; 0 where the file system does not report it."""
    for name in _TIMES:
        when = found.get(name)
        if isinstance(when, datetime):
            return from_datetime(when)
        if isinstance(when, int | float):
            return int(when * 1_000_000)
        if isinstance(when, str):
            return from_datetime(datetime.fromisoformat(when.replace("Z", "+00:00")))
    return 0
