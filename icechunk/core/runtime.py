"""Threads: two worker pools, parallel maps, shared calls and ``*_async`` methods.

The engine is synchronous. Work that should overlap runs on one of two pools, both created on first
use, and again in a forked child:

* the *front* pool runs whole operations on behalf of ``*_async`` methods;
* the *leaf* pool runs storage calls and encoding.

One rule prevents deadlocks: a leaf thread never waits for work that is still queued. This is why
`map_parallel` runs in place on a leaf thread, why its caller also works and cancels what has not
started, and why a `SingleFlight` belongs to the thread that runs it, not to one that queued it.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import itertools
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from icechunk.core.answers import ASYNC_CALL, AsyncCall
from icechunk.core.locks import held

FRONT_WORKERS = 16
"""Threads that run the bodies of ``*_async`` methods."""

LEAF_WORKERS = 64
"""Threads that run storage calls, encoding and decoding."""

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")
P = ParamSpec("P")

_role = threading.local()


class _Process:
    """State of this process only; replaced as a whole in a forked child."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.lock = threading.RLock()
        self.front: ThreadPoolExecutor | None = None
        self.leaf: ThreadPoolExecutor | None = None

    def front_pool(self) -> ThreadPoolExecutor:
        """Return the front pool, created on first use; call it with the lock held."""
        if self.front is None:
            self.front = ThreadPoolExecutor(
                FRONT_WORKERS, "icechunk-front", initializer=_set_role, initargs=("front",)
            )
        return self.front

    def leaf_pool(self) -> ThreadPoolExecutor:
        """Return the leaf pool, created on first use; call it with the lock held."""
        if self.leaf is None:
            self.leaf = ThreadPoolExecutor(
                LEAF_WORKERS, "icechunk-leaf", initializer=_set_role, initargs=("leaf",)
            )
        return self.leaf


_process = _Process(0)


def _after_fork_in_child() -> None:
    """Drop the pools and locks of the parent: their threads do not exist here."""
    global _process
    _process = _Process(_process.generation + 1)
    _role.name = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def process_generation() -> int:
    """Return how many forks lie between the first interpreter process and this one.

    Objects that must not be shared with a forked child (open packs, locks, clients) store the
    generation in which they were created, and compare.
    """
    return _process.generation


class PerProcess(Generic[T]):
    """A value created on first use, and again in a forked child.

    Parameters
    ----------
    make
        Creates the value. Called at most once per process.
    """

    __slots__ = ("_generation", "_make", "_value")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._generation = -1
        self._value: T | None = None

    def get(self) -> T:
        """Return this process's value."""
        if self._generation == _process.generation:
            return cast(T, self._value)
        held(_process.lock, self._make_once)
        return cast(T, self._value)

    def _make_once(self) -> None:
        if self._generation != _process.generation:
            self._value = self._make()
            self._generation = _process.generation


def _set_role(name: str) -> None:
    """Mark the current thread as a member of a pool."""
    _role.name = name


def _front_pool() -> ThreadPoolExecutor:
    """Return the front pool, created on first use."""
    return held(_process.lock, _process.front_pool)


def _leaf_pool() -> ThreadPoolExecutor:
    """Return the leaf pool, created on first use."""
    return held(_process.lock, _process.leaf_pool)


def on_leaf() -> bool:
    """Return whether the current thread belongs to the leaf pool."""
    return getattr(_role, "name", None) == "leaf"


# ------------------------------------------------------------------------------------------------
# fan-out


class _Batch(Generic[T, R]):
    """The items of one `map_parallel`; each free thread takes the next one."""

    def __init__(self, fn: Callable[[T], R], items: list[T] | tuple[T, ...]) -> None:
        self._fn = fn
        self._items = items
        self._next = itertools.count()  # `next` is one instruction: no lock is needed
        self.results: list[Any] = [None] * len(items)
        self.errors: dict[int, BaseException] = {}

    def _take(self) -> int:
        """Return the next index to work on, or -1 when there is nothing left to do."""
        index = next(self._next)
        return -1 if self.errors or index >= len(self._items) else index

    def drain(self) -> None:
        """Work on items until none is left or one has failed."""
        while (index := self._take()) >= 0:
            try:
                self.results[index] = self._fn(self._items[index])
            except BaseException as error:
                self.errors[index] = error
                return


def map_parallel(fn: Callable[[T], R], items: Iterable[T], limit: int | None = None) -> list[R]:
    """Apply a function to every item, several at a time.

    The calling thread also works. Runs in place for fewer than two items, with ``limit=1``, and
    when called from a leaf thread.

    Parameters
    ----------
    fn
        Called once per item, from several threads at once. Must not wait for queued work.
    items
        The items; an iterator is drained first.
    limit
        Largest number of calls in flight; all leaf threads when absent.

    Returns
    -------
    list
        The results, in the order of the items.

    Raises
    ------
    BaseException
        The error of the first item (in order) that failed. Items that have not started are
        skipped; those that are running are waited for.
    """
    work = items if isinstance(items, (list, tuple)) else list(items)
    width = min(len(work), LEAF_WORKERS if limit is None else max(limit, 1))
    if width <= 1 or on_leaf():
        return [fn(item) for item in work]
    batch = _Batch(fn, work)
    runners: list[Future[None]] = []
    try:
        pool = _leaf_pool()
        runners.extend(
            pool.submit(contextvars.copy_context().run, batch.drain) for _ in range(width - 1)
        )
    except RuntimeError:
        pass  # the interpreter is shutting down and accepts no new work: the caller does it alone
    try:
        batch.drain()
    finally:
        for runner in runners:
            if not runner.cancel():
                runner.result()
    if batch.errors:
        try:
            raise batch.errors[min(batch.errors)]
        finally:
            batch.errors.clear()  # a frame that holds its own exception is a reference cycle
    return batch.results


