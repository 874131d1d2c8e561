"""A commit never succeeds with data that garbage collection has removed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import zarr

import icechunk
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.engine import durability
from icechunk.spec.repo.updates import GCRan
from icechunk.storage.memory import MemoryStorage
from icechunk.testing import RecordingStorage
from tests.maintenance.histories import FAR, cells, commit, messages, moment, start
from tests.maintenance.test_collect import Between
from tests.repositories import edit


@pytest.fixture(params=[(1, "memory"), (2, "memory"), (1, "local"), (2, "local")])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Repository:
    spec_version, kind = request.param
    return start(kind, tmp_path, spec_version=spec_version)


def test_r6_a_commit_of_collected_chunks_fails(repo: icechunk.Repository) -> None:
    session = repo.writable_session("main")
    edit(session, slice(None), 5)
    assert repo.garbage_collect(FAR).chunks_deleted > 0
    with pytest.raises(StorageError, match=r"chunks of /a.*Nothing was committed") as failure:
        session.commit("of nothing")
    assert failure.value.kind == ErrorKind.OBJECT_NOT_FOUND
    assert messages(repo) == ["c0"]
    assert cells(repo) == [1, 1, 1, 1]
    assert session.has_uncommitted_changes
    assert repo.garbage_collect(FAR).bytes_deleted == 0  # the failed commit left nothing


def test_the_session_can_write_the_data_again(repo: icechunk.Repository) -> None:
    session = repo.writable_session("main")
    edit(session, slice(None), 5)
    repo.garbage_collect(FAR)
    with pytest.raises(StorageError):
        session.commit("of nothing")
    edit(session, slice(None), 6)
    session.commit("again")
    assert cells(repo) == [6, 6, 6, 6]


def test_chunks_written_over_since_are_not_missed(repo: icechunk.Repository) -> None:
    session = repo.writable_session("main")
    edit(session, 0, 5)
    repo.garbage_collect(FAR)
    zarr.open_array(session.store, path="a", mode="r+")[0] = -1  # the fill value: removes it
    session.commit("removed")
    assert cells(repo) == [-1, 1, 1, 1]


@pytest.mark.parametrize("durable", [True, False])
def test_r6_durable_or_not(tmp_path: Path, durable: bool) -> None:
    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=durable)
    repo = icechunk.Repository.create(
        storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=4, chunks=1, dtype="i4", fill_value=-1)[:] = 1
    repo.garbage_collect(FAR)
    with pytest.raises(StorageError, match="chunks of /a") as failure:
        session.commit("of nothing")
    assert failure.value.kind == ErrorKind.OBJECT_NOT_FOUND


def test_amends_flushes_and_merged_forks_fail_too(repo: icechunk.Repository) -> None:
    commit(repo, 2)
    amending, flushing, parent = (repo.writable_session("main") for _ in range(3))
    fork = parent.fork()
    for session in (amending, flushing, fork):
        edit(session, 1, 5)
    repo.garbage_collect(FAR)
    if repo.spec_version == 2:
        with pytest.raises(StorageError, match="Nothing was committed"):
            amending.amend("of nothing")
    with pytest.raises(StorageError, match="Nothing was committed"):
        flushing.flush("of nothing")
    parent.merge(fork)
    with pytest.raises(StorageError, match="Nothing was committed"):
        parent.commit("of nothing")
    assert cells(repo) == [2, 1, 1, 1]


def test_sessions_younger_than_the_cut_off_are_not_disturbed(repo: icechunk.Repository) -> None:
    then = moment()
    session = repo.writable_session("main")
    edit(session, slice(None), 5)
    repo.garbage_collect(then)
    session.commit("fine")
    assert cells(repo) == [5, 5, 5, 5]


# -- a commit in the middle of a collection --------------------------------------------------------


@pytest.mark.parametrize("spec_version", [1, 2])
def test_what_is_committed_before_the_first_delete_is_spared(spec_version: int) -> None:
    """The session began before the collection and commits when everything is decided."""
    storage = Between(MemoryStorage())
    repo = icechunk.Repository.create(
        storage,
        icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0),
        spec_version=spec_version,
    )
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=4, chunks=1, dtype="i4", fill_value=1)
    session.commit("c0")
    late = repo.writable_session("main")
    edit(late, slice(None), 5)

    lists = iter(range(100))
    original = storage.list

    def listing(prefix: str) -> object:
        found = list(original(prefix))
        if prefix == "chunks" and next(lists) == 0:
            late.commit("in between")
        return iter(found)

    storage.list = listing  # type: ignore[method-assign, assignment]
    assert repo.garbage_collect(FAR).chunks_deleted == 0
    assert cells(repo) == [5, 5, 5, 5]


def test_writers_and_collections_at_once_lose_nothing(tmp_path: Path) -> None:
    """Every commit that succeeds can be read, whatever collections run beside it."""
    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=False)
    repo = icechunk.Repository.create(
        storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=8, chunks=1, dtype="i4", fill_value=-1, compressors=None
    )
    session.commit("c0")
    stop = threading.Event()
    done: dict[int, list[int]] = {0: [], 1: []}
    errors: list[BaseException] = []

    def write(number: int) -> None:
        own = icechunk.Repository.open(storage)
        for value in range(1, 25):
            mine = own.writable_session("main")
            try:
                zarr.open_array(mine.store, path="a", mode="r+")[number] = value
                mine.commit(f"{number}:{value}", rebase_with=icechunk.BasicConflictSolver())
                done[number].append(value)
            except StorageError as error:
                if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                    errors.append(error)
            except BaseException as error:
                errors.append(error)

    def collect() -> None:
        own = icechunk.Repository.open(storage)
        while not stop.is_set():
            try:
                own.garbage_collect(FAR)
            except BaseException as error:
                errors.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in done]
    collector = threading.Thread(target=collect)
    for thread in (*writers, collector):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    collector.join()
    assert errors == []
    fresh = icechunk.Repository.open(storage)
    history = [info for info in fresh.ancestry(branch="main") if ":" in info.message]
    assert len(history) == sum(map(len, done.values()))
    for info in history:
        number, value = map(int, info.message.split(":"))
        array = zarr.open_array(
            fresh.readonly_session(snapshot_id=info.id).store, path="a", mode="r"
        )
        assert array[number] == value
    assert fresh.garbage_collect(FAR).bytes_deleted >= 0
    assert fresh.garbage_collect(FAR).bytes_deleted == 0


# -- what it costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("collected", [False, True])
def test_slow_storages_are_asked_only_after_a_collection(collected: bool) -> None:
    storage = RecordingStorage(MemoryStorage())
    storage.blocking_ok = False
    repo = icechunk.Repository.create(
        storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=20, chunks=1, dtype="i4", fill_value=-1)[:] = 1
    if collected:
        repo.garbage_collect(moment().replace(year=2000))
    before = storage.count("head")
    session.commit("c0")
    # 20 chunks, a manifest, a snapshot and a log
    assert storage.count("head") - before == (23 if collected else 0)


def test_a_short_log_that_may_hide_a_collection_counts_as_one() -> None:
    config = icechunk.RepositoryConfig(
        inline_chunk_threshold_bytes=0, num_updates_per_repo_info_file=2
    )
    repo = start(config=config)
    ctx = repo._ctx
    opened = repo.lookup_snapshot(repo.lookup_branch("main")).written_at
    since = icechunk.core.clock.from_datetime(opened)
    assert not durability._collected_since(ctx, since)
    repo.garbage_collect(opened)
    assert isinstance(ctx.ref_store.state().updates[0].kind, GCRan)
    for name in ("x", "y", "z"):
        repo.create_branch(name, repo.lookup_branch("main"))
    assert not any(isinstance(u.kind, GCRan) for u in ctx.ref_store.state().updates)
    assert durability._collected_since(ctx, since)
