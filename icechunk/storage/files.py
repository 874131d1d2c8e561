"""Operations of the local file system: whole writes, reads, atomic publication, fsync.

Functions raise `OSError`; callers, which know the object, translate it with `failed`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from typing import NamedTuple

from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.base import Data
from icechunk.storage.names import is_our_temporary, temporary_beside

if sys.platform != "win32":
    import fcntl

_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
READ = os.O_RDONLY | _FLAGS
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
_MODE = 0o666  # reduced by the umask
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_STALE_SECONDS = 3600.0
"""Age from which a temporary file is taken for that of a dead process. No write takes as long;
one that did would fail to publish."""
_FULL_FSYNC = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform != "win32" else None

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or ask for a larger quota",
    errno.EACCES: "check the permissions of the folder",
    errno.EPERM: "check the permissions of the folder",
    errno.EROFS: "the file system is mounted read-only",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.ENOTDIR: "a part of the path is a file where a folder is needed",
    errno.EISDIR: "there is a folder where a file is needed",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.ESTALE: "the network file system lost the file; try again",
}


def failed(error: OSError, doing: str, path: str) -> StorageError:
    """Return the library's error for a failed call, with advice where the cause is well known."""
    advice = _ADVICE.get(error.errno or 0, "check the disk and the file system")
    return StorageError(
        f"input/output error: cannot {doing} `{path}`: {error.strerror or error}; {advice}",
        ErrorKind.IO,
    )


def as_bytes_view(data: Data) -> memoryview:
    """Return data as a one-dimensional view of unsigned bytes."""
    view = memoryview(data)
    return view if view.ndim == 1 and view.format == "B" else view.cast("B")


def write_all(fd: int, view: memoryview) -> None:
    """Write everything at the file's position."""
    done = os.write(fd, view)
    while done < len(view):
        done += os.write(fd, view[done:])


def write_new(path: str, data: Data, *, flush: bool) -> None:
    """Write a file that must not exist; remove it again if it cannot be written whole."""
    fd = os.open(path, _CREATE, _MODE)
    try:
        try:
            write_all(fd, as_bytes_view(data))
            if flush:
                flush_descriptor(fd)
        finally:
            os.close(fd)
    except BaseException:
        remove(path)
        raise


def write_temporary(path: str, data: Data, *, flush: bool) -> str:
    """Write a temporary file beside `path` and return its name."""
    temporary = temporary_beside(path)
    write_new(temporary, data, flush=flush)
    return temporary


def read_all(path: str) -> bytes:
    """Read a whole file."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


class Signature(NamedTuple):
    """Distinguishes two states of a file without reading them."""

    device: int
    inode: int
    size: int
    modified_ns: int


def signature(path: str) -> Signature:
    """Return the signature of a file."""
    found = os.stat(path)
    return Signature(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def publish(temporary: str, path: str) -> None:
    """Rename a temporary file over a file, atomically."""
    tries = (
        100 if os.name == "nt" else 1
    )  # Windows refuses while the old file is open in any process
    for left in reversed(range(tries)):
        try:
            os.replace(temporary, path)
        except PermissionError:
            if not left:
                raise
            time.sleep(0.01)
        else:
            return


def publish_if_free(temporary: str, path: str) -> bool:
    """Rename a temporary file unless the name is taken; the caller holds the lock."""
    free = not os.path.lexists(path)
    if free:
        publish(temporary, path)
    return free


def publish_new(temporary: str, path: str) -> bool | None:
    """Give a temporary file its final name unless the name is taken, atomically.

    A hard link fails when its name exists, which a rename does not (POSIX).

    Returns
    -------
    bool or None
        Whether the name was free; None if this file system cannot do it in one step.
    """
    try:
        if os.name == "nt":
            os.rename(temporary, path)  # refuses an existing target there
        else:
            os.link(temporary, path)
    except FileExistsError:
        # NFS: the answer to a successful link can be lost; the repetition then finds the link
        return os.name != "nt" and os.stat(temporary).st_nlink == 2
    except OSError as error:
        if error.errno in _NO_LINKS:
            return None
        raise
    return True


def remove(path: str) -> bool:
    """Delete a file; return whether it existed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def make_folders(path: str) -> list[str]:
    """Make a folder and its parents; return those that were missing."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return []
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if parent == path:
            raise
        made = make_folders(parent)
        return made + make_folders(path)
    return [path]


def flush_descriptor(fd: int) -> None:
    """Wait until the bytes of an open file survive a loss of power."""
    if sys.platform != "win32" and _FULL_FSYNC is not None:
        fcntl.fcntl(fd, _FULL_FSYNC)  # fsync of macOS leaves bytes in the cache of the drive
    else:
        os.fsync(fd)


def open_to_flush(path: str) -> int:
    """Open a file for `flush_descriptor`."""
    return os.open(path, os.O_RDWR | _FLAGS if os.name == "nt" else READ)


def flush_folder(path: str) -> None:
    """Wait until the names in a folder survive a loss of power."""
    if os.name == "nt":
        return  # NTFS has a journal for names
    fd = os.open(path, os.O_RDONLY | _FLAGS | getattr(os, "O_DIRECTORY", 0))
    try:
        flush_descriptor(fd)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # some network file systems do not sync folders
            raise
    finally:
        os.close(fd)


def sweep(folder: str) -> None:
    """Delete the temporary files that killed processes left in a folder."""
    oldest = time.time() - _STALE_SECONDS
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_our_temporary(entry.name) and entry.stat().st_mtime < oldest:
                remove(entry.path)
