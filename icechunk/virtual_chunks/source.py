"""What a virtual chunk points into: one object somewhere else, read in ranges and checked."""

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
    """One object that virtual chunks point into.

    Parameters
    ----------
    url : str
        Absolute location, percent-encoded as it was given.
    """

    near = False
    """Reads cost microseconds: they may be made on an event loop."""

    joins = False
    """Requests cost much more than bytes: neighbouring ranges are better read in one."""

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
            Kind ``virtual-chunk-fetch`` when the bytes cannot be had, ``virtual-chunk-modified``
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
    """A URL as messages show it: without user names, passwords and signatures of the query."""
    return _QUERY.sub("?…", _USER.sub(r"\1…@", url))


def _request(found: VirtualObject, given: tuple[Any, ...]) -> dict[str, Any]:
    """Tell what the log says of a request."""
    size = given[2]
    return {"key": shown(found.url), "bytes": size if isinstance(size, int) else len(size)}


def fetch_failed(url: str, why: str, advice: str) -> StorageError:
    """Error of a virtual chunk whose bytes cannot be had."""
    return StorageError(
        f"error fetching virtual reference: {shown(url)}: {why}. {advice}",
        ErrorKind.VIRTUAL_CHUNK_FETCH,
    )


def not_found(url: str) -> StorageError:
    """Error of an object that is gone."""
    return fetch_failed(
        url,
        "object not found",
        "It was moved or deleted after the reference was made: put it back, or set the reference "
        "to its new place with `store.set_virtual_ref`",
    )


def too_short(url: str, offset: int, size: int, available: int) -> StorageError:
    """Error of an object that ends before the range."""
    return fetch_failed(
        url,
        f"not enough data. Expected: ({size}), available ({max(available, 0)}) at offset {offset}",
        "The object is shorter than the reference says: it was truncated or replaced, or the "
        "reference is wrong; restore the object, or set its references anew",
    )


def changed(url: str, what: str) -> StorageError:
    """Error of an object that has another checksum than when the reference was made."""
    return StorageError(
        f"the checksum of the object owning the virtual chunk has changed ({shown(url)}): {what}. "
        "Restore the object, or set its references anew with their present checksum",
        ErrorKind.VIRTUAL_CHUNK_MODIFIED,
    )


def outside(url: str, why: str) -> InvalidInputError:
    """Error of a location that leaves the places it was authorised for."""
    return InvalidInputError(
        f"a virtual chunk in this repository leaves the authorized places: {shown(url)} {why}",
        ErrorKind.UNAUTHORIZED_VIRTUAL_CHUNK_CONTAINER,
    )


def refuse_climbing(url: str) -> None:
    """Refuse a location that climbs with ``..``, in any spelling, out of what was authorised.

    Raises
    ------
    InvalidInputError
        Kind ``unauthorized-virtual-chunk-container``.
    """
    path = unquote(url.partition("#")[0].partition("?")[0])
    if ".." in re.split(r"[/\\]", path):
        raise outside(url, "has `..` in its path; give the path itself")


def plain_etag(etag: str) -> str:
    """An ETag without quotes and without the mark of a weak one, as they are compared."""
    return etag.removeprefix("W/").strip('"')


def check(
    url: str,
    place: Location,
    etag: str | None,
    modified: float | None,
    *,
    exact: bool = False,
) -> None:
    """Compare what the object's place tells of it now with the checksums of a reference.

    Parameters
    ----------
    url : str
        The object.
    place : Location
        The reference.
    etag : str or None
        Present ETag; None where none is told.
    modified : float or None
        Present time of the last change, in seconds since 1970; None where none is told.
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
        f"the reference asks for {what}, which this place does not tell",
        "Set the reference without that checksum, or serve the object from a place that tells it",
    )
