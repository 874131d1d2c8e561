"""Locks that survive `os.fork`: a child never waits for a thread that only its parent has."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import Any
from weakref import WeakSet

from icechunk.ground.runtime import process_generation

SETTLING_SECONDS = 1.0
"""Longest time, in seconds, that a fork waits for changes under way in other threads."""


class ProcessLock:
    """A re-entrant lock that a forked child finds free, whoever held it at the time of the fork.

    Parameters
    ----------
    settled : bool
        What the lock guards is changed in several steps: a fork in another thread waits (up to
        `SETTLING_SECONDS`) until nobody is in between, so that the child inherits a whole state.
        Such locks must not be nested in one another.
    """

    __slots__ = ("__weakref__", "_generation", "_lock")

    def __init__(self, *, settled: bool = False) -> None:
        self._lock: Any = threading.RLock()
        self._generation = process_generation()
        if settled:
            _settled.add(self)

    def _here(self) -> Any:
        """The lock of this process; one that this very thread holds across a fork stays."""
        generation = process_generation()
        if self._generation != generation:
            if not self._lock._is_owned():
                self._lock = threading.RLock()
            self._generation = generation
        return self._lock

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock, waiting up to `timeout` seconds (without end by default)."""
        return bool(self._here().acquire(timeout=timeout))

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> None:
        if self._generation == process_generation():
            self._lock.acquire()
        else:
            self._here().acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


_settled: WeakSet[ProcessLock] = WeakSet()
_taken: list[ProcessLock] = []


def _before_fork() -> None:
    """Let changes under way in other threads come to their end."""
    deadline = time.monotonic() + SETTLING_SECONDS
    for lock in list(_settled):
        if lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
            _taken.append(lock)  # noqa: PERF401 - one by one: an interrupt must not lose any


def _after_fork() -> None:
    while _taken:
        _taken.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
