"""Flushes files to disk (fsync), also in the background while they are still being written.

A commit must wait for every byte that it refers to. Flushing a large file in the background while
it grows leaves less to wait for.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future

from icechunk.core.locks import held
from icechunk.core.runtime import PerProcess, start
from icechunk.storage import files

FLUSH_STEP = 16 * 1024 * 1024
"""Bytes written to a file, in any number of pieces, after which a flush is begun."""


class _Running:
    """Flushes in progress in one process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.by_path: dict[str, Future[None]] = {}


class Flushes:
    """Background flushes of files, and their failures.

    An operating system reports a failed write to disk to one fsync only, and marks the pages clean.
    A failure is therefore kept: no later flush of the file succeeds, although the operating system
    would say so.
    """

    def __init__(self) -> None:
        self._running = PerProcess(_Running)
        self._failed: dict[str, OSError] = {}

    def begin(self, path: str) -> None:
        """Start to flush a file in the background, unless a flush of it is in progress."""
        running = self._running.get()

        def start_once() -> None:
            if path not in running.by_path:
                with contextlib.suppress(
                    RuntimeError
                ):  # the interpreter ends; `finish` flushes in any case
                    running.by_path[path] = start(self._flush_early, path)

        held(running.lock, start_once)

    def _flush_early(self, path: str) -> None:
        try:
            self._flush(path)
        except OSError:
            pass  # `finish` raises it: it fails too, or finds the failure in `_failed`
        finally:
            running = self._running.get()
            held(running.lock, running.by_path.pop, path, None)

    def _flush(self, path: str) -> None:
        fd = files.open_to_flush(path)
        try:
            files.flush_descriptor(fd)
        except OSError as error:
            self._failed[path] = error
            raise
        finally:
            os.close(fd)

    def finish(self, path: str) -> None:
        """Wait until all bytes that a file has now survive a loss of power.

        Raises
        ------
        OSError
            Of this or any earlier flush.
        """
        running = self._running.get()

        def still_running() -> Future[None] | None:
            early = running.by_path.get(path)
            if (
                early is not None and early.cancel()
            ):  # a task of the pool must not wait for one that is queued
                del running.by_path[path]
                return None
            return early

        early = held(running.lock, still_running)
        if early is not None:
            early.result()
        failure = self._failed.get(path)
        if failure is not None:
            raise failure
        self._flush(path)
