"""Packs of chunks in local files, and a cache of open files to read from them.

Creating a file per chunk is most of the cost of writing small chunks to a disk, and syncing each of
them costs more; appending them to one file is an order of magnitude faster. Offsets are reserved
under a lock and the bytes are written outside of it, so that threads write to one pack in parallel.
A crash leaves a pack with bytes that no snapshot refers to; garbage collection deletes it.
"""

from __future__ import annotations

import os
import threading

from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.locks import held
from icechunk.core.runtime import process_generation
from icechunk.storage import files
from icechunk.storage.base import Data, Pack
from icechunk.storage.flushing import FLUSH_STEP, Flushes

_OPEN_FILES = 32
"""Files kept open per storage: far below the common limits per process (macOS 256, Linux 1024)."""
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
_REOPEN = os.O_WRONLY | _FLAGS


class OpenFile:
    """A descriptor that is closed with the last reference to it."""

    __slots__ = ("fd", "recent")

    def __init__(self, path: str, flags: int) -> None:
        self.recent = True
        self.fd = os.open(path, flags, 0o666)

    def __del__(self, close: object = os.close) -> None:
        fd = getattr(self, "fd", -1)  # missing when the file could not be opened
        if fd >= 0 and callable(close):
            close(fd)


class OpenFiles:
    """The files most recently read from, kept open.

    A lookup takes no lock. An evicted file is closed when its last reader has finished.
    """

    def __init__(self) -> None:
        self._files: dict[str, OpenFile] = {}
        self._lock = threading.RLock()

    def get(self, path: str) -> OpenFile:
        """Return an open file."""
        file = self._files.get(path)
        if file is None:
            file = OpenFile(path, files.READ)
            held(self._lock, self._keep, path, file)
        else:
            file.recent = True
        return file

    def _keep(self, path: str, file: OpenFile) -> None:
        """Keep a file; evict the oldest one that was not read since it was last considered."""
        while len(self._files) >= _OPEN_FILES:
            oldest = next(iter(self._files))
            candidate = self._files.pop(oldest)
            if candidate.recent:
                candidate.recent = False
                self._files[oldest] = candidate
        self._files[path] = file

    def forget(self, path: str) -> None:
        """Close a file that is being deleted, so that its space is freed."""
        if path in self._files:
            held(self._lock, self._files.pop, path, None)


def _write_at(fd: int, view: memoryview, offset: int) -> None:
    """Write everything at an offset."""
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done:] if done else view, offset + done)


class LocalPack(Pack):
    """A file that several threads append chunks to.

    Parameters
    ----------
    path
        The file; must not exist, its folder must.
    flushes
        Flushes the file in the background while it grows; None where the storage is not durable.
    """

    def __init__(self, path: str, flushes: Flushes | None = None) -> None:
        self._path = path
        self._flushes = flushes
        self._flushed = 0
        self._lock = threading.RLock()
        self._generation = process_generation()
        self._end = 0
        self._file: OpenFile | None = OpenFile(path, _CREATE)

    @property
    def size(self) -> int:
        """Bytes reserved so far."""
        return self._end

    def append(self, data: Data) -> int:
        """Write bytes at the end and return their offset."""
        if self._generation != process_generation():
            raise StorageError(
                "storage error: this pack belongs to the process that opened it; a forked child "
                "writes its chunks to a pack of its own",
                ErrorKind.STORAGE_OTHER,
            )
        view = files.as_bytes_view(data)
        with self._lock:
            offset = self._end
            self._end += len(view)
            due = self._end - self._flushed >= FLUSH_STEP
            if due:
                self._flushed = self._end
            file = self._file
            if not hasattr(os, "pwrite"):  # Windows: the position is part of the write
                self._write_here(view, offset)
                return offset
        try:
            if file is None:  # `close` came between: the bytes still belong here
                file = OpenFile(self._path, _REOPEN)
            _write_at(file.fd, view, offset)
        except OSError as error:
            raise files.failed(error, "write to pack", self._path) from error
        if due and self._flushes is not None:
            self._flushes.begin(self._path)
        return offset

    def _write_here(self, view: memoryview, offset: int) -> None:
        try:
            file = self._file or OpenFile(self._path, _REOPEN)
            os.lseek(file.fd, offset, os.SEEK_SET)
            files.write_all(file.fd, view)
        except OSError as error:
            raise files.failed(error, "write to pack", self._path) from error

    def close(self) -> None:
        """Close the file after the appends in progress; begin to flush the rest."""
        if self._generation == process_generation():
            self._file = None
            rest = self._end - self._flushed
            if rest >= FLUSH_STEP // 4 and self._flushes is not None:
                self._flushes.begin(self._path)
