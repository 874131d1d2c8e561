"""Virtual chunks in object stores: buckets, keys and checked ranges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.resolve import StorageTuning
from icechunk.core.errors import ErrorKind, IcechunkError, InvalidInputError
from icechunk.core.runtime import PerProcess
from icechunk.spec.manifest.chunk_table import Location
from icechunk.storage.failures import error_details, translated
from icechunk.storage.forks import clients_work
from icechunk.storage.kinds import kind_of
from icechunk.storage.kinds.s3 import S3Protocol
from icechunk.virtual_chunks.fsspec import FileSystemObject
from icechunk.virtual_chunks.s3fs import S3FileSystem
from icechunk.virtual_chunks.source import (
    Read,
    VirtualObject,
    check,
    fetch_failed,
    not_found,
    too_short,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_URL = re.compile(r"([^:]+)://([^/?#]*)/?([^?#]*)", re.DOTALL)
_BAD_RANGE = 416
_FARTHEST = 2**63 - 1


def bucket_and_key(url: str) -> tuple[str, str]:
    """Return the host part (the bucket) and the decoded key of a location."""
    parts = _URL.match(url)
    assert parts is not None  # locations were checked to be URLs when they were written
    return parts[2], unquote(parts[3])


def _is_odd(key: str) -> bool:
    """Whether obstore cannot address a key: it refuses such segments."""
    return any(part in ("", ".", "..") for part in key.split("/"))


class Buckets:
    """The buckets of one container: several where its prefix is a scheme alone."""

    def __init__(self, store: ObjectStoreConfig, credential: Any, tuning: StorageTuning) -> None:
        self._access = store, credential, tuning
        # s3fs can address such keys, and works in forked children, where obstore does neither.
        self._has_substitute = isinstance(kind_of(store), S3Protocol)
        self._known: dict[str, Bucket] = {}
        self._system: S3FileSystem | None = None

    def object(self, url: str) -> VirtualObject:
        """Return the object of a URL; it is opened by the first read."""
        name, key = bucket_and_key(url)
        if self._has_substitute and (_is_odd(key) or not clients_work()):
            return self._by_fsspec(url, name, key)
        bucket = self._known.get(name) or self._known.setdefault(name, Bucket(name, *self._access))
        return StoredObject(url, key, bucket)

    def _by_fsspec(self, url: str, name: str, key: str) -> VirtualObject:
        store, credential, _ = self._access
        if self._system is None:
            self._system = S3FileSystem(store[0], None if credential is None else credential[0])
        return FileSystemObject(url, f"s3://{name}/{key}", self._system)


class Bucket:
    """One bucket and its client, which is made by the first read.

    Parameters
    ----------
    name : str
        The host part of the location.
    store : ObjectStoreConfig
        Kind and options of the service.
    credential : Credentials or None
        The authorisation of the container.
    tuning : StorageTuning
        Retries and time limits.
    """

    def __init__(
        self, name: str, store: ObjectStoreConfig, credential: Any, tuning: StorageTuning
    ) -> None:
        self.name = name
        kind = kind_of(store)
        bucket, store, credential = kind.virtual(name, store, credential)
        # Made again in a forked child: the client's threads stay in the parent.
        self.client: PerProcess[ObjectStore] = PerProcess(
            lambda: kind.connect(store, bucket, credential, tuning=tuning)
        )


class StoredObject(VirtualObject):
    """One object in a bucket."""

    joins = True

    def __init__(self, url: str, key: str, bucket: Bucket) -> None:
        super().__init__(url)
        if _is_odd(key):
            raise InvalidInputError(
                f'object store backend cannot address key "{key}": it contains empty (//), '
                "'.' or '..' path segments. Copy the object to another key, or read it through "
                "`icechunk.fsspec_store()`",
                ErrorKind.INVALID_VIRTUAL_REF,
            )
        self._key = key
        self._bucket = bucket

    def _options(self, offset: int, size: int) -> Any:
        """Return the options of a request; refuse a range that the client cannot express."""
        if offset + size > _FARTHEST:
            raise too_short(self.url, offset, size, 0)
        return {"range": (offset, offset + size)}

    def read(self, place: Location, offset: int, size: int) -> Read:
        """Read a range."""
        import obstore

        options = self._options(offset, size)
        client = self._bucket.client.get()
        try:
            if place.etag is None and not place.modified:
                data = obstore.get_range(client, self._key, start=offset, length=size)
            else:
                found = obstore.get(client, self._key, options=options)
                self._check(place, found.meta)
                data = found.bytes()
        except Exception as error:
            failure = self._failure(error, place, offset, size)
        else:
            return self._whole(data, offset, size)
        raise failure

    async def read_async(self, place: Location, offset: int, size: int) -> Read:
        """Read a range without blocking the event loop, and without a thread."""
        import obstore

        options = self._options(offset, size)
        client = self._bucket.client.get()
        try:
            if place.etag is None and not place.modified:
                data = await obstore.get_range_async(client, self._key, start=offset, length=size)
            else:
                found = await obstore.get_async(client, self._key, options=options)
                self._check(place, found.meta)
                data = await found.bytes_async()
        except Exception as error:
            failure = self._failure(error, place, offset, size)
        else:
            return self._whole(data, offset, size)
        raise failure

    def _check(self, place: Location, meta: Any) -> None:
        # Compared here rather than by If-Match: servers differ in the quotes that they expect.
        check(self.url, place, meta["e_tag"], meta["last_modified"].timestamp())

    def _whole(self, data: Any, offset: int, size: int) -> Read:
        view = memoryview(data)
        if len(view) != size:
            raise too_short(self.url, offset, size, len(view))
        return view

    def _failure(self, error: Exception, place: Location, offset: int, size: int) -> IcechunkError:
        """Return the error for a failed request; the client's text may quote secrets."""
        if isinstance(error, IcechunkError):
            return error
        details = error_details(error)
        if details.status == _BAD_RANGE:
            return self._changed(place) or too_short(self.url, offset, size, 0)
        said = translated(error, self._key, f"`{self._bucket.name}`")
        if said.kind == ErrorKind.OBJECT_NOT_FOUND:
            return not_found(self.url)
        why, _, advice = said.message.partition(". ")
        return fetch_failed(self.url, why, advice)

    def _changed(self, place: Location) -> IcechunkError | None:
        """Return the error of an object that is too short because it was replaced, else None."""
        import obstore

        if place.etag is not None or place.modified:
            try:
                self._check(place, obstore.head(self._bucket.client.get(), self._key))
            except IcechunkError as error:
                return error
            except Exception:
                return None
        return None
