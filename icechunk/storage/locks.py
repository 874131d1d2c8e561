"""Advisory locks between threads and processes, by a lock file.

The operating system releases the lock of a process that dies. Threads of one process that ask
through different storages of the same folder share one lock object, which makes it re-entrant per
thread. A forked child holds none of its parent's locks and cannot release them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

from icechunk.ground.runtime import PerProcess, process_generation

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_log = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_FLAGS = os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_held: set[int] = set()  # descriptors of lock files that this process has open


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
                time.sleep(0.005)
            else:
                return
    else:
        fcntl.flock(fd, fcntl.LOCK_EX)


def _release(fd: int) -> None:
    """Let the next one in, even if somebody holds a copy of the descriptor."""
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
        The lock file. Made when first needed; its folder must exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._generation = process_generation()
        self._depth = 0
        self._fd = -1

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock; re-entrant per thread.

        Raises
        ------
        OSError
            If the lock file cannot be made.
        """
        with self._threads:
            if self._depth == 0:
                self._acquire()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._generation == process_generation():
                    self._let_go()

    def _acquire(self) -> None:
        fd = _open(self._path)
        _held.add(fd)
        self._fd = fd
        try:
            _take(fd)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                self._close()
                raise
            _log.warning(
                "the file system of %s has no locks: commits are safe within this process only, "
                "do not write from several processes at once",
                self._path,
            )
        except BaseException:
            self._close()
            raise

    def _let_go(self) -> None:
        try:
            with contextlib.suppress(OSError):
                _release(self._fd)
        finally:
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        _held.discard(fd)
        os.close(fd)


_locks: PerProcess[dict[str, FolderLock]] = PerProcess(dict)


def lock_of(path: str) -> FolderLock:
    """Return this process's only lock object for a lock file."""
    real = os.path.realpath(path)
    return _locks.get().setdefault(real, FolderLock(real))
