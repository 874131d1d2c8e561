"""Dask arrays written through forks, on every scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import ConflictError, ForkSession, Repository
from icechunk.dask import (
    computing_meta,
    in_session,
    merge_sessions_array_kwargs,
    session_merge_reduction,
    store_dask,
)
from icechunk.distributed import extract_session, merge_sessions

da = pytest.importorskip("dask.array")

SHAPE = (6, 8)


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """Two arrays of 6 x 8 in chunks of 2 x 2, on disk so that other processes find them."""
    repo = Repository.create(icechunk.local_filesystem_storage(tmp_path / "repo"))
    session = repo.writable_session("main")
    group = zarr.group(session.store)
    for name in ("a", "b"):
        group.create_array(name, shape=SHAPE, chunks=(2, 2), dtype="f8")
    session.commit("arrays")
    return repo


def arrays(session: Any, mode: Any = "r+") -> list[Any]:
    group = zarr.open_group(session.store, mode=mode)
    return [group["a"], group["b"]]


def values() -> list[Any]:
    first = np.arange(48.0).reshape(SHAPE)
    return [first, first + 1000]


def lazy() -> list[Any]:
    return [da.from_array(value, chunks=(2, 4)) for value in values()]


def check(repo: Repository) -> None:
    found = arrays(repo.readonly_session("main"), "r")
    for array, value in zip(found, values(), strict=True):
        assert np.array_equal(array[:], value)


@pytest.mark.parametrize(
    ("scheduler", "split_every"),
    [("synchronous", None), ("threads", None), ("threads", 2), ("processes", 2)],
)
def test_arrays_of_a_fork_on_every_scheduler(
    repo: Repository, scheduled: Any, scheduler: str, split_every: int | None
) -> None:
    session = repo.writable_session("main")
    fork = session.fork()
    merged = store_dask(
        sources=lazy(), targets=arrays(fork), split_every=split_every, **scheduled(scheduler)
    )
    assert isinstance(merged, ForkSession)
    assert not session.has_uncommitted_changes
    session.merge(merged)
    assert {path: len(chunks) for path, chunks in session.status().updated_chunks.items()} == {
        "/a": 12,
        "/b": 12,
    }
    session.commit("dask")
    check(repo)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_session_given_is_written_through_a_fork_of_it(
    repo: Repository, scheduled: Any, scheduler: str
) -> None:
    session = repo.writable_session("main")
    arrays(session)[0].attrs["note"] = "uncommitted changes of the session stay"
    merged = store_dask(session, sources=lazy(), targets=arrays(session), **scheduled(scheduler))
    assert isinstance(merged, ForkSession)
    session.commit("dask")
    check(repo)
    assert arrays(repo.readonly_session("main"), "r")[0].attrs["note"].startswith("uncommitted")


def test_regions(repo: Repository) -> None:
    session = repo.writable_session("main")
    fork = session.fork()
    part = (slice(2, 6), slice(0, 4))
    merged = store_dask(
        sources=[da.full((4, 4), 7.0, chunks=2)], targets=arrays(fork)[:1], regions=[part]
    )
    session.merge(merged)
    assert len(session.status().updated_chunks["/a"]) == 4
    assert np.array_equal(arrays(session)[0][part], np.full((4, 4), 7.0))
    assert not arrays(session)[0][:2].any()


def test_writing_twice_in_one_session_keeps_both(repo: Repository, scheduled: Any) -> None:
    session = repo.writable_session("main")
    for source, target, scheduler in zip(
        lazy(), arrays(session), ("threads", "processes"), strict=True
    ):
        store_dask(session, sources=[source], targets=[target], **scheduled(scheduler))
    store_dask(session, sources=lazy(), targets=arrays(session), scheduler="threads")
    session.commit("twice")
    check(repo)


@pytest.mark.slow
def test_a_cluster_of_processes(repo: Repository, process_cluster: Any) -> None:
    session = repo.writable_session("main")
    with process_cluster.get_client():
        fork = session.fork()
        session.merge(store_dask(sources=lazy(), targets=arrays(fork)))
        session.commit("cluster")
        check(repo)


def write_one(session: Any, name: str, value: float) -> Any:
    zarr.open_group(session.store, mode="r+")[name][0, 0] = value
    return session


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:`Session.allow_pickling`:DeprecationWarning")
def test_copies_made_under_allow_pickling_come_back_from_a_cluster(
    repo: Repository, process_cluster: Any
) -> None:
    session = repo.writable_session("main")
    with process_cluster.get_client() as client, session.allow_pickling():
        work = [client.submit(write_one, session, *each) for each in (("a", 3.0), ("b", 4.0))]
        copies = client.gather(work)
        passed_on = client.submit(write_one, copies[0], "b", 5.0)  # sent once more
        assert passed_on.result(timeout=90).has_uncommitted_changes
    session.merge(*copies)
    session.commit("cluster")
    found = [array[0, 0] for array in arrays(repo.readonly_session("main"), "r")]
    assert found == [3.0, 4.0]


def test_a_fork_that_lost_a_race_for_a_chunk_is_not_merged(repo: Repository) -> None:
    session = repo.writable_session("main")
    forks = [session.fork(), session.fork()]
    for number, fork in enumerate(forks):
        arrays(fork)[0][0, 0] = number + 1
    with pytest.raises(ConflictError, match="both wrote chunks of /a"):
        merge_sessions(*forks)


def test_sources_and_targets_must_fit(repo: Repository) -> None:
    session = repo.writable_session("main")
    fork = session.fork()
    with pytest.raises(ValueError, match="Different number of sources"):
        store_dask(sources=lazy(), targets=arrays(fork)[:1])
    with pytest.raises(ValueError, match="expected at least one source"):
        store_dask(sources=[], targets=[])
    with pytest.raises(TypeError, match="only accepts ForkSession"):
        store_dask(sources=lazy(), targets=arrays(session))
    other = zarr.create_array(zarr.storage.MemoryStore(), shape=(2,), dtype="i4")
    with pytest.raises(TypeError, match="MemoryStore, which has no session"):
        store_dask(sources=[da.ones(2)], targets=[other])
    assert not session.has_uncommitted_changes


def test_the_reduction_takes_one_array_or_many(repo: Repository) -> None:
    session = repo.writable_session("main")
    fork = session.fork()
    options = {"lock": False, "compute": False, "return_stored": True, "load_stored": False}
    stored = da.store(lazy(), arrays(fork), **options)
    session.merge(session_merge_reduction(list(stored), split_every=2, scheduler="threads"))
    one = da.store(lazy()[0], arrays(session.fork())[0], **options)
    session.merge(session_merge_reduction(one, split_every=None))
    session.commit("reduced")
    check(repo)


@pytest.mark.parametrize(
    "what",
    [5, None, [5], ["a"], [None], [np.zeros(3)], zarr.array([1, 2]), object()],
    ids=["int", "None", "ints", "strings", "Nones", "numpy", "zarr", "object"],
)
def test_only_dask_arrays_are_reduced(what):
    with pytest.raises(TypeError, match="Expected a dask array"):
        session_merge_reduction(what, split_every=None)


def test_only_arrays_of_sessions_are_reduced():
    with pytest.raises(TypeError, match="has no session"):
        session_merge_reduction(da.zeros(4, chunks=2), split_every=None, scheduler="sync")
    for what in (5, None, np.zeros(3), zarr.array([1, 2])):
        with pytest.raises(TypeError, match="has no session"):
            extract_session(what)


def test_merging_forks(repo: Repository) -> None:
    session = repo.writable_session("main")
    forks = [session.fork() for _ in range(3)]
    for number, fork in enumerate(forks):
        arrays(fork)[0][0, 2 * number] = number + 1
    first = merge_sessions([[forks[0]], [forks[1], forks[2]]])  # type: ignore[list-item]
    assert first is forks[0]
    assert merge_sessions_array_kwargs(first, [forks[1]], axis=(0,), keepdims=True) is first
    session.merge(first)
    assert arrays(session)[0][0].tolist() == [1, 0, 2, 0, 3, 0, 0, 0]
    for wrong in (session, 3, (forks[0],)):
        with pytest.raises(TypeError, match="merge_sessions only accepts ForkSession objects"):
            merge_sessions(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected at least one"):
        merge_sessions()
    with pytest.raises(ValueError, match="expected at least one"):
        merge_sessions([])


def test_the_session_of_an_array(repo: Repository) -> None:
    session = repo.writable_session("main")
    fork = session.fork()
    assert extract_session(arrays(session)[0], axis=0, keepdims=False) == session
    assert isinstance(extract_session(arrays(fork)[0]), ForkSession)


def test_an_array_moves_to_a_fork_with_its_configuration(repo: Repository) -> None:
    session = repo.writable_session("main")
    array = zarr.create_array(
        session.store,
        name="all",
        shape=(4,),
        chunks=(2,),
        dtype="f8",
        config={"write_empty_chunks": True},
    )
    fork = session.fork()
    moved = in_session(array, fork)
    moved[:] = 0
    assert moved.nchunks_initialized == 2
    assert array.nchunks_initialized == 0


def test_meta_is_computed_without_calling_the_function() -> None:
    def fail(x: int) -> int:
        if x < 0:
            raise AssertionError
        return x

    wrapped = computing_meta(fail)
    assert wrapped(3) == 3
    placeholder = wrapped(-1, computing_meta=True)
    assert placeholder.dtype == object
    assert wrapped.__name__ == "fail"
