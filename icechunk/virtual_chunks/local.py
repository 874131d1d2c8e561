"""Virtual chunks in local files, which are never read outside of the authorised folders."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from icechunk.core.errors import StorageError
from icechunk.core.runtime import PerProcess
from icechunk.spec.manifest.chunk_table import Location
from icechunk.storage.files import READ
from icechunk.storage.packs import OpenFile, OpenFiles
from icechunk.virtual_chunks.source import (
    Read,
    VirtualObject,
    check,
    fetch_failed,
    not_found,
    outside,
    too_short,
)

_ON_WINDOWS = os.name == "nt"
_LARGEST = 2**30  # bytes that one read returns on every platform; Linux ends at 2 GiB - 4 KiB
_URL = re.compile(r"file://([^/?#]*)([^?#]*)", re.DOTALL)


def path_of(url: str) -> str:
    """Return the path of a ``file:`` URL; percent-encoded bytes are decoded.

    Raises
    ------
    InvalidInputError
        Kind ``unauthorized-virtual-chunk-container`` for another host, ``..`` and NUL.
    """
    parts = _URL.match(url)
    host, raw = (parts[1], parts[2]) if parts else ("", "")
    path = os.fsdecode(unquote_to_bytes(raw.encode()))
    if host and not _ON_WINDOWS:
        raise outside(url, f"is on another machine, `{host}`; mount it and use file:///path")
    separators = r"[/\\]" if _ON_WINDOWS else "/"
    if "\0" in path or ".." in re.split(separators, path):
        raise outside(url, "has `..` or a NUL character in its path; give the path itself")
    if _ON_WINDOWS:
        path = f"\\\\{host}{path}" if host else re.sub(r"^/(?=[A-Za-z]:)", "", path)
    return path


def etag_of(found: os.stat_result) -> str:
    """Return the ETag of a local file: inode, time of the last change in microseconds, size."""
    return f"{found.st_ino:x}-{found.st_mtime_ns // 1000:x}-{found.st_size:x}"


def etag_within_second(url: str, time_us: int) -> str | None:
    """Return the ETag of a local file that was written in the same second as a time, not after it.

    References have whole seconds: a later change within that second would not be detected by the
    time.

    Parameters
    ----------
    url : str
        Location of the file.
    time_us : int
        Microseconds since 1970.

    Returns
    -------
    str or None
        None where whole seconds suffice, where the file was changed after the time, and where it is
        not on this machine.
    """
    try:
        found = os.stat(path_of(url))
    except (OSError, ValueError):
        return None
    modified = found.st_mtime_ns // 1000
    # One more: times that were converted to a float are rounded.
    within = time_us - time_us % 1_000_000 < modified <= time_us + 1
    return etag_of(found) if within else None


class LocalFiles:
    """The local files of one repository handle.

    Parameters
    ----------
    prefixes : iterable of str
        URL prefixes of the authorised containers of files.
    """

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._folders = [path_of(prefix) for prefix in prefixes]
        self._open = PerProcess(OpenFiles)

    def object(self, url: str) -> LocalFile:
        """Return the file of a URL; it is opened by the first read."""
        return LocalFile(url, path_of(url), self)

    def opened(self, real: str) -> OpenFile:
        """Return an open file; it stays open, except on Windows, where it could not be deleted."""
        return OpenFile(real, READ) if _ON_WINDOWS else self._open.get().get(real)

    def forget(self, real: str) -> None:
        """Close a file that its name does not lead to any more."""
        self._open.get().forget(real)

    def hold(self, real: str) -> bool:
        """Whether a path without symbolic links lies in one of the authorised folders."""
        for folder in self._folders:
            root = os.path.realpath(folder)
            if real == root or real.startswith(os.path.join(root, "")):
                return True
        return False


class LocalFile(VirtualObject):
    """One local file.

    The file is kept open. Every read checks what its name leads to now, so a file that was
    replaced, or a symbolic link that was changed, is detected by the next read.
    """

    near = True

    def __init__(self, url: str, path: str, files: LocalFiles) -> None:
        super().__init__(url)
        self._path = path
        self._real = ""
        self._files = files

    def _opened(self, place: Location, offset: int, size: int) -> OpenFile:
        """Return the open file, after checking its checksum and its length."""
        try:
            file, found = self._current() if self._real else self._first()
        except (FileNotFoundError, NotADirectoryError):
            raise not_found(self.url) from None
        except OSError as error:
            raise self._failed(error) from error
        if offset + size > found.st_size:
            raise too_short(self.url, offset, size, found.st_size - offset)
        if place.etag is not None or place.modified:
            check(self.url, place, etag_of(found), found.st_mtime_ns / 1e9, exact=True)
        return file

    def _current(self) -> tuple[OpenFile, os.stat_result]:
        """Return the file that is open, if its name still leads to it."""
        named = os.stat(self._path)
        file = self._files.opened(self._real)
        found = os.fstat(file.fd)
        if (named.st_ino, named.st_dev) != (found.st_ino, found.st_dev):
            return self._first()
        return file, found

    def _first(self) -> tuple[OpenFile, os.stat_result]:
        """Open the file of the name, if it is a regular one in an authorised folder."""
        for _ in range(10):  # repeated when the file is replaced in between
            real = os.path.realpath(self._path)
            if not self._files.hold(real):
                raise outside(
                    self.url,
                    f"leads to {real}, which is in no authorized container of files. To read it, "
                    "declare and authorize a container for that folder too",
                )
            named = os.stat(real)
            if not stat.S_ISREG(named.st_mode):
                raise fetch_failed(
                    self.url, "it is not a regular file", "Give the location of a file"
                )
            file = self._files.opened(real)
            found = os.fstat(file.fd)
            if (named.st_ino, named.st_dev) == (found.st_ino, found.st_dev):
                self._real = real
                return file, found
            self._files.forget(real)
        raise fetch_failed(self.url, "it keeps being replaced", "Try again")

    def _failed(self, error: OSError) -> StorageError:
        return fetch_failed(
            self.url,
            f"cannot read the file: {error.strerror or error}",
            "Check that this user may read the file and the folders above it",
        )

    def read(self, place: Location, offset: int, size: int) -> Read:
        """Read a range of the file."""
        file = self._opened(place, offset, size)
        try:
            if _ON_WINDOWS:
                with open(file.fd, "rb", buffering=0, closefd=False) as raw:
                    raw.seek(offset)
                    data = raw.read(size)
            else:
                data = os.pread(file.fd, size, offset)
            if len(data) != size:
                data = self._read_on(file, offset, size, data)
        except OSError as error:
            raise self._failed(error) from error
        return data

    def _read_on(self, file: OpenFile, offset: int, size: int, first: bytes) -> bytes:
        """Read what one call of the system did not deliver."""
        if _ON_WINDOWS:
            raise too_short(self.url, offset, size, len(first))
        parts, got = [first], len(first)
        while got < size:
            part = os.pread(file.fd, min(size - got, _LARGEST), offset + got)
            if not part:  # truncated since the check
                raise too_short(self.url, offset, size, got)
            parts.append(part)
            got += len(part)
        return b"".join(parts)

    def read_into(self, place: Location, offset: int, target: memoryview) -> None:
        """Fill memory from the file, without a copy where the platform has `os.preadv`."""
        if not hasattr(os, "preadv"):
            super().read_into(place, offset, target)
            return
        file = self._opened(place, offset, len(target))
        done = 0
        try:
            while done < len(target):
                more = os.preadv(file.fd, [target[done : done + _LARGEST]], offset + done)
                if not more:
                    raise too_short(self.url, offset, len(target), done)
                done += more
        except OSError as error:
            raise self._failed(error) from error