def start(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
    """Run a call on the leaf pool in the background.

    Parameters
    ----------
    fn
        The call; context variables are copied.

    Returns
    -------
    concurrent.futures.Future
        The outcome. Leaf threads must not wait for it.
    """
    call = functools.partial(contextvars.copy_context().run, fn, *args, **kwargs)
    return _leaf_pool().submit(call)


async def offload(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a call on the leaf pool and await its result.

    A call that has started runs to its end even if it is cancelled.
    """
    return await asyncio.wrap_future(start(fn, *args, **kwargs))


def _submit_front(call: Callable[[], R]) -> Future[R]:
    """Run a call on the front pool, or on a thread of its own if called from a pool thread.

    Pool threads never wait for queued work; an event loop run by one of them would.
    """
    if getattr(_role, "name", None) is None:
        return _front_pool().submit(call)
    outcome: Future[R] = Future()

    def run() -> None:
        _set_role("front")
        if outcome.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

    threading.Thread(target=run, name="icechunk-front-extra", daemon=True).start()
    return outcome


async def on_front(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a whole operation on the front pool and await its result."""
    call = AsyncCall()
    context = contextvars.copy_context()
    context.run(ASYNC_CALL.set, call)
    try:
        run = functools.partial(context.run, fn, *args, **kwargs)
        return await asyncio.wrap_future(_submit_front(run))
    except BaseException:
        call.abandoned = True
        raise


# ------------------------------------------------------------------------------------------------
# single flight


class _Flight(Generic[R]):
    """One call in progress and the thread that runs it."""

    __slots__ = ("future", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.future: Future[R] = Future()


class SingleFlight(Generic[K, R]):
    """Let concurrent requests for the same key share one call.

    The first thread runs the call in place; the others wait for its result or error. Nothing is
    kept after the call has ended.
    """

    def __init__(self) -> None:
        self._flights: PerProcess[dict[K, _Flight[R]]] = PerProcess(dict)

    def run(self, key: K, fn: Callable[[], R]) -> R:
        """Return the outcome of `fn`, or of the same call already running for `key`.

        Parameters
        ----------
        key
            Identifies the call.
        fn
            The call; made only if no other thread is making it for this key.
        """
        flights = self._flights.get()
        mine: _Flight[R] = _Flight()
        try:
            while (flight := flights.setdefault(key, mine)) is not mine:
                if flight.thread == threading.get_ident() and not flight.future.done():
                    return fn()
                error = flight.future.exception()
                if error is None:
                    return flight.future.result()
                if isinstance(error, Exception):
                    raise error
                # The thread that ran it was interrupted, perhaps before it removed the flight.
                # That is not a result for the key: try again.
                self._forget(flights, key, flight)
            return self._fly(flights, key, mine, fn)
        finally:
            if not mine.future.done():  # an interrupt: threads that wait for it try again
                self._land(flights, key, mine, KeyboardInterrupt())

    @staticmethod
    def _forget(flights: dict[K, _Flight[R]], key: K, flight: _Flight[R]) -> None:
        if flights.get(key) is flight:
            flights.pop(key, None)

    def _land(
        self, flights: dict[K, _Flight[R]], key: K, flight: _Flight[R], error: BaseException
    ) -> None:
        self._forget(flights, key, flight)
        flight.future.set_exception(error)

    def _fly(
        self, flights: dict[K, _Flight[R]], key: K, flight: _Flight[R], fn: Callable[[], R]
    ) -> R:
        """Run the call that this thread owns, and publish its outcome."""
        try:
            result = fn()
        except BaseException as error:
            self._land(flights, key, flight, error)
            raise
        self._forget(flights, key, flight)
        flight.future.set_result(result)
        return result


# ------------------------------------------------------------------------------------------------
# asynchronous methods


def _same_body(owner: object, method: Callable[..., R]) -> Callable[..., R]:
    """Return the bound method of an instance or class with the name of `method`.

    Looked up at call time, so that overriding the method also overrides its ``*_async`` form.
    """
    bound = getattr(owner, getattr(method, "__name__", ""), None)
    return bound if callable(bound) else functools.partial(method, owner)


def _named_async(call: Callable[..., Any], method: Callable[..., Any]) -> None:
    """Give a ``*_async`` method the signature and docstring of its method, and its own name."""
    functools.update_wrapper(call, method)
    # With `__wrapped__`, `inspect` would report the synchronous function.
    del call.__dict__["__wrapped__"]
    call.__dict__["__signature__"] = inspect.signature(method)
    call.__name__ = f"{method.__name__}_async"
    call.__qualname__ = f"{method.__qualname__}_async"


def twin(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Return the ``*_async`` form of a method, which runs its body on the front pool.

    Parameters
    ----------
    method
        An ordinary method.

    Returns
    -------
    Callable
        A coroutine function with the method's signature and docstring. Context variables are
        copied into the thread. Cancelling it discards the result; a body that has started runs to
        its end.
    """

    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await on_front(_same_body(self, method), *args, **kwargs)

    _named_async(call, method)
    return call
