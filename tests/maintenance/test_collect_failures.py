"""Garbage collection when objects cannot be deleted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import zarr

import icechunk
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.memory import MemoryStorage
from tests.maintenance.histories import (
    FAR,
    cells,
    commit,
    flush,
    names,
    start,
)


class Stubborn(MemoryStorage):
    """Does not delete some objects, or asks for patience first."""

    def __init__(self) -> None:
        super().__init__()
        self.stays: set[str] = set()
        self.throttled = 0
        self.deletes: list[int] = []

    def delete(self, keys: Iterable[str]) -> int:
        listed = list(keys)
        self.deletes.append(len(listed))
        if self.throttled:
            self.throttled -= 1
            raise StorageError("slow down", ErrorKind.THROTTLED)
        if self.stays.intersection(listed):
            raise StorageError("storage error: locked", ErrorKind.STORAGE_OTHER)
        return super().delete(listed)


def stubborn(lost: int) -> tuple[Stubborn, icechunk.Repository, list[str]]:
    storage = Stubborn()
    repo = icechunk.Repository.create(
        storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=4, chunks=1, dtype="i4", fill_value=1)
    back = session.commit("c0")
    gone = [commit(repo, value) for value in range(2, 2 + lost)]
    repo.reset_branch("main", back)
    return storage, repo, gone


def test_what_cannot_be_deleted_is_counted_and_keeps_what_it_refers_to() -> None:
    storage, repo, gone = stubborn(3)
    storage.stays = {f"snapshots/{gone[1]}"}
    summary = repo.garbage_collect(FAR)
    assert (summary.snapshots_deleted, summary.objects_failed_to_delete) == (2, 1)
    assert len(summary.delete_errors) == 1
    assert summary.delete_errors[0].startswith("1 of 3 objects not deleted")
    assert summary.skipped_phases == ["transaction_logs", "manifests", "chunks"]
    assert summary.manifests_deleted == summary.chunks_deleted == 0
    storage.stays = set()
    summary = repo.garbage_collect(FAR)
    assert (summary.snapshots_deleted, summary.chunks_deleted) == (1, 3)
    assert summary.skipped_phases == []


def test_chunks_that_stay_do_not_skip_anything() -> None:
    storage, repo, _ = stubborn(2)
    storage.stays = {f"chunks/{name}" for name in names(repo, "chunks")}
    summary = repo.garbage_collect(FAR)
    assert (summary.chunks_deleted, summary.objects_failed_to_delete) == (0, 2)
    assert summary.skipped_phases == []


def test_it_gives_up_after_too_many_failures_in_a_row() -> None:
    storage, repo, gone = stubborn(4)
    storage.stays = {f"snapshots/{each}" for each in gone}
    with pytest.raises(StorageError, match="gave up") as failure:
        repo.garbage_collect(FAR, max_consecutive_delete_failures=3)
    assert failure.value.kind == ErrorKind.GC_DELETES_FAILING
    assert cells(repo) == [1, 1, 1, 1]
    assert repo.garbage_collect(FAR, max_consecutive_delete_failures=5).skipped_phases


@pytest.mark.parametrize(("failing", "gives_up"), [(2, False), (3, True)])
def test_the_bound_is_the_number_of_failures_at_which_it_gives_up(
    failing: int, gives_up: bool
) -> None:
    storage, repo, gone = stubborn(failing)
    storage.stays = {f"snapshots/{each}" for each in gone}
    if gives_up:
        with pytest.raises(StorageError, match="gave up: 3 objects in a row"):
            repo.garbage_collect(FAR, max_consecutive_delete_failures=3)
    else:
        summary = repo.garbage_collect(FAR, max_consecutive_delete_failures=3)
        assert summary.objects_failed_to_delete == failing


def test_a_deletion_between_failures_starts_the_count_again() -> None:
    storage, repo, gone = stubborn(5)
    keys = [info.key for info in storage.list("snapshots")]
    dead = [key for key in keys if key.removeprefix("snapshots/") in gone]
    storage.stays = set(dead[::2])
    summary = repo.garbage_collect(FAR, max_consecutive_delete_failures=2)
    assert (summary.snapshots_deleted, summary.objects_failed_to_delete) == (2, 3)


def test_throttled_requests_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    from icechunk.maintenance import garbage_collection

    waits: list[float] = []
    monkeypatch.setattr(garbage_collection.time, "sleep", waits.append)
    storage, repo, _ = stubborn(1)
    storage.throttled = 3
    summary = repo.garbage_collect(FAR)
    assert (summary.throttled_batches, summary.snapshots_deleted) == (3, 1)
    assert summary.objects_failed_to_delete == 0
    assert len(waits) == 3
    assert waits == sorted(waits)


def test_throttling_that_does_not_end_counts_as_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from icechunk.maintenance import garbage_collection

    monkeypatch.setattr(garbage_collection.time, "sleep", lambda seconds: None)
    storage, repo, _ = stubborn(1)
    # the request of all, and then that of the one object alone, are each sent once and repeated
    tries = garbage_collection._PATIENCE + 1
    storage.throttled = 2 * tries - 1
    assert repo.garbage_collect(FAR).snapshots_deleted == 1
    storage, repo, _ = stubborn(1)
    storage.throttled = 2 * tries
    summary = repo.garbage_collect(FAR)
    assert (summary.snapshots_deleted, summary.objects_failed_to_delete) == (0, 1)
    assert len(storage.deletes) == 2 * tries
    assert summary.throttled_batches == 2 * (tries - 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may delete")
def test_folders_that_may_not_be_changed(tmp_path: Path) -> None:
    repo = start("local", tmp_path)
    flush(repo, 2)
    folder = tmp_path / "repo" / "snapshots"
    folder.chmod(0o555)
    try:
        summary = repo.garbage_collect(FAR)
    finally:
        folder.chmod(0o755)
    assert summary.objects_failed_to_delete == 1
