"""Tests that every storage must pass; each storage's test module subclasses `StorageContract`."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time

import pytest

from icechunk import InvalidInputError, StorageError
from icechunk.core.clock import now_us
from icechunk.core.runtime import map_parallel
from icechunk.storage.base import ObjectInfo, Storage, StorageObjectInfo

ODD_KEYS = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".", "..", "a\\b", "a\0b"]


def keys_below(storage: Storage, prefix: str = "") -> list[str]:
    """List keys, sorted."""
    return sorted(info.key for info in storage.list(prefix))


class StorageContract:
    """Subclasses provide the fixture ``storage``: a storage that holds nothing."""

    has_locks = True
    """Writers of this library wait for each other; else only conditions keep them apart."""
    counts_deletes = True
    """Deleting tells how many objects there were."""
    tries: int | None = 1
    """Attempts of a request by default; None where the common default holds."""

    # -- whole objects -------------------------------------------------------------------------

    def test_put_and_get(self, storage: Storage) -> None:
        storage.put("chunks/ABC", b"hello")
        fetched = storage.get("chunks/ABC")
        assert fetched.data == b"hello"
        assert isinstance(fetched.version, str)
        data, version = fetched
        assert (data, version) == (b"hello", fetched.version)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_takes_all_kinds_of_bytes(self, storage: Storage, kind: type) -> None:
        storage.put("a/b", kind(b"12345"))
        assert storage.create("a/c", kind(b"1")) is not None
        version = storage.get("a/c").version
        assert storage.replace("a/c", kind(b"22"), version) is not None
        assert (storage.get("a/b").data, storage.get("a/c").data) == (b"12345", b"22")

    def test_later_changes_of_a_buffer_do_not_matter(self, storage: Storage) -> None:
        buffer = bytearray(b"before")
        storage.put("a", buffer)
        buffer[:] = b"after!"
        assert storage.get("a").data == b"before"

    def test_empty_object(self, storage: Storage) -> None:
        storage.put("a", b"")
        assert storage.get("a").data == b""
        assert storage.read_range("a", 0, 0) == b""
        assert storage.head("a") is not None

    def test_big_object(self, storage: Storage) -> None:
        data = bytes(range(256)) * (12 * 4096)
        storage.put("big", data)
        assert storage.get("big").data == data
        assert storage.read_range("big", 1_000_001, 5_000_000) == data[1_000_001:6_000_001]

    def test_put_replaces(self, storage: Storage) -> None:
        storage.put("a", b"a long first content")
        storage.put("a", b"second")
        assert storage.get("a").data == b"second"
        assert keys_below(storage) == ["a"]

    def test_missing_object(self, storage: Storage) -> None:
        storage.put("here/a", b"x")
        for key in ("there", "here/b", "here", "here/a/b"):
            for read in (storage.get, lambda key: storage.read_range(key, 0, 1)):
                with pytest.raises(StorageError) as caught:
                    read(key)
                assert caught.value.kind == "object-not-found", key
            assert storage.head(key) is None
        with pytest.raises(StorageError, match="object not found") as caught:
            storage.get("there")
        assert caught.value.kind == "object-not-found"
        assert "there" in str(caught.value)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_keys_never_leave_the_root(self, storage: Storage, key: str) -> None:
        for verb in (
            storage.get,
            storage.head,
            lambda key: storage.read_range(key, 0, 1),
            lambda key: storage.put(key, b"x"),
            lambda key: storage.create(key, b"x"),
        ):
            with pytest.raises(InvalidInputError):
                verb(key)
        assert keys_below(storage) == []

    def test_head(self, storage: Storage) -> None:
        before = now_us()
        storage.put("a/b", b"123")
        info = storage.head("a/b")
        assert info is not None
        assert (info.key, info.size) == ("a/b", 3)
        assert before - 2_000_000 < info.modified < now_us() + 2_000_000

    # -- ranges --------------------------------------------------------------------------------

    def test_ranges(self, storage: Storage) -> None:
        data = bytes(range(100))
        storage.put("a/b", data)
        for offset, length in [(0, 100), (0, 10), (10, 20), (99, 1), (100, 0), (0, 0), (50, 0)]:
            got = storage.read_range("a/b", offset, length)
            assert got == data[offset : offset + length]
            assert isinstance(got, (bytes, memoryview))

    @pytest.mark.parametrize(
        ("offset", "length"), [(0, 11), (9, 2), (10, 1), (50, 1), (-1, 3), (2, -1)]
    )
    def test_range_must_be_there(self, storage: Storage, offset: int, length: int) -> None:
        storage.put("a", b"0123456789")
        with pytest.raises(StorageError) as caught:
            storage.read_range("a", offset, length)
        assert caught.value.kind == "invalid-object-size"

    def test_reading_into_memory(self, storage: Storage) -> None:
        storage.put("a/b", b"0123456789")
        memory = bytearray(b"-" * 6)
        for offset in (0, 3, 4):
            storage.read_into("a/b", offset, memoryview(memory)[1:5])
            assert memory == b"-" + b"0123456789"[offset : offset + 4] + b"-"
        storage.read_into("a/b", 10, memoryview(memory)[:0])
        for key, offset, kind in (
            ("a/b", 8, "invalid-object-size"),
            ("a/b", 0, "invalid-object-size"),
            ("a/b", -1, "invalid-object-size"),
            ("a/c", 0, "object-not-found"),
            ("a/c", 1, "object-not-found"),
        ):
            with pytest.raises(StorageError) as caught:
                storage.read_into(key, offset, memoryview(bytearray(11)))
            assert caught.value.kind == kind

    def test_async_verbs(self, storage: Storage) -> None:
        async def main() -> bytes | memoryview:
            await storage.put_async("a/b", b"0123456789")
            return await storage.read_range_async("a/b", 3, 4)

        assert asyncio.run(main()) == b"3456"

    # -- conditional writes --------------------------------------------------------------------

    def test_create_only_once(self, storage: Storage) -> None:
        version = storage.create("repo", b"one")
        assert version is not None
        assert storage.create("repo", b"two") is None
        assert storage.get("repo").data == b"one"
        assert storage.get("repo").version == version

    def test_create_after_put_and_delete(self, storage: Storage) -> None:
        storage.put("a/b", b"x")
        assert storage.create("a/b", b"y") is None
        storage.delete(["a/b"])
        assert storage.create("a/b", b"y") is not None

    def test_replace(self, storage: Storage) -> None:
        first = storage.create("repo", b"one")
        assert first is not None
        second = storage.replace("repo", b"two", first)
        assert second is not None
        assert second != first
        assert storage.replace("repo", b"three", first) is None, "stale"
        assert storage.get("repo").data == b"two"
        assert storage.get("repo").version == second
        assert storage.replace("repo", b"three", second) is not None

    def test_replace_needs_the_object(self, storage: Storage) -> None:
        assert storage.replace("repo", b"x", "whatever") is None
        version = storage.create("repo", b"one")
        assert version is not None
        storage.delete(["repo"])
        assert storage.replace("repo", b"two", version) is None
        assert keys_below(storage) == []

    def test_one_creator_wins(self, storage: Storage) -> None:
        for round_ in range(10):
            together = threading.Barrier(8)

            def create(
                n: int, key: str = f"refs/tag.{round_}/ref.json", gate: threading.Barrier = together
            ) -> bool:
                gate.wait()
                return storage.create(key, b"%d" % n * 1000) is not None

            wins = map_parallel(create, range(8))
            assert wins.count(True) == 1
            winner = wins.index(True)
            assert storage.get(f"refs/tag.{round_}/ref.json").data == b"%d" % winner * 1000

    def test_no_update_is_lost_between_threads(self, storage: Storage) -> None:
        assert storage.create("counter", b"0") is not None

        def count(_: int) -> int:
            done = tries = 0
            while done < 20:
                data, version = storage.get("counter")
                done += storage.replace("counter", b"%d" % (int(data) + 1), version) is not None
                tries += 1
            return tries

        map_parallel(count, range(6))
        assert storage.get("counter").data == b"120"

    def test_readers_see_whole_states(self, storage: Storage) -> None:
        contents = [bytes([n]) * (10_000 + n) for n in range(40)]
        version = storage.create("repo", contents[0])
        assert version is not None
        stop = threading.Event()
        torn: list[int] = []

        def read(_: int) -> None:
            while not stop.is_set():
                data = storage.get("repo").data
                if data != contents[data[0]]:
                    torn.append(len(data))

        def write(_: int) -> None:
            current: str | None = version
            for content in contents[1:]:
                assert current is not None
                current = storage.replace("repo", content, current)
            stop.set()

        map_parallel(lambda n: write(n) if n == 0 else read(n), range(4))
        assert torn == []

    # -- locks ---------------------------------------------------------------------------------

    def test_lock_is_reentrant_and_excludes(self, storage: Storage) -> None:
        if not self.has_locks:
            with storage.lock("repo"), storage.lock("repo"):
                return
        inside: list[str] = []
        together = threading.Barrier(4)

        def enter(n: int) -> None:
            together.wait()
            for _ in range(5):
                with storage.lock("repo"), storage.lock("repo"):
                    inside.append("in")
                    assert inside.count("in") == inside.count("out") + 1
                    time.sleep(0.0005)
                    inside.append("out")

        map_parallel(enter, range(4))
        assert len(inside) == 40

    def test_writes_inside_the_lock(self, storage: Storage) -> None:
        with storage.lock("repo"):
            version = storage.create("repo", b"1")
            assert version is not None
            assert storage.replace("repo", b"2", version) is not None
        assert keys_below(storage) == ["repo"]

    def test_lock_is_released_by_an_error(self, storage: Storage) -> None:
        with pytest.raises(ZeroDivisionError), storage.lock("repo"):
            raise ZeroDivisionError
        assert map_parallel(lambda _: storage.create("repo", b"x") is not None, range(2)).count(
            True
        )

    # -- listing and deleting ------------------------------------------------------------------

    def test_nothing_is_there_at_first(self, storage: Storage) -> None:
        assert keys_below(storage) == []
        assert keys_below(storage, "chunks") == []
        assert storage.list_objects() == []
        assert storage.delete(["a", "b/c"]) == (0 if self.counts_deletes else 2)

    def test_list(self, storage: Storage) -> None:
        names = ["repo", "chunks/A", "chunks/B", "chunks2/A", "refs/branch.x/ref.json", "refs/y/z"]
        for name in names:
            storage.put(name, name.encode())
        assert keys_below(storage) == sorted(names)
        for prefix in ("chunks", "chunks/", "/chunks"):
            assert keys_below(storage, prefix) == ["chunks/A", "chunks/B"]
        assert keys_below(storage, "refs") == ["refs/branch.x/ref.json", "refs/y/z"]
        assert keys_below(storage, "chun") == [], "prefixes are whole segments"
        assert keys_below(storage, "repo") == [], "an object is not below itself"
        assert keys_below(storage, "nowhere/at/all") == []
        info = next(storage.list("chunks2"))
        assert isinstance(info, ObjectInfo)
        seen = storage.head("chunks2/A")
        assert seen is not None
        assert info[:2] == seen[:2]
        assert abs(info.modified - seen.modified) < 1_000_000, "a header tells whole seconds"

    def test_odd_names_come_back(self, storage: Storage) -> None:
        names = [
            f"refs/branch.{name}/ref.json"
            for name in ("we ird%ü~#?*", "a#1", "%41", ".x", "日本", "a:b")
        ]
        for name in names:
            assert storage.create(name, name.encode()) is not None
        assert keys_below(storage) == sorted(names)
        for name in names:
            assert storage.get(name).data == name.encode()
        assert storage.delete(names) == len(names)

    def test_public_listing(self, storage: Storage) -> None:
        storage.put("chunks/A", b"1")
        storage.put("chunks/B", b"22")
        storage.put("repo", b"333")
        assert storage.list_objects() == [("chunks/A", 1), ("chunks/B", 2), ("repo", 3)]
        assert storage.list_objects(prefix="chunks") == [("A", 1), ("B", 2)]
        found = storage.list_objects_metadata(prefix="chunks/")
        assert [(info.key, info.size_bytes) for info in found] == [("A", 1), ("B", 2)]
        assert isinstance(found[0], StorageObjectInfo)
        assert found[0].created_at.tzinfo is not None
        assert "size_bytes: 1" in str(found[0])
        with pytest.raises(InvalidInputError):
            storage.list_objects(prefix="../..")

    def test_delete(self, storage: Storage) -> None:
        names = [f"chunks/{n:04}" for n in range(600)]
        for name in names:
            storage.put(name, b"x")
        assert storage.delete(iter(names[:590])) == 590
        assert storage.delete(names) == (10 if self.counts_deletes else 600)
        assert keys_below(storage) == []

    def test_delete_while_listing(self, storage: Storage) -> None:
        for n in range(50):
            storage.put(f"chunks/{n}", b"x")
        for info in storage.list("chunks"):
            storage.delete([info.key])
        assert keys_below(storage) == []

    # -- packs and durability ------------------------------------------------------------------

    def test_pack(self, storage: Storage) -> None:
        pack = storage.open_pack("chunks/PACK")
        if pack is None:
            assert storage.pack_target_bytes == 0
            return
        pieces = [bytes([n]) * (n + 1) for n in range(40)]
        offsets = [pack.append(piece) for piece in pieces]
        assert pack.size == sum(map(len, pieces))
        for piece, offset in zip(pieces, offsets, strict=True):
            assert storage.read_range("chunks/PACK", offset, len(piece)) == piece
        storage.sync(["chunks/PACK"])
        pack.close()
        assert storage.get("chunks/PACK").data == b"".join(pieces)

    def test_pack_is_written_by_many_threads(self, storage: Storage) -> None:
        pack = storage.open_pack("chunks/PACK")
        if pack is None:
            return
        pieces = [bytes([n % 251]) * (1000 + n) for n in range(300)]
        offsets = map_parallel(pack.append, pieces, limit=8)
        for piece, offset in zip(pieces, offsets, strict=True):
            assert storage.read_range("chunks/PACK", offset, len(piece)) == piece
        pack.close()
        late = pack.append(b"straggler")
        assert storage.read_range("chunks/PACK", late, 9) == b"straggler"

    def test_sync(self, storage: Storage) -> None:
        keys = [f"chunks/{n}" for n in range(20)] + ["manifests/A", "top"]
        for key in keys:
            storage.put(key, b"x")
        storage.sync(keys)
        storage.sync(iter(keys))
        storage.sync([])
        assert keys_below(storage) == sorted(keys)

    # -- the rest ------------------------------------------------------------------------------

    def test_settings_and_display(self, storage: Storage) -> None:
        settings = storage.default_settings()
        assert (settings.retries and settings.retries.max_tries) == self.tries
        assert repr(storage).startswith("<icechunk.Storage>\ntype: ")
        assert '<div class="icechunk-repr">' in storage._repr_html_()
        assert storage == storage
        assert isinstance(hash(storage), int)
        assert storage.identity

    def test_pickles(self, storage: Storage) -> None:
        storage.put("a", b"x")
        copy = pickle.loads(pickle.dumps(storage))
        assert type(copy) is type(storage)
        copy.put("b", b"y")
        assert copy.get("b").data == b"y"
