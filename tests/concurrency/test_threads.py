"""Threads on one session or repository: no acknowledged write is lost, no partial state read."""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import cpu

import icechunk
from tests.repositories import storage_of

CHUNKS = 40
SECONDS = 90


@pytest.fixture(autouse=True)
def _dump_when_it_hangs() -> Iterator[None]:
    """Say where every thread is when a test hangs, and switch threads as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    faulthandler.dump_traceback_later(SECONDS, exit=False, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()
    sys.setswitchinterval(interval)


@pytest.fixture(params=["memory", "local"])
def repo(request, tmp_path) -> icechunk.Repository:
    """A repository with the arrays /a to /d of one cell per chunk; large payloads are native."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=64)
    repo = icechunk.Repository.create(storage_of(request.param, tmp_path), config)
    session = repo.writable_session("main")
    for name in "abcd":
        zarr.create_array(
            session.store, name=name, shape=(CHUNKS,), chunks=(1,), dtype="u1", compressors=None
        )
    session.commit("empty arrays")
    return repo


def together(*jobs: Callable[[], None]) -> None:
    """Run every job in a thread of its own, all at once; raise what one of them raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], None]) -> None:
        try:
            start.wait(SECONDS)
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    end = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


def payload(mark: int, size: int) -> cpu.Buffer:
    return cpu.Buffer.from_bytes(bytes([mark]) * size)


def stored(session: icechunk.Session, key: str) -> bytes | None:
    found = session.store.get_sync(key)
    return None if found is None else found.to_bytes()


def test_what_was_written_before_a_commit_is_in_it(repo):
    session = repo.writable_session("main")
    written: dict[str, bytes] = {}
    refused = threading.Semaphore(0)

    def writer(name: str, size: int) -> Callable[[], None]:
        def write() -> None:
            for mark in range(1, 200):
                for chunk in range(CHUNKS):
                    key, value = f"{name}/c/{chunk}", payload(mark, size)
                    try:
                        session.store.set_sync(key, value)
                    except (icechunk.ReadOnlyError, icechunk.SessionStateError):
                        refused.release()
                        return
                    written[key] = value.to_bytes()

        return write

    def commit() -> None:
        while len(written) < 20:
            time.sleep(0)
        session.commit("in between")

    together(writer("a", 1), writer("b", 100), writer("c", 50), writer("d", 5000), commit)
    after = repo.readonly_session("main")
    for key, value in written.items():
        seen = stored(after, key)
        assert seen is not None
        assert seen == value or seen[0] == value[0] + 1  # a write that was refused half-way
        assert seen == value


def test_a_chunk_that_is_written_over_is_never_seen_in_part(repo):
    session = repo.writable_session("main")
    sizes = [10, 200, 3000]  # inline and native, in turns
    stop = threading.Event()
    session.store.set_sync("a/c/0", payload(0, sizes[0]))

    def write() -> None:
        try:
            for mark in range(1, 1500):
                session.store.set_sync("a/c/0", payload(mark % 250, sizes[mark % 3]))
                if mark % 100 == 0:
                    session.merge(session.fork())  # what was written becomes a layer
        finally:
            stop.set()

    def read() -> None:
        seen = 0
        while not stop.is_set() or seen == 0:
            found = stored(session, "a/c/0")
            assert found is not None
            assert len(found) in sizes
            assert found == found[:1] * len(found)
            seen += 1

    together(write, read, read)


def test_questions_about_a_session_that_is_being_written_to(repo):
    session = repo.writable_session("main")
    stop = threading.Event()

    def write(name: str) -> Callable[[], None]:
        def work() -> None:
            try:
                for mark in range(1, 40):
                    for chunk in range(CHUNKS):
                        key = f"{name}/c/{chunk}"
                        if (chunk + mark) % 3:
                            session.store.set_sync(key, payload(mark, 10 if chunk % 2 else 100))
                        else:
                            session.store.delete_sync(key)
                    if mark % 10 == 0:
                        group = zarr.create_group(session.store, path=f"{name}{mark}")
                        group.attrs["made"] = mark
            finally:
                stop.set()

        return work

    def ask() -> None:
        while not stop.is_set():
            status = session.status()
            assert set(status.updated_chunks) <= {"/a", "/b"}
            assert len(session.chunk_references("/a")) <= CHUNKS
            for key in session.store.list():
                assert key
            assert sum(len(batch[0]) for batch in session.store.array_chunk_iterator("b")) >= 0
            assert session.has_uncommitted_changes in (True, False)

    def fork() -> None:
        while not stop.is_set():
            child = session.fork()
            assert child.status().is_empty()
            for chunk in range(0, CHUNKS, 7):
                found = stored(child, f"a/c/{chunk}")
                assert found is None or found == found[:1] * len(found)

    together(write("a"), write("b"), ask, fork)
    session.commit("all")
    assert repo.readonly_session("main").store.session.snapshot_id == session.snapshot_id


def test_one_handle_serves_many_threads(repo):
    base = repo.lookup_branch("main")
    rounds = 6

    def refs(number: int) -> Callable[[], None]:
        def work() -> None:
            for one in range(rounds):
                repo.create_branch(f"b{number}-{one}", base)
                repo.create_tag(f"t{number}-{one}", base)
                assert repo.lookup_branch(f"b{number}-{one}") == base
                repo.delete_branch(f"b{number}-{one}")

        return work

    def commits(name: str) -> Callable[[], None]:
        def work() -> None:
            for one in range(rounds):
                session = repo.writable_session("main")
                session.store.set_sync(f"{name}/c/{one}", payload(one + 1, 100))
                session.commit(f"{name}{one}", rebase_with=icechunk.ConflictDetector())

        return work

    def look() -> None:
        for _ in range(rounds * 2):
            history = list(repo.ancestry(branch="main"))
            assert history[-1].parent_id is None
            tip = history[0].id
            if tip != base:
                repo.diff(from_snapshot_id=base, to_snapshot_id=tip)
            list(repo.ops_log())
            repo.list_tags()
            repo.readonly_session(snapshot_id=tip)

    together(refs(0), refs(1), commits("a"), commits("b"), look)
    assert len(list(repo.ancestry(branch="main"))) == 2 + 2 * rounds
    assert len(repo.list_tags()) == 2 * rounds
    assert repo.list_branches() == {"main"}
    after = repo.readonly_session("main")
    for name in "ab":
        for one in range(rounds):
            assert stored(after, f"{name}/c/{one}") == bytes([one + 1]) * 100


def test_only_one_of_several_commits_of_a_session_happens(repo):
    session = repo.writable_session("main")
    session.store.set_sync("a/c/0", payload(1, 100))
    made: list[str] = []
    refused: list[icechunk.IcechunkError] = []

    def commit() -> None:
        try:
            made.append(session.commit("mine"))
        except icechunk.SessionStateError as error:
            refused.append(error)

    together(*[commit] * 6)
    assert len(made) == 1
    assert {error.kind for error in refused} <= {"not-allowed", "commit-not-allowed"}
    assert repo.lookup_branch("main") == made[0]
    assert len(list(repo.ancestry(branch="main"))) == 3


class Slow(icechunk.BasicConflictSolver):
    """Takes their chunks, and gives other threads time between the decision and its effect."""

    def __init__(self, seen: threading.Event) -> None:
        super().__init__(on_chunk_conflict=icechunk.VersionSelection.UseTheirs)
        self.seen = seen

    def solve(self, *args: Any) -> Any:
        outcome = super().solve(*args)
        self.seen.set()
        time.sleep(0.05)
        return outcome


@pytest.mark.parametrize("how", ["commit", "rebase"])
def test_what_is_written_during_a_rebase_is_kept_or_refused(repo, how):
    session, theirs = repo.writable_session("main"), repo.writable_session("main")
    for one in (theirs, session):
        one.store.set_sync("a/c/0", payload(1 if one is theirs else 2, 100))
    theirs.commit("theirs")
    deciding = threading.Event()
    written: list[str] = []

    def write() -> None:
        assert deciding.wait(20)
        for chunk in range(1, CHUNKS):
            try:
                session.store.set_sync(f"a/c/{chunk}", payload(3, 10))
            except (icechunk.SessionStateError, icechunk.ReadOnlyError):
                continue
            written.append(f"a/c/{chunk}")

    def rebase() -> None:
        if how == "commit":
            session.store.set_sync("b/c/0", payload(4, 10))
            session.commit("ours", rebase_with=Slow(deciding))
        else:
            session.rebase(Slow(deciding))

    together(write, rebase)
    assert stored(session, "a/c/0") == bytes([1]) * 100
    for key in written:
        assert stored(session, key) == bytes([3]) * 10


@pytest.mark.parametrize("skip", [False, True])
def test_sessions_that_skip_unchanged_chunks_from_many_threads(skip, tmp_path):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=64, skip_unchanged_chunks=skip)
    repo = icechunk.Repository.create(storage_of("local", tmp_path), config)
    session = repo.writable_session("main")
    values = np.arange(1, CHUNKS + 1, dtype="u1")
    zarr.create_array(
        session.store, name="a", shape=(CHUNKS,), chunks=(1,), dtype="u1", compressors=None
    )[:] = values
    session.commit("values")
    session = repo.writable_session("main")

    def write(number: int) -> Callable[[], None]:
        def work() -> None:
            array = zarr.open_array(session.store, path="a", mode="r+")
            mine = slice(number * 10, number * 10 + 10)
            for turn in range(8):
                array[mine] = 200 + turn
                array[mine] = values[mine]

        return work

    together(*[write(number) for number in range(4)])
    assert session.has_uncommitted_changes is not skip
    array = zarr.open_array(session.store, path="a", mode="r")
    np.testing.assert_array_equal(array[:], values)


def test_a_session_takes_in_forks_while_others_write_it() -> None:
    """Dask's threads write one fork and merge others into it at the same time."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    root = zarr.create_group(session.store)
    names = [f"a{number}" for number in range(60)]
    for name in (*names, "merged"):
        root.create_array(name, shape=(60,), chunks=(1,), dtype="i4", fill_value=0)
    session.commit("arrays")
    fork = repo.writable_session("main").fork()
    others = []
    for number in range(60):
        other = repo.writable_session("main").fork()
        zarr.open_array(other.store, path="merged")[number] = 1
        others.append(other)

    def write() -> None:
        group = zarr.open_group(fork.store)
        for name in names:
            group[name][:3] = 1

    def merge() -> None:
        for other in others:
            fork.merge(other)

    together(write, merge)
    back = repo.writable_session("main")
    back.merge(fork)
    group = zarr.open_group(back.store)
    assert group["merged"][:].tolist() == [1] * 60
    assert all(group[name][:4].tolist() == [1, 1, 1, 0] for name in names)
