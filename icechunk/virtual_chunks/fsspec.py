"""Virtual chunks in file systems of fsspec."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

from icechunk.core.errors import ErrorKind, IcechunkError, StorageError
from icechunk.core.runtime import PerProcess
from icechunk.spec.manifest.chunk_table import Location
from icechunk.virtual_chunks.source import (
    Read,
    VirtualObject,
    check,
    fetch_failed,
    not_found,
    refuse_climbing,
    shown,
    too_short,
)

_OPAQUE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl")
"""Schemes where ``..`` is a name like any other."""

_ETAGS = ("ETag", "etag", "e_tag")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "modified", "updated")


class HasFileSystem(Protocol):
    """Returns a file system, made on first use."""

    def get(self) -> Any:
        """The file system of this process."""
        ...


class FileSystems:
    """The file systems of one container: one for each host of its locations.

    Parameters
    ----------
    credential : Credentials.Fsspec or None
        Arguments of the file system.
    """

    def __init__(self, credential: Any) -> None:
        self._options: Mapping[str, Any] = (credential and credential.options) or {}
        self._known: dict[tuple[str, str], PerProcess[Any]] = {}

    def object(self, url: str) -> FileSystemObject:
        """Return the object of a URL; it is opened by the first read."""
        scheme, _, rest = url.partition("://")
        if scheme not in _OPAQUE:
            refuse_climbing(url)
        host, slash, path = rest.partition("/")
        # File systems of web servers take URLs, all others take names.
        address = url if scheme in ("http", "https") else f"{scheme}://{host}{slash}{_plain(path)}"
        known = self._known.get((scheme, host))
        if known is None:
            make = partial(_connected, scheme, address, self._options)
            known = self._known.setdefault((scheme, host), PerProcess(make))
        return FileSystemObject(url, address, known)


def _plain(path: str) -> str:
    """Return the name that the path of a URL encodes."""
    return unquote(path.partition("#")[0].partition("?")[0])


def _connected(scheme: str, url: str, options: Mapping[str, Any]) -> Any:
    """Make the file system of a scheme as fsspec does from a URL."""
    import fsspec

    try:
        kind = fsspec.get_filesystem_class(scheme)
        return kind(**{**kind._get_kwargs_from_urls(url), **options})
    except (ImportError, ValueError, TypeError) as error:
        # Errors about options may quote them.
        why = str(error) if isinstance(error, ImportError) else type(error).__name__
        failure = StorageError(
            f"storage configuration error: fsspec has no file system for {shown(url)} with these "
            f"options ({why}). Install what it asks for, and correct `fsspec_credentials(...)`",
            ErrorKind.STORAGE_CONFIG,
        )
    raise failure


class FileSystemObject(VirtualObject):
    """One file of a file system that fsspec knows."""

    joins = True

    def __init__(self, url: str, address: str, system: HasFileSystem) -> None:
        super().__init__(url)
        self._address = address
        self._system = system

    def read(self, place: Location, offset: int, size: int) -> Read:
        """Read a range; compare the file's current state with the checksum, if there is one."""
        system = self._system.get()
        try:
            path = system._strip_protocol(self._address)
            if place.etag is not None or place.modified:
                self._check(place, system.info(path))
            data = system.cat_file(path, start=offset, end=offset + size)
        except IcechunkError:
            raise
        except (FileNotFoundError, IsADirectoryError):
            failure = not_found(self.url)
        except Exception as error:
            # Texts of errors may quote URLs with signatures.
            why = getattr(error, "strerror", None) or type(error).__name__
            failure = fetch_failed(
                self.url,
                f"fsspec cannot read it ({why})",
                "Check the address and the credentials",
            )
        else:
            if len(data) != size:
                raise too_short(self.url, offset, size, len(data))
            return memoryview(data)
        raise failure

    def _check(self, place: Location, info: Mapping[str, Any]) -> None:
        etag = next((info[name] for name in _ETAGS if info.get(name)), None)
        time = next((info[name] for name in _TIMES if info.get(name) is not None), None)
        check(self.url, place, etag, _seconds(time))


def _seconds(time: Any) -> float | None:
    """Return seconds since 1970 of a time in any form that file systems use."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time) if isinstance(time, int | float) else None
