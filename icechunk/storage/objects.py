"""A storage in a bucket of an object store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Any, TypeVar

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.rendering import Entry
from icechunk.config.resolve import StorageTuning, storage_tuning
from icechunk.core.clock import from_datetime
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.runtime import PerProcess, map_parallel, offload
from icechunk.storage.base import (
    Data,
    Fetched,
    ObjectInfo,
    Storage,
    Version,
    folder_of,
    segments,
    wrong_size,
)
from icechunk.storage.failures import error_details, explained, guarded, translated, unanswered
from icechunk.storage.kinds import kind_of
from icechunk.storage.listing import listed
from icechunk.storage.probe import require_conditions
from icechunk.storage.readback import WRITE_ID, RefusedError, Seen, UnclearError, settle

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

_DELETE_BATCH = 1000
"""Keys in one deletion, the most that S3 takes."""

_PART = 16 * 1024 * 1024
"""Bytes of one part of a big upload. S3 takes 5 MiB to 5 GiB, and at most 10,000 parts."""

_CHUNKS = "chunks/"
_AGAIN = (408, 425, 429, 499)
"""Statuses below 500 that leave open whether a write was carried out."""


class ObjectStorage(Storage):
    """Objects of a bucket or container, below a prefix.

    Parameters
    ----------
    store : ObjectStoreConfig
        Kind of the store and how to reach it.
    place : str
        Bucket or container.
    prefix : str or None
        Prefix of whole segments.
    credentials : object, optional
        Of the family that the kind of store takes. None: those of the environment.
    identity : str
        Kind and location without secrets, as messages show it.
    shown : tuple of (str, Any)
        Names and values of the display.
    read_headers, write_headers : dict of str to str
        Headers of reading and of writing requests.
    tuning : StorageTuning, optional
        Retries, time limits, storage classes; the defaults when absent.
    read_only : bool
        Refuse to write.
    """

    def __init__(
        self,
        store: ObjectStoreConfig,
        place: str,
        prefix: str | None,
        credentials: Any,
        *,
        identity: str,
        shown: tuple[tuple[str, Any], ...] = (),
        read_headers: Mapping[str, str] | None = None,
        write_headers: Mapping[str, str] | None = None,
        tuning: StorageTuning | None = None,
        read_only: bool = False,
    ) -> None:
        self.read_only = read_only
        self._kind = kind_of(store)
        self._store = store
        self._place = place
        self._prefix = "/".join(part for part in (prefix or "").split("/") if part)
        self._credentials = credentials
        self._identity = identity
        self._shown = shown
        self._read_headers = dict(read_headers or {})
        self._write_headers = dict(write_headers or {})
        self._tuning = storage_tuning(None) if tuning is None else tuning
        # Made on first use, again after a fork: the threads of a client stay in the parent.
        self._readers = PerProcess(partial(self._connect, False))
        self._writers = PerProcess(partial(self._connect, True))
        # Held during one request only, never while another is sent: no thread waits for itself.
        self._gate = PerProcess(partial(Semaphore, self._tuning.max_concurrent_requests))

    def _arguments(self) -> dict[str, Any]:
        return {
            "identity": self._identity,
            "shown": self._shown,
            "read_headers": self._read_headers,
            "write_headers": self._write_headers,
            "tuning": self._tuning,
            "read_only": self.read_only,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        positional = (self._store, self._place, self._prefix, self._credentials)
        return _restore, (type(self), positional, self._arguments())

    def tuned(self, tuning: StorageTuning) -> ObjectStorage:
        """Return a storage of the same objects with other settings."""
        if tuning == self._tuning:
            return self
        positional = (self._store, self._place, self._prefix, self._credentials)
        return _restore(type(self), positional, {**self._arguments(), "tuning": tuning})

    def _connect(self, writing: bool) -> ObjectStore:
        headers = self._write_headers if writing else self._read_headers
        if writing and headers == self._read_headers and not self._uploads_differ():
            return self._readers.get()
        return self._kind.connect(
            self._store,
            self._place,
            self._credentials,
            prefix=self._prefix or None,
            tuning=self._tuning,
            headers=headers,
            uploads=writing,
        )

    def _uploads_differ(self) -> bool:
        """Whether writing needs a client of its own: no data arrives during an upload."""
        return self._tuning.read_timeout_ms is None

    @property
    def identity(self) -> str:
        """Kind and location."""
        return self._identity

    def _entries(self) -> Iterable[Entry]:
        return [Entry(name, value) for name, value in self._shown]

    def require_creatable(self) -> None:
        """Refuse the root of a bucket, and stores without conditional writes."""
        super().require_creatable()
        if not self._prefix:
            raise InvalidInputError(
                f"cannot create a repository in an empty prefix: {self._identity}; give "
                "prefix='some/name', so that the bucket can hold other things too",
                ErrorKind.EMPTY_PREFIX_CREATION,
            )
        tuning = self._tuning
        require_conditions(
            self, create=tuning.use_conditional_create, update=tuning.use_conditional_update
        )

    # -- versions ------------------------------------------------------------------------------

    def _mode(self, expected: Version | None) -> Any:
        if expected is None:
            return "create"
        return {"e_tag": expected, "version": expected}

    def _guarded(
        self,
        call: Callable[[], T],
        key: str,
        translate: Callable[[Exception, str, str], Exception] = translated,
    ) -> T:
        """Send a request when fewer than `max_concurrent_requests` are in progress."""

        def gated() -> T:
            with self._gate.get():
                return call()

        return guarded(gated, key, self._identity, self._tuning.retries, translate)

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: str) -> Fetched:
        import obstore

        segments(key)

        def fetch() -> Fetched:
            answer = obstore.get(self._readers.get(), key)
            return Fetched(answer.bytes().to_bytes(), self._kind.version(answer.meta))

        return self._guarded(fetch, key)

    def _parts(self, offset: int, length: int) -> list[tuple[int, int]]:
        """Divide a big range into starts and lengths of requests."""
        size = self._tuning.ideal_concurrent_request_size
        if length <= size:
            return [(offset, length)]
        ends = offset + length
        return [(start, min(size, ends - start)) for start in range(offset, ends, size)]

    def _checked_span(self, key: str, offset: int, length: int) -> bool:
        """Check a range; return False for an empty one, which HTTP cannot express."""
        segments(key)
        if offset < 0 or length < 0:
            raise wrong_size(key, offset, length, 0)
        return length > 0

    def _empty_range(self, key: str, offset: int) -> bytes:
        info = self.head(key)
        if info is None or offset > info.size:
            self.get(key)
            raise wrong_size(key, offset, 0, 0)
        return b""

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        if not self._checked_span(key, offset, length):
            return self._empty_range(key, offset)
        parts = self._parts(offset, length)
        if len(parts) == 1:
            return self._read_part(key, offset, length)
        whole = memoryview(bytearray(length))

        def fill(part: tuple[int, int]) -> None:
            start = part[0] - offset
            whole[start : start + part[1]] = self._read_part(key, *part)

        map_parallel(fill, parts, limit=self._tuning.max_concurrent_requests_for_object)
        return whole.toreadonly()

    def _read_part(self, key: str, offset: int, length: int) -> memoryview:
        import obstore

        def fetch() -> memoryview:
            client = self._readers.get()
            return memoryview(obstore.get_range(client, key, start=offset, length=length))

        def translate(error: Exception, key: str, where: str) -> Exception:
            return self._range_failure(error, key, offset, length)

        data = self._guarded(fetch, key, translate)
        if len(data) != length:
            raise wrong_size(key, offset, length, len(data))
        return data

    def _range_failure(self, error: Exception, key: str, offset: int, length: int) -> Exception:
        details = error_details(error)
        if details.status == 416 or "Wanted range starting at" in details.line:
            return wrong_size(key, offset, length, 0)
        return translated(error, key, self._identity)

    async def read_range_async(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Read a range on the event loop, without a thread."""
        if not self._checked_span(key, offset, length):
            return await super().read_range_async(key, offset, length)
        parts = self._parts(offset, length)
        if len(parts) == 1:
            return await self._read_part_async(key, offset, length)
        whole = memoryview(bytearray(length))
        gate = asyncio.Semaphore(self._tuning.max_concurrent_requests_for_object)

        async def fill(start: int, size: int) -> None:
            async with gate:
                data = await self._read_part_async(key, start, size)
            whole[start - offset : start - offset + size] = data

        await asyncio.gather(*(fill(*part) for part in parts))
        return whole.toreadonly()

    async def _read_part_async(self, key: str, offset: int, length: int) -> memoryview:
        import obstore

        gate = self._gate.get()
        if not gate.acquire(blocking=False):  # wait in a thread, not on the event loop
            return await offload(self._read_part, key, offset, length)
        try:
            data = memoryview(
                await obstore.get_range_async(self._readers.get(), key, start=offset, length=length)
            )
        except Exception as error:
            failure = None
            if not unanswered(error):
                failure = self._range_failure(error, key, offset, length)
        else:
            if len(data) == length:
                return data
            failure = wrong_size(key, offset, length, len(data))
        finally:
            gate.release()
        if failure is None:  # `_read_part` repeats it
            return await offload(self._read_part, key, offset, length)
        raise failure

    def head(self, key: str) -> ObjectInfo | None:
        import obstore

        segments(key)
        why = explained(lambda: self.read_range(key, 0, 1))
        try:
            found = self._guarded(lambda: obstore.head(self._readers.get(), key), key, why)
        except Exception as error:
            if getattr(error, "kind", None) != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return None
        return ObjectInfo(key, found["size"], from_datetime(found["last_modified"]))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = folder_of(prefix)
        return listed(self._readers.get, folder, self._identity, self._tuning.retries)

    # -- writing -------------------------------------------------------------------------------

    def _attributes(self, key: str, write_id: str | None = None) -> dict[str, str]:
        tuning = self._tuning
        of_chunks = key.startswith(_CHUNKS)
        chosen = tuning.chunks_storage_class if of_chunks else tuning.metadata_storage_class
        attributes = {} if chosen is None else {"Storage-Class": chosen}
        if write_id is not None and tuning.use_metadata:
            attributes[WRITE_ID] = write_id
        return attributes

    def _for_writing(self, key: str) -> None:
        """Check the key of a write."""
        segments(key)
        if self.read_only:
            self.require_writable(f"Cannot write `{key}`")

    def _upload(self, key: str, data: Data) -> dict[str, Any]:
        """Return the options of an unconditional write: in parts when it is big."""
        big = len(data) >= max(self._tuning.minimum_size_for_multipart_upload, _PART)
        return {
            "attributes": self._attributes(key),
            "use_multipart": big,
            "chunk_size": _PART,
            "max_concurrency": self._tuning.max_concurrent_requests_for_object,
        }

    def put(self, key: str, data: Data) -> None:
        import obstore

        self._for_writing(key)
        options = self._upload(key, data)
        self._guarded(lambda: obstore.put(self._writers.get(), key, data, **options), key)

    async def put_async(self, key: str, data: Data) -> None:
        """Write on the event loop, without a thread."""
        import obstore

        self._for_writing(key)
        options = self._upload(key, data)
        gate = self._gate.get()
        if not gate.acquire(blocking=False):  # wait in a thread, not on the event loop
            await offload(self.put, key, data)
            return
        try:
            await obstore.put_async(self._writers.get(), key, data, **options)
        except Exception as error:
            failure = translated(error, key, self._identity)
        else:
            return
        finally:
            gate.release()
        raise failure

    def create(self, key: str, data: Data) -> Version | None:
        self._for_writing(key)
        if not self._tuning.use_conditional_create:
            return None if self.head(key) is not None else self._overwrite(key, data)
        return self._settle(key, data, None)

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        self._for_writing(key)
        if not self._tuning.use_conditional_update:
            seen = self._look(key)
            if seen is None or seen.version != expected:
                return None
            return self._overwrite(key, data)
        return self._settle(key, data, expected)

    def _overwrite(self, key: str, data: Data) -> Version:
        """Write unconditionally: the user switched conditions off."""
        return guarded(lambda: self._send(key, data, "overwrite", None), key, self._identity)

    def _settle(self, key: str, data: Data, expected: Version | None) -> Version | None:
        mode = self._mode(expected)

        def send(write_id: str) -> Version:
            try:
                return self._send(key, data, mode, write_id)
            except Exception as error:
                outcome = self._outcome(error, key)
            raise outcome

        return settle(
            send,
            lambda: self._look(key),
            expected,
            self._tuning.retries,
            key,
            self._identity,
        )

    def _send(self, key: str, data: Data, mode: Any, write_id: str | None) -> Version:
        import obstore

        attributes = self._attributes(key, write_id)
        with self._gate.get():
            answer = obstore.put(
                self._writers.get(), key, data, mode=mode, attributes=attributes,
                use_multipart=False,
            )  # fmt: skip
        return self._kind.version(answer)

    def _outcome(self, error: Exception, key: str) -> Exception:
        """Return the exception for a failed conditional write."""
        details = error_details(error)
        failure = translated(error, key, self._identity)
        refused = details.status in (304, 409, 412) or type(error).__name__ in (
            "AlreadyExistsError",
            "PreconditionError",
        )
        if refused or failure.kind == ErrorKind.OBJECT_NOT_FOUND:
            return RefusedError()
        if details.status is None or details.status >= 500 or details.status in _AGAIN:
            return UnclearError(failure, repeat=unanswered(error))
        return failure

    def _look(self, key: str) -> Seen | None:
        """Return version and write id of an object."""
        import obstore

        def look() -> Seen:
            answer = obstore.get(self._readers.get(), key, options={"head": True})
            return Seen(self._kind.version(answer.meta), _write_id(answer.attributes))

        try:
            return self._guarded(look, key)
        except Exception as error:
            if getattr(error, "kind", None) != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return None

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects; return the number of names given, since stores report none."""
        names = [key for key in keys if segments(key)]
        self.require_writable("Cannot delete objects")
        batches = [names[at : at + _DELETE_BATCH] for at in range(0, len(names), _DELETE_BATCH)]
        for batch in batches:
            self._delete(batch)
        return len(names)

    def _delete(self, batch: Sequence[str]) -> None:
        import obstore

        def remove(keys: Sequence[str]) -> None:
            self._guarded(lambda: obstore.delete(self._writers.get(), keys), "")

        try:
            remove(batch)
        except Exception as error:
            if getattr(error, "kind", None) != ErrorKind.OBJECT_NOT_FOUND:
                raise
        else:
            return
        # Some stores stop a batch at the first missing name; delete one by one then.
        map_parallel(lambda key: self._delete_one(remove, key), batch)

    @staticmethod
    def _delete_one(remove: Callable[[Sequence[str]], None], key: str) -> None:
        try:
            remove([key])
        except Exception as error:
            if getattr(error, "kind", None) != ErrorKind.OBJECT_NOT_FOUND:
                raise


def _write_id(attributes: Mapping[str, str]) -> str | None:
    """Return the write id; some stores change the case of names in metadata."""
    return next((value for name, value in attributes.items() if name.lower() == WRITE_ID), None)


def _restore(
    kind: type[ObjectStorage], positional: tuple[Any, ...], keywords: dict[str, Any]
) -> ObjectStorage:
    """Make an unpickled storage."""
    return kind(*positional, **keywords)
