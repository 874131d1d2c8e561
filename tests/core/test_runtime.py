"""Worker pools, parallel maps, shared calls and asynchronous methods."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

import pytest

from icechunk.core import runtime
from icechunk.core.runtime import (
    PerProcess,
    SingleFlight,
    map_parallel,
    offload,
    on_leaf,
    process_generation,
    start,
    twin,
)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def exit_status_of_child(body: object) -> int:
    """Fork, run `body` in the child, return 0 if it did not raise."""
    assert callable(body)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the forked child hangs")


class TestMapParallel:
    def test_keeps_order(self) -> None:
        def late_first(n: int) -> int:
            time.sleep(0.02 if n == 0 else 0)
            return n * n

        assert map_parallel(late_first, range(100)) == [n * n for n in range(100)]

    def test_takes_iterators_and_nothing(self) -> None:
        assert map_parallel(str, iter([1, 2])) == ["1", "2"]
        assert map_parallel(str, []) == []

    def test_runs_at_once(self) -> None:
        everybody = threading.Barrier(8)
        arrivals = map_parallel(lambda _: everybody.wait(timeout=10), range(8))
        assert sorted(arrivals) == list(range(8))

    def test_one_item_runs_in_place(self) -> None:
        assert map_parallel(lambda _: threading.get_ident(), [0]) == [threading.get_ident()]

    def test_limit_bounds_calls_in_flight(self) -> None:
        lock = threading.Lock()
        running = peak = 0

        def count(_: int) -> None:
            nonlocal running, peak
            with lock:
                running += 1
                peak = max(peak, running)
            time.sleep(0.002)
            with lock:
                running -= 1

        map_parallel(count, range(40), limit=3)
        assert 1 <= peak <= 3

    def test_first_error_cancels_the_rest(self) -> None:
        done: list[int] = []

        def fail_at_three(n: int) -> None:
            if n == 3:
                raise ValueError("three")
            time.sleep(0.005)
            done.append(n)

        with pytest.raises(ValueError, match="three"):
            map_parallel(fail_at_three, range(500), limit=4)
        settled = len(done)
        assert settled < 50
        time.sleep(0.03)
        assert len(done) == settled, "nothing runs on after the call has returned"

    def test_nested_calls_from_leaves_finish(self) -> None:
        def inner(n: int) -> int:
            return sum(map_parallel(lambda m: m, range(n % 5)))

        def outer(n: int) -> int:
            return sum(map_parallel(inner, range(n)))

        expected = [sum(sum(range(m % 5)) for m in range(n)) for n in range(150)]
        assert map_parallel(outer, range(150)) == expected

    def test_a_leaf_works_alone(self) -> None:
        def who(_: int) -> int:
            return threading.get_ident()

        def on_a_leaf() -> set[int]:
            assert on_leaf()
            return {threading.get_ident(), *map_parallel(who, range(20))}

        assert len(start(on_a_leaf).result()) == 1
        assert not on_leaf()

    def test_finishes_when_every_leaf_is_busy(self) -> None:
        release = threading.Event()
        blockers = [start(release.wait, 20) for _ in range(runtime.LEAF_WORKERS)]
        try:
            assert map_parallel(str, range(10)) == [str(n) for n in range(10)]
        finally:
            release.set()
        assert all(blocker.result() for blocker in blockers)

    def test_context_is_copied(self) -> None:
        token = colour.set("green")
        try:
            together = threading.Barrier(4)

            def look(_: int) -> str:
                together.wait(timeout=10)
                return colour.get()

            assert map_parallel(look, range(4)) == ["green"] * 4
        finally:
            colour.reset(token)


def wait_for_threads_in(function: Callable[..., object], count: int) -> None:
    """Wait until so many threads are inside a function, and a moment more."""
    deadline = time.monotonic() + 30
    while True:
        stacks = map(traceback.walk_stack, sys._current_frames().values())
        code = function.__code__
        if sum(any(frame.f_code is code for frame, _ in stack) for stack in stacks) >= count:
            break
        assert time.monotonic() < deadline, "threads are missing"
        time.sleep(0.001)
    time.sleep(0.05)


class TestSingleFlight:
    def test_threads_share_one_call(self) -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        calls: list[int] = []
        together = threading.Barrier(8)

        def slow() -> int:
            calls.append(1)
            wait_for_threads_in(SingleFlight.run, 8)
            return 42

        def ask(_: int) -> int:
            together.wait(timeout=10)
            return flight.run("key", slow)

        assert map_parallel(ask, range(8)) == [42] * 8
        assert len(calls) == 1
        assert flight.run("key", lambda: 43) == 43, "nothing is remembered"

    def test_keys_do_not_wait_for_each_other(self) -> None:
        flight: SingleFlight[int, int] = SingleFlight()
        together = threading.Barrier(4)
        keys = map_parallel(lambda n: flight.run(n, lambda: together.wait(timeout=10)), range(4))
        assert sorted(keys) == [0, 1, 2, 3]

    def test_threads_share_the_error(self) -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        calls: list[int] = []
        entered = threading.Event()

        def fail() -> int:
            calls.append(1)
            entered.set()
            wait_for_threads_in(SingleFlight.run, 2)
            raise ValueError("broken")

        leader = start(flight.run, "key", fail)
        assert entered.wait(10)
        with pytest.raises(ValueError, match="broken"):
            flight.run("key", fail)
        with pytest.raises(ValueError, match="broken"):
            leader.result()
        assert len(calls) == 1

    def test_an_interrupted_call_is_repeated_by_a_waiting_thread(self) -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        entered = threading.Event()

        def interrupted() -> int:
            entered.set()
            time.sleep(0.05)
            raise KeyboardInterrupt

        leader = start(flight.run, "key", interrupted)
        assert entered.wait(10)
        assert flight.run("key", lambda: 7) == 7
        assert isinstance(leader.exception(), KeyboardInterrupt)

    def test_the_same_thread_may_call_again_inside(self) -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        assert flight.run("key", lambda: flight.run("key", lambda: 1) + 1) == 2

    @needs_fork
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_a_child_does_not_wait_for_its_parents_flight(self) -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        entered, release = threading.Event(), threading.Event()

        def slow() -> int:
            entered.set()
            release.wait(20)
            return 1

        leader = start(flight.run, "key", slow)
        assert entered.wait(10)
        try:
            assert exit_status_of_child(lambda: flight.run("key", lambda: 2)) == 0
        finally:
            release.set()
        assert leader.result() == 1


class Thing:
    """Has a method with a twin."""

    def greet(self, name: str, *, loud: bool = False) -> str:
        """Say hello."""
        return f"{colour.get()} {name}{'!' if loud else ''} {threading.current_thread().name}"

    greet_async = twin(greet)


class Loud(Thing):
    """Overrides the method and so the twin."""

    def greet(self, name: str, *, loud: bool = True) -> str:
        """Shout."""
        return name.upper()


class TestTwin:
    def test_looks_like_the_method(self) -> None:
        assert inspect.iscoroutinefunction(Thing.greet_async)
        assert inspect.signature(Thing.greet_async) == inspect.signature(Thing.greet)
        assert Thing.greet_async.__doc__ == "Say hello."
        assert Thing.greet_async.__name__ == "greet_async"
        assert Thing.greet_async.__qualname__ == "Thing.greet_async"

    def test_runs_on_the_front_pool_with_context(self) -> None:
        async def main() -> str:
            colour.set("blue")
            return await Thing().greet_async("ann", loud=True)

        assert asyncio.run(main()).startswith("blue ann! icechunk-front")

    def test_override_carries_over(self) -> None:
        assert asyncio.run(Loud().greet_async("ann")) == "ANN"

    def test_errors_pass(self) -> None:
        async def main() -> None:
            await Thing().greet_async("ann", nonsense=1)  # type: ignore[call-arg]

        with pytest.raises(TypeError, match="nonsense"):
            asyncio.run(main())

    def test_loop_stays_alive_meanwhile(self) -> None:
        class Slow:
            def wait(self, event: threading.Event) -> bool:
                return event.wait(10)

            wait_async = twin(wait)

        async def main() -> bool:
            event = threading.Event()
            waiting = asyncio.ensure_future(Slow().wait_async(event))
            await asyncio.sleep(0.01)
            event.set()
            return await waiting

        assert asyncio.run(main())

    def test_loops_nested_in_front_threads_do_not_starve(self) -> None:
        class Nest:
            def down(self, depth: int) -> int:
                return depth if depth == 0 else asyncio.run(self.down_async(depth - 1)) + 1

            down_async = twin(down)

        assert asyncio.run(Nest().down_async(2 * runtime.FRONT_WORKERS)) == 32

    def test_offload_runs_on_a_leaf(self) -> None:
        assert asyncio.run(offload(on_leaf))


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    def test_pools_work_in_the_child(self) -> None:
        map_parallel(lambda _: time.sleep(0.001), range(32))
        asyncio.run(Thing().greet_async("parent"))

        def child() -> None:
            assert map_parallel(str, range(50)) == [str(n) for n in range(50)]
            assert asyncio.run(Thing().greet_async("x")).startswith("none x icechunk-front")

        assert exit_status_of_child(child) == 0

    def test_fork_from_a_leaf(self) -> None:
        def fork_here() -> int:
            def child() -> None:
                assert not on_leaf()
                assert map_parallel(str, range(50)) == [str(n) for n in range(50)]

            return exit_status_of_child(child)

        assert start(fork_here).result() == 0

    def test_per_process_value_is_created_again(self) -> None:
        value: PerProcess[list[int]] = PerProcess(list)
        value.get().append(process_generation())
        here = process_generation()

        def child() -> None:
            assert process_generation() == here + 1
            assert value.get() == []

        assert exit_status_of_child(child) == 0
        assert value.get() == [here]


def test_per_process_makes_once_under_a_race() -> None:
    made: list[int] = []

    def make() -> object:
        made.append(1)
        time.sleep(0.01)
        return object()

    value = PerProcess(make)
    assert len(set(map_parallel(lambda _: id(value.get()), range(16)))) == 1
    assert len(made) == 1
