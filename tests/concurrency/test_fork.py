"""`os.fork` while other threads are busy with the same repository: children work, never hang."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

import icechunk
from icechunk.core.locks import ProcessLock
from icechunk.dask import store_dask
from tests.repositories import storage_of

# Newer Pythons warn of forks beside threads; that is just what is tested here.
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

CHUNKS = 64


def in_child(work: Callable[[], None], seconds: float = 60) -> None:
    """Run a function in a forked child; fail when it raises or hangs."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the forked child hangs")
        time.sleep(0.005)
    assert os.waitstatus_to_exitcode(done[1]) == 0


@contextmanager
def busy(*jobs: Callable[[], None]) -> Iterator[None]:
    """Repeat jobs in threads of their own."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def repeat(job: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []


def test_a_child_finds_locks_free_that_a_thread_of_its_parent_held():
    lock = ProcessLock()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:

        def take() -> None:
            assert lock.acquire(timeout=5)
            lock.release()
            with lock, lock:
                pass

        in_child(take, 20)
        assert not lock.acquire(timeout=0)
    finally:
        done.set()
        holder.join()


def test_a_thread_that_forks_with_a_lock_keeps_it_in_the_child():
    lock = ProcessLock(settled=True)

    def child() -> None:
        with lock:
            pass
        lock.release()
        stranger = threading.Thread(target=lambda: taken.append(lock.acquire(timeout=5)))
        stranger.start()
        stranger.join()
        assert taken == [True]

    taken: list[bool] = []
    lock.acquire()
    try:
        in_child(child, 20)
    finally:
        lock.release()


def test_a_fork_waits_for_changes_under_way_but_not_for_ever():
    lock = ProcessLock(settled=True)
    state: list[int] = []
    begun = threading.Event()

    def change() -> None:
        with lock:
            state.append(1)
            begun.set()
            time.sleep(0.2)
            state.append(2)

    thread = threading.Thread(target=change)
    thread.start()
    begun.wait(30)
    in_child(lambda: None if state == [1, 2] else os._exit(3), 20)
    thread.join()
    with lock:
        pass


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_children_of_a_busy_process(kind, tmp_path):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=16)
    repo = icechunk.Repository.create(storage_of(kind, tmp_path), config)
    session = repo.writable_session("main")
    for name in ("read", "written", "shared"):
        zarr.create_array(session.store, name=name, shape=CHUNKS * 8, chunks=8, dtype="i8",
                          compressors=None, fill_value=0)[:] = 7  # fmt: skip
    session.commit("made")
    shared = repo.writable_session("main")
    value = shared.store.get_sync("read/c/0")
    assert value is not None
    turn = [0]

    def read() -> None:
        other = repo.readonly_session("main")
        for chunk in range(0, CHUNKS, 8):
            assert other.store.get_sync(f"read/c/{chunk}") is not None

    def write() -> None:
        turn[0] += 1
        shared.store.set_sync(f"shared/c/{turn[0] % CHUNKS}", value)

    def commit() -> None:
        own = repo.writable_session("main")
        own.store.set_sync(f"written/c/{turn[0] % CHUNKS}", value)
        own.commit("busy", rebase_with=icechunk.BasicConflictSolver())

    def child() -> None:
        read()
        shared.store.set_sync("shared/c/0", value)
        found = shared.store.get_sync("shared/c/0")
        assert found is not None
        assert found.to_bytes() == value.to_bytes()
        table = shared._transaction.array_reader("/shared").table()
        assert (table.length == 64).all()
        if kind == "local":
            mine = repo.writable_session("main")
            mine.store.set_sync("read/c/1", value)
            mine.commit("child", rebase_with=icechunk.BasicConflictSolver())

    with busy(read, write, commit):
        for _ in range(12):
            in_child(child)
    shared.commit("shared", rebase_with=icechunk.BasicConflictSolver())
    messages = [info.message for info in repo.ancestry(branch="main")]
    assert messages.count("child") == (12 if kind == "local" else 0)
    array = zarr.open_array(repo.readonly_session("main").store, path="shared", mode="r")
    np.testing.assert_array_equal(array[:], 7)


def fill(arguments: tuple[icechunk.ForkSession, int]) -> icechunk.ForkSession:
    """What a worker process does: write one chunk of the array through its fork."""
    fork, chunk = arguments
    array = zarr.open_array(fork.store, path="a", mode="r+")
    array[8 * chunk : 8 * (chunk + 1)] = chunk + 1
    return fork


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_every_start_method(method, tmp_path):
    repo = icechunk.Repository.create(storage_of("local", tmp_path))
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=64, chunks=8, dtype="i4", fill_value=0)
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        forks = pool.map(fill, [(session.fork(), chunk) for chunk in range(8)])
    session.merge(*forks)
    session.commit("by workers")
    array = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    np.testing.assert_array_equal(array[:], np.repeat(np.arange(1, 9), 8))


def tips(repo: icechunk.Repository) -> str:
    """What a worker process does with a whole repository."""
    session = repo.writable_session("main")
    session.store.session.discard_changes()
    return repo.lookup_branch("main")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_repositories_travel_to_workers_of_every_start_method(method, tmp_path):
    repo = icechunk.Repository.create(storage_of("local", tmp_path))
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(tips, [repo] * 4) == [repo.lookup_branch("main")] * 4


def workers(method: str, repo: icechunk.Repository, count: int) -> list[int]:
    """First cells that worker processes see, each in a session of its own."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(first_cell, [repo] * count)


