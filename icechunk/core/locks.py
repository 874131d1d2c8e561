"""Locks that survive `os.fork` and interrupts.

A forked child never waits for a thread that exists only in its parent. An interrupt
(`KeyboardInterrupt`, or another exception raised between two instructions) never leaves a lock
held.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

P = ParamSpec("P")
R = TypeVar("R")

_RLock: Any = type(threading.RLock())

SETTLING_SECONDS = 1.0
"""Longest time, in seconds, that a fork waits for changes in progress in other threads."""


def guarded(action: Callable[[], R], undo: Callable[[], object]) -> R:
    """Run an action, then always a second one that undoes what the first has begun.

    Parameters
    ----------
    action
        May be interrupted anywhere.
    undo
        Called twice, since an interrupt can stop the first call or arrive just before it; otherwise
        the second call has nothing to do.
    """
    try:
        try:
            return action()
        finally:
            undo()
    finally:
        undo()


def held(
    lock: AbstractContextManager[Any], action: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run an action with a lock held.

    The interpreter delivers no interrupt between the end of the action and the release. Trace
    functions (debuggers) can raise between any two lines, so the statement is one line.
    """
    with lock: return action(*args, **kwargs)  # noqa: E701  # fmt: skip


class ProcessLock(_RLock):  # type: ignore[misc]
    """A re-entrant lock that is free in a forked child, even if it was held during the fork.

    Use it in a ``with`` statement: entering and leaving are then single instructions, which no
    interrupt can divide. Methods written in Python could be interrupted.

    Parameters
    ----------
    settled : bool
        The state that the lock guards is changed in several steps: a fork in another thread waits
        (up to `SETTLING_SECONDS`) until the lock is free, so that the child inherits a consistent
        state. Such locks must not be nested in one another.
    """

    __slots__ = ()

    def __new__(cls, *, settled: bool = False) -> ProcessLock:
        """Create a lock and register it for forks."""
        lock: ProcessLock = super().__new__(cls)
        _locks.add(lock)
        if settled:
            _settled.add(lock)
        return lock

    def __init__(self, *, settled: bool = False) -> None:
        super().__init__()

    @property
    def is_mine(self) -> bool:
        """Whether the current thread holds the lock."""
        return bool(self._is_owned())


_locks: WeakSet[ProcessLock] = WeakSet()
_settled: WeakSet[ProcessLock] = WeakSet()
_taken: list[ProcessLock] = []


def _before_fork() -> None:
    """Wait for changes in progress in other threads."""
    deadline = time.monotonic() + SETTLING_SECONDS
    for lock in list(_settled):
        if lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
            _taken.append(lock)  # noqa: PERF401 - one by one: an interrupt must not lose any


def _after_fork() -> None:
    while _taken:
        _taken.pop().release()


def _after_fork_in_child() -> None:
    """Free the locks of threads that exist only in the parent, not those of the current thread."""
    _after_fork()
    for lock in list(_locks):
        if not lock.is_mine:
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
