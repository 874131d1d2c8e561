"""Walks over a whole repository take no more requests and memory than they were given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import zarr

import icechunk
from icechunk.maintenance.bounded_walk import BoundedWalk, MemoryBudget
from icechunk.maintenance.limits import Limits
from icechunk.spec.snapshot.snapshot import ManifestInfo
from icechunk.storage.memory import MemoryStorage
from icechunk.testing import Call, StorageWrapper
from tests.maintenance.histories import FAR

T = TypeVar("T")

MANIFESTS = 12


class InFlight(StorageWrapper):
    """Knows how many files of a kind, and how many bytes of them, were being read at once."""

    def __init__(self, inner: MemoryStorage) -> None:
        super().__init__(inner)
        self.blocking_ok = False
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._now: dict[str, list[int]] = {}
        self.most: dict[str, int] = {}
        self.most_bytes: dict[str, int] = {}

    def around(self, call: Call, run: Callable[[], T]) -> T:
        kind, _, name = call.keys[0].partition("/") if call.keys else ("", "", "")
        if call.verb not in ("get", "read_range") or not name:
            return run()
        info = self.inner.head(call.keys[0])
        size = 0 if info is None else info.size
        with self._lock:
            now = self._now.setdefault(kind, [])
            now.append(size)
            self.most[kind] = max(self.most.get(kind, 0), len(now))
            self.most_bytes[kind] = max(self.most_bytes.get(kind, 0), sum(now))
        time.sleep(0.01)
        try:
            return run()
        finally:
            with self._lock:
                now.remove(size)


@pytest.fixture
def storage() -> InFlight:
    """A repository of a dozen manifests and as many commits."""
    storage = InFlight(MemoryStorage())
    repo = icechunk.Repository.create(
        storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    for number in range(MANIFESTS):
        session = repo.writable_session("main")
        array = zarr.create_array(
            session.store, name=f"a{number}", shape=20, chunks=1, dtype="i4", fill_value=-1
        )
        array[:] = number
        session.commit(f"c{number}")
    storage.clear()
    return storage


def _collect(repo: icechunk.Repository, **limits: int) -> object:
    return repo.garbage_collect(FAR, **limits)


def _stats(repo: icechunk.Repository, **limits: int) -> object:
    return repo.chunk_storage_stats(**limits)


WALKS = pytest.mark.parametrize("walk", [_collect, _stats])


@WALKS
def test_without_limits_files_are_read_side_by_side(storage: InFlight, walk: Any) -> None:
    walk(icechunk.Repository.open(storage))
    assert storage.most["manifests"] > 3
    assert storage.most["snapshots"] > 3


@WALKS
@pytest.mark.parametrize("limit", [1, 3])
def test_manifests_fetched_at_once(storage: InFlight, walk: Any, limit: int) -> None:
    walk(icechunk.Repository.open(storage), max_concurrent_manifest_fetches=limit)
    assert storage.most["manifests"] == limit


@WALKS
@pytest.mark.parametrize("limit", [1, 3])
def test_snapshots_in_memory_at_once(storage: InFlight, walk: Any, limit: int) -> None:
    walk(icechunk.Repository.open(storage), max_snapshots_in_memory=limit)
    assert storage.most["snapshots"] == limit


@WALKS
def test_compressed_bytes_at_once(storage: InFlight, walk: Any) -> None:
    sizes = [info.size for info in storage.inner.list("manifests")]
    assert len(sizes) == MANIFESTS
    limit = 2 * max(sizes) + min(sizes) // 2
    walk(icechunk.Repository.open(storage), max_compressed_manifest_mem_bytes=limit)
    assert max(sizes) < storage.most_bytes["manifests"] <= limit
    assert storage.most["manifests"] == 2
    storage.clear()
    # What is larger than the limit is read all the same, alone.
    walk(icechunk.Repository.open(storage), max_compressed_manifest_mem_bytes=1)
    assert storage.most["manifests"] == 1


@WALKS
def test_decoded_bytes_at_once(storage: InFlight, walk: Any) -> None:
    walk(icechunk.Repository.open(storage), max_decoded_manifest_mem_bytes=1)
    assert storage.most["manifests"] == 1


def test_limits_change_no_result(storage: InFlight) -> None:
    repo = icechunk.Repository.open(storage)
    tight = {
        "max_snapshots_in_memory": 1,
        "max_concurrent_manifest_fetches": 2,
        "max_compressed_manifest_mem_bytes": 1,
        "max_decoded_manifest_mem_bytes": 1,
    }
    assert repo.chunk_storage_stats(**tight) == repo.chunk_storage_stats()
    assert repo.chunk_storage_stats().native_bytes > 0
    back = repo.lookup_snapshot(repo.lookup_branch("main")).parent_id
    assert back is not None
    repo.reset_branch("main", back)
    planned = repo.garbage_collect(FAR, dry_run=True)
    assert repo.garbage_collect(FAR, **tight) == planned
    assert planned.manifests_deleted == 1


def test_room_is_given_back_after_errors() -> None:
    room = MemoryBudget(10, 10)
    for _ in range(3):
        with pytest.raises(KeyError), room.taken(100, 1):
            raise KeyError
    with room.taken(5, 5), room.taken(5, 5):
        pass


def test_an_error_ends_a_walk_whatever_waits() -> None:
    walk = BoundedWalk(Limits(compressed_bytes=1), one_by_one=False)
    infos = [ManifestInfo(bytes([number]) * 12, 5, 5) for number in range(9)]  # type: ignore[arg-type]

    def read(info: ManifestInfo) -> int:
        if info.id[0] == 4:
            raise ValueError("no")
        return info.id[0]

    with pytest.raises(ValueError, match="no"):
        list(walk.manifests(read, infos))
    assert list(walk.manifests(lambda info: info.id[0], infos)) == list(range(9))
