"""The objects outside of the repository that virtual chunks refer to: ranges and checksums."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import unquote

from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.core.runtime import offload
from icechunk.spec.manifest.chunk_table import Location
from icechunk.storage.requests import watch

Read = bytes | memoryview


class VirtualObject(ABC):
    """One object that virtual chunks refer to.

    Parameters
    ----------
    url : str
        Absolute location, percent-encoded as in the reference.
    """

    near = False
    """Reads take microseconds, so they may be made on an event loop."""

    joins = False
    """A request costs much more than bytes: neighbouring ranges are read in one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        watch(cls, ("read", "read_async", "read_into"), _request)

    @abstractmethod
    def read(self, place: Location, offset: int, size: int) -> Read:
        """Read exactly `size` bytes of the object.

        Parameters
        ----------
        place : Location
            The reference, with the checksums that must hold.
        offset, size : int
            Range within the object, in bytes.

        Raises
        ------
        StorageError
            Kind ``virtual-chunk-fetch`` when the bytes cannot be read, ``virtual-chunk-modified``
            when the object has another checksum.
        """

    async def read_async(self, place: Location, offset: int, size: int) -> Read:
        """Do `read` without blocking the event loop."""
        return await offload(self.read, place, offset, size)

    def read_into(self, place: Location, offset: int, target: memoryview) -> None:
        """Fill writable memory (unsigned bytes) from the object; raises like `read`."""
        target[:] = self.read(place, offset, len(target))


_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#@]*@")
_QUERY = re.compile(r"\?[^#]*")


def shown(url: str) -> str:
    """Return a URL for messages: without user name, password and query, which may have secrets."""
    return _QUERY.sub("?…", _USER.sub(r"\1…@", url))


def _request(found: VirtualObject, given: tuple[Any, ...]) -> dict[str, Any]:
    """Return what the log says of a request."""
    size = given[2]
    return {"key": shown(found.url), "bytes": size if isinstance(size, int) else len(size)}


def fetch_failed(url: str, why: str, advice: str) -> StorageError:
    """Return the error of a virtual chunk whose bytes cannot be read."""
    return StorageError(
        f"error fetching virtual reference: {shown(url)}: {why}. {advice}",
        ErrorKind.VIRTUAL_CHUNK_FETCH,
    )


def not_found(url: str) -> StorageError:
    """Return the error of an object that does not exist."""
    return fetch_failed(
        url,
        "object not found",
        "It was moved or deleted after the reference was made: put it back, or set the reference "
        "to its new place with `store.set_virtual_ref`",
    )


def too_short(url: str, offset: int, size: int, available: int) -> StorageError:
    """Return the error of an object that ends before the range."""
    return fetch_failed(
        url,
        f"not enough data. Expected: ({size}), available ({max(available, 0)}) at offset {offset}",
        "The object is shorter than the reference says: it was truncated or replaced, or the "
        "reference is wrong; restore the object, or set its references again",
    )


def changed(url: str, what: str) -> StorageError:
    """Return the error of an object whose checksum is not that of the reference."""
    return StorageError(
        f"the checksum of the object owning the virtual chunk has changed ({shown(url)}): {what}. "
        "Restore the object, or set its references again with its current checksum",
        ErrorKind.VIRTUAL_CHUNK_MODIFIED,
    )


def outside(url: str, why: str) -> InvalidInputError:
    """Return the error of a location outside of the authorised prefixes."""
    return InvalidInputError(
        "a virtual chunk in this repository is outside of the authorized prefixes: "
        f"{shown(url)} {why}",
        ErrorKind.UNAUTHORIZED_VIRTUAL_CHUNK_CONTAINER,
    )


def refuse_climbing(url: str) -> None:
    """Refuse a location with ``..`` in its path, in any spelling.

    Raises
    ------
    InvalidInputError
        Kind ``unauthorized-virtual-chunk-container``.
    """
    path = unquote(url.partition("#")[0].partition("?")[0])
    if ".." in re.split(r"[/\\]", path):
        raise outside(url, "has `..` in its path; give the path itself")


def plain_etag(etag: str) -> str:
    """Return an ETag for comparison: without quotes and without the ``W/`` of weak ones."""
    return etag.removeprefix("W/").strip('"')


def check(
    url: str,
    place: Location,
    etag: str | None,
    modified: float | None,
    *,
    exact: bool = False,
) -> None:
    """Compare the current state of an object with the checksums of a reference.

    Parameters
    ----------
    url : str
        The object.
    place : Location
        The reference.
    etag : str or None
        Current ETag; None where the store reports none.
    modified : float or None
        Current time of the last change, in seconds since 1970; None where none is reported.
    exact : bool
        Whether fractions of a second count: references have whole seconds, rounded down.

    Raises
    ------
    StorageError
        Kind ``virtual-chunk-modified``; ``virtual-chunk-fetch`` when nothing can be compared.
    """
    if place.etag is not None:
        if etag is None:
            raise _unchecked(url, "an ETag")
        if plain_etag(etag) != plain_etag(place.etag):
            raise changed(url, f"its ETag is {etag}, the reference says {place.etag}")
    if place.modified:
        if modified is None:
            raise _unchecked(url, "a time of the last change")
        late = int(modified) - place.modified
        if late > 0:
            raise changed(
                url, f"it was written {late} s after the instant that the reference gives"
            )
        if exact and modified > place.modified:
            raise changed(
                url,
                "it was written within the second that the reference gives, which has whole "
                "seconds only, so that it may be another file. Where it is not, give its ETag or a "
                "time in a later second",
            )


def _unchecked(url: str, what: str) -> StorageError:
    return fetch_failed(
        url,
        f"the reference has {what} as checksum, which this store does not report",
        "Set the reference without that checksum, or serve the object from a store that reports it",
    )
