"""Advisory locks between threads and processes, by a lock file (``flock``).

The operating system releases the lock of a process that dies, so a crash leaves nothing to clean
up. All storages of a folder in one process share one lock object, which is re-entrant per thread. A
forked child holds none of its parent's locks and cannot release them.

Order of locks: the threads' lock first, then the file's. Both are held while `repo` is compared and
replaced, and while garbage collection deletes a batch.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from typing import Any

from icechunk.core.runtime import PerProcess, process_generation
from icechunk.storage.files import failed

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_log = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_FLAGS = os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_held: set[int] = set()  # descriptors of the lock files that this process has open


def _after_fork_in_child() -> None:
    """Close inherited lock files: an open copy would keep the lock of a parent that dies."""
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _open(path: str) -> int:
    """Open the lock file, read-only where another user owns it."""
    try:
        return os.open(path, os.O_RDWR | _FLAGS, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _FLAGS & ~os.O_CREAT)


def _take(fd: int) -> None:
    """Wait for the lock."""
    if sys.platform == "win32":
        while True:
            try:
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EDEADLK):
                    raise
                time.sleep(0.005)  # Windows has no call that waits without a limit
            else:
                return
    else:
        fcntl.flock(fd, fcntl.LOCK_EX)


def _release(fd: int) -> None:
    """Unlock, since closing is not enough while a forked child has a copy of the descriptor."""
    if sys.platform == "win32":
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)


class FolderLock:
    """One lock, for all threads of this process and against all other processes.

    Parameters
    ----------
    path
        The lock file, made when the lock is first taken; its folder must exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._generation = process_generation()
        self._fd = -1

    def hold(self) -> Hold:
        """Return a context that holds the lock; re-entrant per thread."""
        return Hold(self)

    @property
    def path(self) -> str:
        """The lock file."""
        return self._path

    @property
    def is_mine(self) -> bool:
        """Whether this thread has the lock."""
        threads: Any = self._threads
        return bool(threads._is_owned())

    def take(self) -> None:
        """Wait for the lock, which this thread does not have yet."""
        self._threads.acquire()
        self._acquire()

    def give_back(self) -> None:
        """Release the lock if this thread has it; may be repeated."""
        if not self.is_mine:
            return
        if self._generation == process_generation() and self._fd >= 0:
            try:
                with contextlib.suppress(OSError):
                    _release(self._fd)
            finally:
                self._close()
        self._threads.release()

    def _acquire(self) -> None:
        fd = self._fd = _open(self._path)
        _held.add(fd)
        try:
            _take(fd)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            _log.warning(
                "the file system of %s has no locks: commits are safe within this process only, "
                "do not write from several processes at once",
                self._path,
            )

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        _held.discard(fd)
        os.close(fd)


class Hold:
    """Context in which a thread holds a lock.

    An interrupt can arrive while the lock is taken and while it is released. Releasing can
    therefore be repeated, and is also done when the context is deleted.

    Parameters
    ----------
    lock
        The lock.

    Raises
    ------
    OSError
        On entering, if the lock file cannot be made.
    """

    __slots__ = ("_lock", "_outermost")

    def __init__(self, lock: FolderLock) -> None:
        self._lock = lock
        self._outermost = False

    def __enter__(self) -> None:
        if self._lock.is_mine:
            return
        try:
            self._outermost = True
            self._lock.take()
        except BaseException:
            self._end()
            raise

    def __exit__(self, *exc: object) -> None:
        try:
            self._end()
        finally:
            self._end()

    def _end(self) -> None:
        if self._outermost:
            self._lock.give_back()
            self._outermost = False

    def __del__(self) -> None:
        self._end()


class StorageHold(Hold):
    """Context that holds the lock of a storage and raises errors of this library."""

    __slots__ = ()

    def __enter__(self) -> None:
        try:
            super().__enter__()
        except OSError as error:
            raise failed(error, "lock", self._lock.path) from error


_locks: PerProcess[dict[str, FolderLock]] = PerProcess(dict)


def lock_of(path: str) -> FolderLock:
    """Return the one lock object that this process has for a lock file."""
    real = os.path.realpath(path)
    return _locks.get().setdefault(real, FolderLock(real))
