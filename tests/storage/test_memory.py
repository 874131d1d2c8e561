"""The in-memory storage."""

from __future__ import annotations

import pickle

import pytest

from icechunk import StorageError, in_memory_storage
from icechunk.storage.base import Storage
from tests.storage.contract import StorageContract, keys_below


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return in_memory_storage()

    def test_stores_are_separate(self, storage: Storage) -> None:
        storage.put("a", b"x")
        other = in_memory_storage()
        assert keys_below(other) == []
        assert other.identity != storage.identity

    def test_a_pickled_copy_is_empty(self, storage: Storage) -> None:
        storage.put("a", b"x")
        copy = pickle.loads(pickle.dumps(storage))
        with pytest.raises(StorageError, match="object not found"):
            copy.get("a")

    def test_equal_content_is_another_version(self, storage: Storage) -> None:
        first = storage.create("repo", b"same")
        assert first is not None
        second = storage.replace("repo", b"same", first)
        assert second is not None
        assert second != first

    def test_reads_do_not_copy(self, storage: Storage) -> None:
        data = bytes(100)
        storage.put("a", data)
        assert storage.get("a").data is data
        assert storage.read_range("a", 0, 100) is data
        part = storage.read_range("a", 10, 20)
        assert isinstance(part, memoryview)
        assert part.obj is data
        assert part.readonly
