"""Conditional writes and object versions of the file systems of fsspec.

fsspec's interface has neither. Each file system that supports them is called in its own way: one
request that carries the condition, and one request that returns bytes and version together. Those
of object stores are part of their kinds (`icechunk.storage.kinds`).
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from icechunk.core.runtime import map_parallel
from icechunk.storage.base import Version
from icechunk.storage.failures import error_details
from icechunk.storage.readback import Seen

_REFUSALS = ("FileExistsError", "ResourceExistsError", "ResourceModifiedError")


class Got(NamedTuple):
    """Bytes of an object and their version."""

    data: bytes
    version: Version


class ConditionalWriter(ABC):
    """One kind of file system.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
        The file system.
    """

    conditional = True
    """The file system supports conditional writes."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs

    @staticmethod
    def fits(fs: Any) -> bool:
        """Whether the file system has the methods that this class calls."""
        return True

    @abstractmethod
    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        """Read an object, or its bytes from a start to an end."""

    @abstractmethod
    def look(self, path: str) -> Seen:
        """Return version and write id; raise `FileNotFoundError` when there is no object."""

    @abstractmethod
    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        """Write if the version is the expected one; None: if there is no such object."""

    def refused(self, error: BaseException) -> bool:
        """Whether an error of `send` says that the condition does not hold."""
        return error_details(error).status in (304, 409, 412) or type(error).__name__ in _REFUSALS

    def put(self, path: str, data: bytes) -> None:
        """Write an object unconditionally."""
        self.fs.pipe_file(path, data)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; missing ones are ignored."""
        map_parallel(self._remove, paths)

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(path)


def run_coroutine(fs: Any, coroutine: Any, *args: Any) -> Any:
    """Run a coroutine on the event loop of an asynchronous file system, and wait for it."""
    from fsspec.asyn import sync

    return sync(fs.loop, coroutine, *args)


def _digest(data: bytes) -> Version:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class UnconditionalWriter(ConditionalWriter):
    """Any other file system: it can be read; a condition is only checked before writing."""

    conditional = False

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        data = self.fs.cat_file(path) if span is None else self.fs.cat_file(path, *span)
        return Got(data, _digest(data))

    def look(self, path: str) -> Seen:
        return Seen(self.get(path).version, None)

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        try:
            present: Version | None = self.get(path).version
        except FileNotFoundError:
            present = None
        if present != expected:
            raise FileExistsError(path)
        self.put(path, data)
        return _digest(data)

    def put(self, path: str, data: bytes) -> None:
        try:
            self.fs.pipe_file(path, data)
        except FileNotFoundError:
            self.fs.makedirs(self.fs._parent(path), exist_ok=True)
            self.fs.pipe_file(path, data)


_memory = threading.RLock()


class MemoryConditionalWriter(UnconditionalWriter):
    """The memory of this process: a lock makes check and write one step."""

    conditional = True

    @staticmethod
    def fits(fs: Any) -> bool:
        return hasattr(fs, "store")

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        with _memory:
            return super().send(path, data, expected, write_id)
