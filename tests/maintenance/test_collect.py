"""Garbage collection: what goes, what stays, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zarr

import icechunk
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.ids import id_text, new_object_id
from icechunk.files.layout import chunk_key
from icechunk.storage.local import LocalStorage
from icechunk.storage.memory import MemoryStorage
from icechunk.testing import Call, StorageWrapper
from tests.maintenance.histories import (
    FAR,
    ROOT,
    amend,
    at,
    cells,
    commit,
    count,
    flush,
    messages,
    moment,
    names,
    pruned,
    start,
)
from tests.maintenance.test_expire import PAST, make_read_only
from tests.repositories import edit

T = TypeVar("T")


@pytest.fixture(params=[(1, "memory"), (2, "memory"), (1, "local"), (2, "local")])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Repository:
    spec_version, kind = request.param
    return start(kind, tmp_path, spec_version=spec_version)


# -- what goes -------------------------------------------------------------------------------------


def test_a_repository_without_garbage_loses_nothing(repo: icechunk.Repository) -> None:
    commit(repo, 2)
    before = count(repo)
    assert repo.garbage_collect(FAR) == icechunk.maintenance.gc_summary.GCSummary()
    assert count(repo) == before
    assert cells(repo) == [2, 1, 1, 1]


def test_what_a_reset_empty_copy_goes_and_a_second_run_finds_nothing(
    repo: icechunk.Repository,
) -> None:
    back = repo.lookup_branch("main")
    before, sizes = count(repo), size(repo)
    lost = [commit(repo, value) for value in (2, 3)]
    repo.reset_branch("main", back)
    planned = repo.garbage_collect(FAR, dry_run=True)
    assert count(repo) != before
    done = repo.garbage_collect(FAR)
    assert done == planned
    assert (done.snapshots_deleted, done.transaction_logs_deleted) == (2, 2)
    assert (done.manifests_deleted, done.chunks_deleted) == (2, 2)
    assert done.attributes_deleted == done.objects_failed_to_delete == 0
    assert count(repo) == before
    assert done.bytes_deleted > 0
    assert size(repo) == sizes
    assert repo.garbage_collect(FAR).bytes_deleted == 0
    assert cells(repo) == [1, 1, 1, 1]
    for each in lost:
        with pytest.raises(icechunk.SnapshotNotFoundError):
            repo.lookup_snapshot(each)


def size(repo: icechunk.Repository) -> int:
    """Bytes of everything but mutable objects."""
    kinds = ("snapshots", "transactions", "manifests", "chunks")
    return sum(info[1] for kind in kinds for info in repo.storage.list_objects(prefix=kind))


def test_the_cut_off_is_exclusive_and_by_the_storages_time(repo: icechunk.Repository) -> None:
    back = repo.lookup_branch("main")
    lost = commit(repo, 2)
    repo.reset_branch("main", back)
    info = repo.storage.head(f"snapshots/{lost}")
    assert info is not None
    written = icechunk.core.clock.to_datetime(info.modified)
    assert repo.garbage_collect(written).snapshots_deleted == 0
    assert f"{lost}" in names(repo, "snapshots")
    assert repo.garbage_collect(FAR).snapshots_deleted == 1


@pytest.mark.parametrize("kind", ["chunks", "manifests", "transactions"])
def test_an_unreferenced_file_of_exactly_the_cut_off_time_stays(
    repo: icechunk.Repository, kind: str
) -> None:
    key = f"{kind}/{id_text(new_object_id())}"
    repo.storage.put(key, b"left over")
    info = repo.storage.head(key)
    assert info is not None
    repo.garbage_collect(icechunk.core.clock.to_datetime(info.modified))
    assert repo.storage.head(key) is not None
    repo.garbage_collect(icechunk.core.clock.to_datetime(info.modified + 1))
    assert repo.storage.head(key) is None


def test_chunks_of_sessions_that_never_committed_go(repo: icechunk.Repository) -> None:
    before = count(repo)
    session = repo.writable_session("main")
    edit(session, slice(None), 5)
    assert count(repo)["chunks"] > before["chunks"]
    del session
    assert repo.garbage_collect(FAR).chunks_deleted == (1 if is_local(repo) else 4)
    assert count(repo) == before


def is_local(repo: icechunk.Repository) -> bool:
    return isinstance(repo.storage, LocalStorage)


def test_tags_and_branches_keep_their_histories(repo: icechunk.Repository) -> None:
    root = repo.lookup_branch("main")
    one, two = commit(repo, 2), commit(repo, 3)
    repo.create_tag("kept", two)
    repo.create_branch("side", one)
    commit(repo, 9, branch="side")
    repo.reset_branch("main", root)
    assert repo.garbage_collect(FAR).bytes_deleted == 0
    assert at(repo, two) == [3, 1, 1, 1]
    assert messages(repo, "side") == ["c9", "c2", "c0"]
    repo.delete_tag("kept")
    repo.delete_branch("side")
    assert repo.garbage_collect(FAR).snapshots_deleted == 3


def test_files_that_are_not_the_formats_stay(repo: icechunk.Repository) -> None:
    foreign = [
        "chunks/readme.txt", f"chunks/{'a' * 20}", f"chunks/sub/{id_text(new_object_id())}",
        "snapshots/.keep.old", "other/thing", f"attributes/{id_text(new_object_id())}",
    ]  # fmt: skip
    for key in foreign:
        repo.storage.put(key, b"mine")
    stray = chunk_key(new_object_id())
    repo.storage.put(stray, b"foreign")
    assert repo.garbage_collect(FAR).chunks_deleted == 1
    there = {key for key, _ in repo.storage.list_objects()}
    assert stray not in there
    assert {key for key in foreign if not Path(key).name.startswith(".")} <= there


def test_snapshots_beside_the_refs_go_once_they_are_old(repo: icechunk.Repository) -> None:
    then = moment()
    loose = flush(repo, 7)
    repo.garbage_collect(then)
    assert at(repo, loose) == [7, 1, 1, 1]
    assert repo.garbage_collect(FAR).snapshots_deleted == 1
    with pytest.raises(icechunk.SnapshotNotFoundError):
        at(repo, loose)


def test_r28_a_young_snapshot_beside_the_refs_keeps_its_old_manifest(
    repo: icechunk.Repository,
) -> None:
    old = commit(repo, 2)
    repo.create_branch("side", old)
    repo.reset_branch("main", ROOT)
    then = moment()
    session = repo.writable_session("side")
    zarr.create_group(session.store, path="g")
    loose = session.flush("on old manifests")
    repo.delete_branch("side")
    repo.garbage_collect(then)
    assert at(repo, loose) == [2, 1, 1, 1]


def test_a_young_snapshot_beside_the_refs_keeps_its_history(tmp_path: Path) -> None:
    """In spec 1 parents are in the files: without them it could not be listed or expired."""
    repo = start("local", tmp_path, spec_version=1)
    base = repo.lookup_branch("main")
    repo.create_branch("side", base)
    middle = commit(repo, 2, "side")
    lost = commit(repo, 9)
    repo.reset_branch("main", base)
    then = moment()
    loose = flush(repo, 7, "side")
    repo.delete_branch("side")
    assert repo.garbage_collect(then).snapshots_deleted == 1  # what the reset left behind
    assert lost not in names(repo, "snapshots")
    assert at(repo, loose) == [7, 1, 1, 1]
    assert at(repo, middle) == [2, 1, 1, 1]
    assert [info.id for info in repo.ancestry(snapshot_id=loose)][:3] == [loose, middle, base]
    diff = repo.diff(from_snapshot_id=base, to_snapshot_id=loose)
    assert list(diff.updated_chunks) == ["/a"]
    assert repo.garbage_collect(FAR).snapshots_deleted == 2


def test_what_is_left_of_a_young_snapshots_history_is_kept(tmp_path: Path) -> None:
    repo = start("local", tmp_path, spec_version=1)
    base = repo.lookup_branch("main")
    repo.create_branch("side", base)
    first, second = commit(repo, 2, "side"), commit(repo, 3, "side")
    then = moment()
    loose = flush(repo, 7, "side")
    repo.delete_branch("side")
    repo.storage.delete([f"snapshots/{first}"])
    repo = icechunk.Repository.open(repo.storage)
    repo.garbage_collect(then)
    assert at(repo, loose) == [7, 1, 1, 1]
    assert at(repo, second) == [3, 1, 1, 1]


def test_forks_under_way_keep_what_they_are_based_on(repo: icechunk.Repository) -> None:
    then = moment()
    session = repo.writable_session("main")
    edit(session, 0, 5)
    fork = session.fork()
    edit(fork, 1, 6)
    repo.garbage_collect(then)
    session.merge(fork)
    session.commit("merged")
    assert cells(repo) == [5, 6, 1, 1]


def test_a_damaged_leftover_does_not_stop_the_collection(repo: icechunk.Repository) -> None:
    repo.storage.put(f"snapshots/{id_text(new_object_id())}", b"not a snapshot")
    repo.garbage_collect(PAST)
    assert repo.garbage_collect(FAR).snapshots_deleted == 1


def test_a_missing_file_that_is_needed_stops_it_before_anything_is_changed(
    repo: icechunk.Repository,
) -> None:
    back = repo.lookup_branch("main")
    commit(repo, 2)
    repo.reset_branch("main", back)
    manifest = repo.list_manifest_files(back)[0].id
    repo.storage.delete([f"manifests/{manifest}"])
    before = {key for key, _ in repo.storage.list_objects()}
    with pytest.raises(StorageError) as refusal:
        repo.garbage_collect(FAR)
    assert refusal.value.kind == ErrorKind.OBJECT_NOT_FOUND
    assert {key for key, _ in repo.storage.list_objects()} == before


async def test_it_has_an_asynchronous_twin(repo: icechunk.Repository) -> None:
    repo.storage.put(chunk_key(new_object_id()), b"stray")
    assert (await repo.garbage_collect_async(FAR)).chunks_deleted == 1


# -- packs -----------------------------------------------------------------------------------------


def test_a_pack_lives_while_any_chunk_in_it_does(tmp_path: Path) -> None:
    repo = start("local", tmp_path)
    commit(repo, 2)
    assert repo.pack_usage().dead_bytes == 0
    repo.expire_snapshots(FAR)
    assert repo.garbage_collect(FAR).chunks_deleted == 0
    usage = repo.pack_usage()
    assert (usage.objects, usage.stored_bytes, usage.live_bytes) == (2, 20, 16)
    assert usage.dead_bytes == 4
    assert "dead_bytes: 4" in str(usage)
    session = repo.writable_session("main")
    edit(session, slice(None), 9)
    session.commit("all again")
    repo.expire_snapshots(FAR)
    assert repo.garbage_collect(FAR).chunks_deleted == 2
    assert repo.pack_usage().dead_bytes == 0
    assert cells(repo) == [9, 9, 9, 9]


# -- the list of snapshots (spec 2) ----------------------------------------------------------------


def test_survivors_of_a_collected_parent_move_up_and_remember_it() -> None:
    repo = start()
    base = repo.lookup_branch("main")
    replaced = commit(repo, 2)
    session = repo.writable_session("main")
    edit(session, 1, 7)
    amend(repo, 3)
    then = moment()
    child = session.flush("child of what was replaced")
    repo.garbage_collect(then)
    assert repo.lookup_snapshot(child).parent_id == base
    assert pruned(repo)[child] == [replaced]
    assert at(repo, child) == [2, 7, 1, 1]
    told = repo.diff(from_snapshot_id=base, to_snapshot_id=child)
    assert sorted(told.updated_chunks["/a"]) == [[0], [1]]
    assert replaced in names(repo, "transactions")
    assert replaced not in names(repo, "snapshots")


def test_the_run_is_on_record_unless_it_is_dry() -> None:
    repo = start()
    repo.garbage_collect(PAST, dry_run=True)
    assert not isinstance(next(repo.ops_log()).kind, icechunk.UpdateType.GCRan)
    repo.garbage_collect(PAST)
    assert isinstance(next(repo.ops_log()).kind, icechunk.UpdateType.GCRan)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_read_only_repository_is_left_alone(dry_run: bool) -> None:
    repo = start()
    make_read_only(repo)
    with pytest.raises(icechunk.ReadOnlyError, match="Cannot garbage collect"):
        repo.garbage_collect(FAR, dry_run=dry_run)


class Between(StorageWrapper):
    """Does something once, right before the next replacement of the repo object."""

    def __init__(self, inner: icechunk.Storage) -> None:
        super().__init__(inner)
        self.then: Callable[[], object] | None = None

    def lock(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()  # as object stores: others are not kept out

    def around(self, call: Call, run: Callable[[], T]) -> T:
        then = self.then
        if then is not None and call.verb == "replace" and call.keys == ("repo",):
            self.then = None
            then()
        return run()


@pytest.mark.parametrize("cut", ["garbage_collect", "expire_snapshots"])
def test_r27_a_commit_between_read_and_write_is_not_undone(cut: str) -> None:
    storage = Between(MemoryStorage())
    icechunk.Repository.create(storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0))
    repo = icechunk.Repository.open(storage)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=4, chunks=1, dtype="i4", fill_value=1)
    session.commit("c0")
    lost = flush(repo, 8)
    storage.then = lambda: [commit(repo, 2), repo.create_branch("new", repo.lookup_branch("main"))]
    getattr(repo, cut)(FAR)
    assert cells(repo) == [2, 1, 1, 1]
    assert "new" in repo.list_branches()
    assert messages(repo)[0] == "c2"
    with pytest.raises(icechunk.SnapshotNotFoundError):
        repo.lookup_snapshot(lost)


def test_a_branch_created_meanwhile_saves_what_was_to_go() -> None:
    storage = Between(MemoryStorage())
    repo = icechunk.Repository.create(
        storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=4, chunks=1, dtype="i4", fill_value=1)
    session.commit("c0")
    loose = flush(repo, 8)
    storage.then = lambda: repo.create_branch("saved", loose)
    assert repo.garbage_collect(FAR).bytes_deleted == 0
    assert cells(repo, "saved") == [8, 1, 1, 1]


def test_r29_skewed_clocks_cost_no_transaction_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot is kept by what the storage says of its file, and its log with it."""
    from icechunk.core.clock import now_us
    from icechunk.engine import flush as flushing

    for skew in (-500_000_000, 500_000_000):
        repo = start()
        with monkeypatch.context() as patched:
            patched.setattr(flushing, "now_us", lambda skew=skew: now_us() + skew)
            then = moment()
            loose = flush(repo, 3)
        repo.garbage_collect(then)
        assert at(repo, loose) == [3, 1, 1, 1]
        assert repo.inspect_transaction_log(loose)["updated_chunks"]
        repo.garbage_collect(FAR)
        assert loose not in names(repo, "transactions")


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_snapshots_in_memory": 0}, ValueError),
        ({"max_snapshots_in_memory": -1}, OverflowError),
        ({"max_snapshots_in_memory": 70_000}, OverflowError),
        ({"max_concurrent_manifest_fetches": 0}, ValueError),
        ({"max_compressed_manifest_mem_bytes": 0}, ValueError),
        ({"max_compressed_manifest_mem_bytes": 2**65}, OverflowError),
        ({"max_decoded_manifest_mem_bytes": 1.5}, TypeError),
        ({"max_concurrent_deletes": 0}, ValueError),
        ({"max_concurrent_deletes": 2**20}, OverflowError),
        ({"max_consecutive_delete_failures": 0}, ValueError),
        ({"max_consecutive_delete_failures": 2**40}, OverflowError),
        ({"max_concurrent_listings": 0}, ValueError),
        ({"dry_run": 1}, TypeError),
    ],
)
def test_arguments_are_checked_as_in_the_reference(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    repo = start()
    with pytest.raises(error, match=r"zero value|target type|integer|bool"):
        repo.garbage_collect(FAR, **arguments)


def test_naive_times_are_refused() -> None:
    with pytest.raises(TypeError, match="non-None tzinfo"):
        start().garbage_collect(datetime(2030, 1, 1))


def test_generous_limits_are_accepted() -> None:
    repo = start()
    summary = repo.garbage_collect(
        FAR,
        max_snapshots_in_memory=1,
        max_compressed_manifest_mem_bytes=2**40,
        max_decoded_manifest_mem_bytes=2**40,
        max_concurrent_manifest_fetches=1,
        max_concurrent_deletes=1,
        max_consecutive_delete_failures=1,
        max_concurrent_listings=3,
    )
    assert str(summary).startswith("<icechunk.ops.GCSummary>\nbytes_deleted: 0\n")
    assert repr(summary) == str(summary)
    assert "skipped_phases" in summary._repr_html_()