def first_cell(repo: icechunk.Repository) -> int:
    return int(zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")[0])


def ones(tmp_path: Path, threshold: int = 0) -> icechunk.Repository:
    """A local repository whose array /a of 64 cells in 8 chunks holds ones."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=threshold)
    repo = icechunk.Repository.create(storage_of("local", tmp_path), config)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(64,), chunks=(8,), dtype="i4", fill_value=0)[
        :
    ] = 1
    session.commit("ones")
    return repo


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_r64_workers_of_every_kind_while_threads_of_the_parent_work(method, tmp_path):
    repo = ones(tmp_path)
    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="a", mode="r+")

    def write() -> None:
        array[:] = np.arange(64)

    with busy(write, lambda: first_cell(repo)):
        assert workers(method, repo, 8) == [1] * 8
    session.commit("still whole")
    back = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    np.testing.assert_array_equal(back[:], np.arange(64))


@pytest.mark.parametrize("threshold", [0, 512], ids=["native", "inline"])
def test_a_child_and_its_parent_go_on_with_changes_that_are_not_committed(threshold, tmp_path):
    repo = ones(tmp_path, threshold)
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a", mode="r+")[0:16] = 2

    def child() -> None:
        array = zarr.open_array(session.store, path="a", mode="r+")
        assert array[0:24].tolist() == [2] * 16 + [1] * 8
        array[16:24] = 3  # into a pack of its own: the parent's goes on growing elsewhere
        session.commit("by the child")

    in_child(child)
    zarr.open_array(session.store, path="a", mode="r+")[24:32] = 4
    with pytest.raises(icechunk.ConflictError):
        session.commit("by the parent")
    session.commit("by the parent", rebase_with=icechunk.BasicConflictSolver())
    back = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    assert back[0:40].tolist() == [2] * 16 + [3] * 8 + [4] * 8 + [1] * 8


def test_a_child_is_made_while_asynchronous_work_is_under_way(tmp_path):
    repo = ones(tmp_path)

    async def parent() -> list[str]:
        pending = []
        for number in range(20):
            session = repo.writable_session("main")
            zarr_array = await zarr.api.asynchronous.open_array(
                store=session.store, path="a", mode="r+"
            )
            pending.append(asyncio.create_task(zarr_array.setitem(slice(None), number)))
            pending.append(asyncio.create_task(repo.lookup_branch_async("main")))
            await asyncio.sleep(0)
            if number % 5 == 0:
                in_child(child)
        return [str(done) for done in await asyncio.gather(*pending)]

    def child() -> None:
        # no running loop may be left over in the child: it starts one of its own
        asyncio.events._set_running_loop(None)
        assert first_cell(repo) == 1
        assert asyncio.run(repo.lookup_branch_async("main")) == repo.lookup_branch("main")

    assert len(asyncio.run(parent())) == 40


def test_a_child_of_a_child(tmp_path):
    repo = ones(tmp_path)

    def grandchild() -> None:
        session = repo.writable_session("main")
        zarr.open_array(session.store, path="a", mode="r+")[8:16] = 9
        session.commit("grandchild", rebase_with=icechunk.ConflictDetector())

    def child() -> None:
        session = repo.writable_session("main")
        array = zarr.open_array(session.store, path="a", mode="r+")
        array[0:8] = 8
        in_child(grandchild)
        session.commit("child", rebase_with=icechunk.ConflictDetector())

    in_child(child)
    back = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    assert back[0:24].tolist() == [8] * 8 + [9] * 8 + [1] * 8


def test_dask_forks_in_forked_children(tmp_path):
    repo = ones(tmp_path)
    session = repo.writable_session("main")
    with (
        dask.config.set({"multiprocessing.context": "fork"}),
        busy(lambda: first_cell(repo)),
    ):
        store_dask(
            session,
            sources=[da.arange(64, chunks=8, dtype="i4")],
            targets=[zarr.open_array(session.store, path="a", mode="r+")],
            scheduler="processes",
            num_workers=2,
        )
    session.commit("by dask")
    back = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    np.testing.assert_array_equal(back[:], np.arange(64))
