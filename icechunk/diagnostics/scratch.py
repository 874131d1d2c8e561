"""The prefix or folder for the test objects of an examination; removed afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from icechunk.diagnostics.bounds import Bounds, Cause, Failure, Tried
from icechunk.diagnostics.report import Check, failed, not_applicable
from icechunk.storage.base import Storage
from icechunk.storage.fsspec import FsspecStorage
from icechunk.storage.local import LocalStorage
from icechunk.storage.probe import PROBES

T = TypeVar("T")

WITHOUT_ACCESS = "without access"
"""Why an examination ends where the storage answers and refuses access."""


class ScratchArea:
    """A storage, a new prefix in it, and the objects written below that.

    Parameters
    ----------
    storage : Storage
        The storage that is examined.
    bounds : Bounds
        How long things may take.
    why_not_written : str
        Why nothing may be written; empty where it may.
    """

    def __init__(self, storage: Storage, bounds: Bounds, why_not_written: str = "") -> None:
        self.storage = storage
        self.bounds = bounds
        self.why_not_written = why_not_written
        self.latency_ms: dict[str, float] = {}
        self.clock_skew_s: float | None = None
        self.sizes: dict[str, int] = {}
        """Objects that are known to have been written, and their bytes."""
        self._written: set[str] = set()
        self.dirty = False
        """Something may have been written that is still there."""
        token = secrets.token_hex(10)
        self.prefix = f"{PROBES}/{token}"
        self.folder = ""
        self._made: list[str] = []
        self.place = storage
        if isinstance(storage, LocalStorage):
            # A folder of its own: listings leave it out, and no other process uses its lock file.
            self.folder = os.path.join(storage.root, f"icechunk-doctor-{token}#0")
            self.place = LocalStorage(self.folder, durable=storage.durable)

    def tried(self, call: Callable[[], T]) -> Tried[T]:
        """Run a call within the time limits."""
        return self.bounds.tried(call)

    def key(self, name: str) -> str:
        """Return the key of an object of this examination; it is removed at the end."""
        key = f"{self.prefix}/{name}"
        self._written.add(key)
        return key

    def absent(self) -> str:
        """Return the key of an object that is not there."""
        return self.key(f"absent-{secrets.token_hex(4)}")

    def end_writing(self, why: str) -> None:
        """Write nothing more; what may have been written is still cleared up."""
        self.why_not_written = why

    # -- folders of local disks ------------------------------------------------------------------

    def open_folder(self) -> None:
        """Make the folder of this examination on a local disk, and those that lead to it."""
        if not self.folder:
            return
        path, missing = self.folder, []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            os.mkdir(path)
            self._made.append(path)

    def keys(self) -> list[str]:
        """Return all keys that may have been written."""
        return sorted(self._written)

    def clear(self) -> Failure | None:
        """Remove everything that was written, also after a failure."""
        if not (self.dirty or self._made):
            return None

        def remove() -> None:
            if not self.folder:
                self.place.delete(self.keys())
                remove_folders(self.place, self.prefix)
                return
            if self._made:
                shutil.rmtree(self.folder, ignore_errors=True)
            for path in reversed(self._made):
                with suppress(OSError):
                    os.rmdir(path)  # fails, as it should, where it holds other files

        return self.bounds.tried(remove, last=True).failure


def remove_folders(place: Storage, prefix: str) -> None:
    """Remove what file systems with real folders keep of a prefix; only what is empty."""
    if not isinstance(place, FsspecStorage) or place.conditional:
        return
    for folder in (prefix, PROBES):
        with suppress(Exception):
            place.remove_folder(folder)


def judged(name: str, failure: Failure, advice: str) -> Check:
    """Return the check that has a failure."""
    if failure.cause is Cause.NOT_TRIED:
        return not_applicable(name, failure.text)
    return failed(name, failure.text, advice)


def all_not_applicable(names: tuple[str, ...], why: str) -> list[Check]:
    """Return checks that were not made, for one reason."""
    return [not_applicable(name, why) for name in names]
