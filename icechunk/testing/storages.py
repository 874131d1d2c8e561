"""Wrappers of a storage that are slow, fail, record or throttle calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from icechunk.config.rendering import Entry
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.runtime import PerProcess
from icechunk.storage.base import Storage
from icechunk.storage.wrapper import READS, Call, StorageWrapper

T = TypeVar("T")


class LatencyStorage(StorageWrapper):
    """A storage with a delay before each call.

    Parameters
    ----------
    inner : Storage
        The wrapped storage.
    write_latency_ms, read_latency_ms : int
        Milliseconds to wait before every call; may be changed at any time.
    """

    def __init__(
        self, inner: Storage, *, write_latency_ms: int = 0, read_latency_ms: int = 0
    ) -> None:
        super().__init__(inner)
        self.write_latency_ms = write_latency_ms
        self.read_latency_ms = read_latency_ms
        self.blocking_ok = False

    @property
    def write_latency_ms(self) -> int:
        """Milliseconds before a write."""
        return self._write_latency_ms

    @write_latency_ms.setter
    def write_latency_ms(self, value: int) -> None:
        self._write_latency_ms = _milliseconds(value)

    @property
    def read_latency_ms(self) -> int:
        """Milliseconds before a read."""
        return self._read_latency_ms

    @read_latency_ms.setter
    def read_latency_ms(self, value: int) -> None:
        self._read_latency_ms = _milliseconds(value)

    def around(self, call: Call, run: Callable[[], T]) -> T:
        """Wait, then make the call."""
        delay = self.read_latency_ms if call.verb in READS else self.write_latency_ms
        if delay:
            time.sleep(delay / 1000)
        return run()

    def __reduce__(self) -> tuple[Any, ...]:
        return _latency, (self.inner, self.write_latency_ms, self.read_latency_ms)

    def _entries(self) -> Iterable[Entry]:
        return [
            Entry("inner", self.inner),
            Entry("write_latency_ms", self.write_latency_ms),
            Entry("read_latency_ms", self.read_latency_ms),
        ]


def _milliseconds(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a latency is an int of milliseconds, not {type(value).__name__}")
    if value < 0:
        raise OverflowError(f"a latency of {value} ms is negative; 0 means no delay")
    return value


def _latency(inner: Storage, write: int, read: int) -> LatencyStorage:
    return LatencyStorage(inner, write_latency_ms=write, read_latency_ms=read)


class RecordingStorage(StorageWrapper):
    """A storage that records its calls.

    Parameters
    ----------
    inner : Storage
        The wrapped storage.

    Attributes
    ----------
    calls : list of Call
        Oldest first, including those that failed.
    """

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.calls: list[Call] = []

    def around(self, call: Call, run: Callable[[], T]) -> T:
        """Record the call, then make it."""
        self.calls.append(call)  # appending to a list is atomic
        return run()

    def count(self, *verbs: str) -> int:
        """Number of calls of some verbs, or of all verbs."""
        return sum(not verbs or call.verb in verbs for call in self.calls)

    def clear(self) -> None:
        """Remove the recorded calls."""
        self.calls.clear()


class FaultyStorage(StorageWrapper):
    """A storage that fails on demand.

    Parameters
    ----------
    inner : Storage
        The wrapped storage.
    fail_at : int, optional
        Index (from 0) of the call that fails, among those of `verbs`; none when absent.
    after : bool
        Fail after the call was made, as when its answer is lost, instead of before.
    dead : bool
        Every later call fails too, as after a crash or a lost connection.
    verbs : iterable of str, optional
        Only calls of these verbs count and fail; all when absent.
    error : callable, optional
        Makes the exception from a `Call`; a `StorageError` of kind ``object-store`` by default.

    Attributes
    ----------
    seen : int
        Number of calls counted since `arm`.
    failures : list of Call
        The calls that failed.
    """

    def __init__(
        self,
        inner: Storage,
        fail_at: int | None = None,
        *,
        after: bool = False,
        dead: bool = False,
        verbs: Iterable[str] | None = None,
        error: Callable[[Call], Exception] | None = None,
    ) -> None:
        super().__init__(inner)
        self._mutex = PerProcess(threading.Lock)
        self._error = _outage if error is None else error
        self.failures: list[Call] = []
        self.arm(fail_at, after=after, dead=dead, verbs=verbs)

    def arm(
        self,
        fail_at: int | None,
        *,
        after: bool = False,
        dead: bool = False,
        verbs: Iterable[str] | None = None,
    ) -> None:
        """Set again which call fails, and count from 0; parameters as for the class."""
        with self._mutex.get():
            self.seen = 0
            self._fail_at, self._after, self._dead = fail_at, after, dead
            self._verbs = None if verbs is None else frozenset(verbs)

    def disarm(self) -> None:
        """Make no further call fail."""
        self.arm(None)

    def _is_due(self, call: Call) -> bool:
        with self._mutex.get():
            if self._verbs is not None and call.verb not in self._verbs:
                return False
            index = self.seen
            self.seen += 1
            if self._fail_at is None or index < self._fail_at:
                return False
            due = self._dead or index == self._fail_at
            if due:
                self.failures.append(call)
            return due

    def around(self, call: Call, run: Callable[[], T]) -> T:
        """Make the call, or fail."""
        if not self._is_due(call):
            return run()
        if self._after and self.seen - 1 == self._fail_at:
            run()
        raise self._error(call)


def _outage(call: Call) -> StorageError:
    return StorageError(
        f"object store error: {call.verb} of {', '.join(call.keys[:3])} failed on purpose",
        ErrorKind.OBJECT_STORE,
    )


class ThrottledStorage(StorageWrapper):
    """A storage with a limited number of calls per second.

    Parameters
    ----------
    inner : Storage
        The wrapped storage.
    calls_per_second : float
        Sustained rate.
    burst : int
        Number of calls without delay after a pause.
    refuse : bool
        Raise a `StorageError` of kind ``throttled`` for a call beyond the limit, instead of
        delaying it.

    Attributes
    ----------
    throttled : int
        Number of calls that were refused or delayed.
    """

    def __init__(
        self,
        inner: Storage,
        *,
        calls_per_second: float,
        burst: int = 1,
        refuse: bool = False,
    ) -> None:
        if calls_per_second <= 0 or burst < 1:
            raise ValueError("calls_per_second must be above 0, and burst at least 1")
        super().__init__(inner)
        self.blocking_ok = False
        self._gap, self._burst, self._refuse = 1 / calls_per_second, burst, refuse
        self._mutex = PerProcess(threading.Lock)
        self._free_at = 0.0
        self.throttled = 0

    def around(self, call: Call, run: Callable[[], T]) -> T:
        """Delay the call to keep the rate, then make it."""
        wait = self._wait(call)
        if wait > 0:
            time.sleep(wait)
        return run()

    def _wait(self, call: Call) -> float:
        """Seconds to wait before a call, which is counted."""
        with self._mutex.get():
            now = time.monotonic()
            # earliest time of the call, minus the allowance of the burst
            turn = max(self._free_at, now - self._gap * (self._burst - 1))
            if turn > now:
                self.throttled += 1
                if self._refuse:
                    raise StorageError(
                        f"throttled: too many calls, {call.verb} was refused; try again later",
                        ErrorKind.THROTTLED,
                    )
            self._free_at = turn + self._gap
            return turn - now

    def __reduce__(self) -> tuple[Any, ...]:
        return _throttled, (self.inner, 1 / self._gap, self._burst, self._refuse)


def _throttled(inner: Storage, rate: float, burst: int, refuse: bool) -> ThrottledStorage:
    return ThrottledStorage(inner, calls_per_second=rate, burst=burst, refuse=refuse)
