"""Zarr's test suite for stores."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, cpu
from zarr.core.sync import _collect_aiterator, sync
from zarr.testing.store import StoreTests

import icechunk
from icechunk.store import IcechunkStore
from tests.store.documents import GROUP, OLDER_ZARR, PROTOTYPE, array_document


class TestIcechunkStore(StoreTests[IcechunkStore, cpu.Buffer]):
    """The suite's tests use free-form keys and documents; an Icechunk store takes only those of a
    hierarchy. The overriding tests state the same rules with such keys."""

    store_cls = IcechunkStore
    buffer_cls = cpu.Buffer

    @pytest.fixture(params=["memory", "local"])
    def store_kwargs(self, request, tmp_path) -> dict[str, Any]:
        storage = (
            icechunk.in_memory_storage()
            if request.param == "memory"
            else icechunk.local_filesystem_storage(tmp_path / "r", durable=False)
        )
        return {"store": icechunk.Repository.create(storage).writable_session("main")}

    async def set(self, store: IcechunkStore, key: str, value: Buffer) -> None:
        """Write a key; create the array first if the key is a chunk."""
        path, mark, _ = ("/" + key).rpartition("/c/")
        transaction = store._transaction
        if not mark:
            transaction.set_metadata(
                ("/" + key).removesuffix("/zarr.json") or "/", value.to_bytes()
            )
            return
        if transaction.node(path or "/") is None:
            transaction.set_metadata(
                path or "/", array_document((100,) * (key.count("/") - path.count("/")))
            )
        coords = tuple(int(part) for part in key.rpartition("c/")[2].split("/"))
        transaction.set_chunk(path or "/", coords, value.to_bytes())

    async def get(self, store: IcechunkStore, key: str) -> Buffer:
        found = store.get_sync(key)
        assert found is not None
        return found

    @property
    def group(self) -> Buffer:
        return self.buffer_cls.from_bytes(GROUP)

    def test_store_repr(self, store):
        # `str` is what Zarr shows within a line.
        assert str(store) == "<icechunk.IcechunkStore main @ 1CECHNKREP0F1RSTCMT0>"
        assert repr(store).splitlines()[0] == "<icechunk.IcechunkStore>"

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing

    @pytest.mark.parametrize("read_only", [True, False])
    async def test_store_open_read_only(self, open_kwargs, read_only):
        store = self.store_cls(**open_kwargs, read_only=read_only)
        assert store._is_open
        assert store.read_only == read_only

    async def test_store_context_manager(self, open_kwargs):
        with self.store_cls(**open_kwargs) as store:
            assert store._is_open
        assert not store._is_open

    @pytest.fixture
    async def store(self, open_kwargs):
        return self.store_cls(**open_kwargs)

    @pytest.fixture
    async def store_not_open(self, store_kwargs):
        return self.store_cls(**store_kwargs).with_read_only(False)

    async def test_serializable_store(self, store):
        """Writable stores do not pickle; those of forks and of read-only sessions do."""
        with pytest.raises(ValueError, match="You must opt-in to pickle writable sessions"):
            pickle.dumps(store)

    async def test_read_only_store_raises(self, open_kwargs):
        store = self.store_cls(**open_kwargs, read_only=True)
        for attempt in (store.set("zarr.json", self.group), store.delete_dir("")):
            with pytest.raises(icechunk.ReadOnlyError) as caught:
                await attempt
            assert caught.value.kind == icechunk.ErrorKind.READ_ONLY_STORE
        await store.delete("a/zarr.json")  # nothing there: nothing to refuse
        assert await store.is_empty("")

    async def test_with_read_only_store(self, open_kwargs):
        store = self.store_cls(**open_kwargs, read_only=True)
        writer = store.with_read_only(False)
        assert not writer._is_open
        await writer.set("zarr.json", self.group)
        assert await store.exists("zarr.json")
        with pytest.raises(icechunk.ReadOnlyError):
            await store.with_read_only(True).set("zarr.json", self.group)

    @pytest.mark.parametrize("key", ["c/0", "foo/c/0", "foo/bar/c/0/1"])
    @pytest.mark.parametrize(
        ("data", "byte_range"),
        [
            (b"\x01\x02\x03\x04", None),
            (b"\x01\x02\x03\x04", RangeByteRequest(1, 4)),
            (b"\x01\x02\x03\x04", OffsetByteRequest(1)),
            (b"\x01\x02\x03\x04", SuffixByteRequest(1)),
            (bytes(700), RangeByteRequest(600, 700)),
        ],
    )
    async def test_get(self, store, key, data, byte_range):
        await super().test_get(store, key, data, byte_range)

    async def test_get_many(self, store):
        await self.set(store, "c/0", self.buffer_cls.from_bytes(b"0"))
        for key in range(1, 10):
            await self.set(store, f"c/{key}", self.buffer_cls.from_bytes(str(key).encode()))
        requests = [(f"c/{key}", PROTOTYPE, None) for key in range(10)]
        found = await _collect_aiterator(store._get_many(requests))
        assert sorted((k, b.to_bytes()) for k, b in found) == [
            (f"c/{key}", str(key).encode()) for key in range(10)
        ]

    @pytest.mark.parametrize("key", ["c/0", "foo/c/0", "foo/bar/c/0/1"])
    @pytest.mark.parametrize("data", [b"\x01\x02\x03\x04", bytes(1000)])
    async def test_getsize(self, store, key, data):
        await super().test_getsize(store, key, data)

    async def test_getsize_prefix(self, store):
        for name in ("a", "ab"):
            document = array_document((9, 9))
            await store.set(f"{name}/zarr.json", self.buffer_cls.from_bytes(document))
            for chunk in ("0/0", "0/1", "1/0"):
                await store.set(f"{name}/c/{chunk}", self.buffer_cls.from_bytes(b"1234"))
        assert await store.getsize_prefix("a") == len(document) + 3 * 4
        assert await store.getsize_prefix("a/c") == 3 * 4
        assert await store.getsize_prefix("a/c/0") == 2 * 4
        assert await store.getsize_prefix("missing") == 0

    @pytest.mark.parametrize("key", ["zarr.json", "foo/zarr.json", "foo/bar/zarr.json"])
    @pytest.mark.parametrize("data", [GROUP, array_document()])
    async def test_set(self, store, key, data):
        await super().test_set(store, key, data)

    async def test_set_not_open(self, store_not_open):
        await store_not_open.set("zarr.json", self.buffer_cls.from_bytes(array_document((9,))))
        await super().test_set_not_open(store_not_open)

    async def test_set_many(self, store):
        values = {
            "zarr.json": GROUP,
            "foo/zarr.json": array_document((9, 9)),
        }
        await store._set_many((k, self.buffer_cls.from_bytes(v)) for k, v in values.items())
        chunks = {f"foo/c/{i}/{i}": bytes([i]) * (300 * i) for i in range(1, 5)}
        await store._set_many((k, self.buffer_cls.from_bytes(v)) for k, v in chunks.items())
        for key, value in {**values, **chunks}.items():
            assert (await self.get(store, key)).to_bytes() == value

    @pytest.mark.parametrize(
        "key_ranges",
        [
            [],
            [("zarr.json", RangeByteRequest(0, 2))],
            [("a/c/0", RangeByteRequest(0, 2)), ("a/zarr.json", None)],
            [
                ("a/c/0", RangeByteRequest(0, 2)),
                ("a/c/1", SuffixByteRequest(2)),
                ("a/c/2", OffsetByteRequest(2)),
            ],
        ],
    )
    async def test_get_partial_values(self, store, key_ranges):
        await self.set(store, "zarr.json", self.group)
        for i in range(3):
            await self.set(store, f"a/c/{i}", self.buffer_cls.from_bytes(b"12345678"))
        found = await store.get_partial_values(PROTOTYPE, key_ranges)
        expected = [await store.get(key, PROTOTYPE, request) for key, request in key_ranges]
        assert None not in found
        assert [b.to_bytes() for b in found] == [b.to_bytes() for b in expected]

    async def test_exists(self, store):
        assert not await store.exists("foo/zarr.json")
        await store.set("foo/zarr.json", self.group)
        assert await store.exists("foo/zarr.json")

    async def test_delete(self, store):
        await store.set("foo/zarr.json", self.group)
        await store.delete("foo/zarr.json")
        assert not await store.exists("foo/zarr.json")

    async def test_delete_dir(self, store):
        await store.set("zarr.json", self.group)
        await store.set("foo-bar/zarr.json", self.group)
        await store.set("foo/zarr.json", self.buffer_cls.from_bytes(array_document((9,))))
        await store.set("foo/c/0", self.buffer_cls.from_bytes(b"chunk"))
        await store.delete_dir("foo")
        assert await store.exists("zarr.json")
        assert await store.exists("foo-bar/zarr.json")
        assert not await store.exists("foo/zarr.json")
        assert not await store.exists("foo/c/0")

    async def test_delete_nonexistent_key_does_not_raise(self, store):
        await store.delete("nothing/zarr.json")
        await store.delete("nothing/c/0")

    async def test_is_empty(self, store):
        assert await store.is_empty("")
        await store.set("foo/bar/zarr.json", self.group)
        assert not await store.is_empty("")
        assert await store.is_empty("fo")
        assert not await store.is_empty("foo/")
        assert not await store.is_empty("foo")
        assert await store.is_empty("spam/")

    async def test_clear(self, store):
        await store.set("zarr.json", self.group)
        await store.set("foo/zarr.json", self.group)
        await store.clear()
        assert await store.is_empty("")

    async def test_list(self, store):
        assert await _collect_aiterator(store.list()) == ()
        await store.set("foo/zarr.json", self.buffer_cls.from_bytes(array_document((20,))))
        keys = [f"foo/c/{index}" for index in range(10)]
        for key in keys:
            await store.set(key, self.buffer_cls.from_bytes(b"x"))
        assert sorted(await _collect_aiterator(store.list())) == sorted([*keys, "foo/zarr.json"])

    async def test_list_prefix(self, store):
        prefixes = ["", "a/", "a/b/", "a/b/c/"]
        for prefix in [*prefixes, "a-b/"]:
            await store.set(prefix + "zarr.json", self.group)
        for prefix in prefixes:
            found = sorted(await _collect_aiterator(store.list_prefix(prefix)))
            expected = [p + "zarr.json" for p in [*prefixes, "a-b/"] if p.startswith(prefix)]
            assert found == sorted(expected)
        assert sorted(await _collect_aiterator(store.list_prefix("a"))) == sorted(
            await _collect_aiterator(store.list_prefix("a/"))
        )

    async def test_list_prefix_of_nothing(self, store):
        with pytest.raises(icechunk.InvalidInputError) as caught:
            await _collect_aiterator(store.list_prefix("missing"))
        assert caught.value.kind == icechunk.ErrorKind.BAD_KEY_PREFIX

    async def test_list_empty_path(self, store):
        for name in ("bar", "baz"):
            await store.set(
                f"foo/{name}/zarr.json", self.buffer_cls.from_bytes(array_document((9,)))
            )
            await store.set(f"foo/{name}/c/1", self.buffer_cls.from_bytes(b"x"))
        everything = sorted(f"foo/{n}/{k}" for n in ("bar", "baz") for k in ("zarr.json", "c/1"))
        assert sorted(await _collect_aiterator(store.list())) == everything
        assert sorted(await _collect_aiterator(store.list_prefix(""))) == everything
        assert sorted(await _collect_aiterator(store.list_prefix("foo/bar/"))) == everything[:2]

    async def test_list_dir(self, store):
        assert await _collect_aiterator(store.list_dir("")) == ()
        assert await _collect_aiterator(store.list_dir("foo")) == ()
        await store.set("zarr.json", self.group)
        await store.set("foo/zarr.json", self.group)
        await store.set("foo/x/zarr.json", self.buffer_cls.from_bytes(array_document((9, 9))))
        assert sorted(await _collect_aiterator(store.list_dir(""))) == ["foo", "zarr.json"]
        for spelling in ("foo", "foo/"):
            found = sorted(await _collect_aiterator(store.list_dir(spelling)))
            assert found == ["x", "zarr.json"]
        # As with the reference library, before a chunk is written too.
        assert sorted(await _collect_aiterator(store.list_dir("foo/x"))) == ["c", "zarr.json"]
        assert await _collect_aiterator(store.list_dir("foo/x/c")) == ()
        await store.set("foo/x/c/1/2", self.buffer_cls.from_bytes(b"x"))
        await store.set("foo/x/c/1/3", self.buffer_cls.from_bytes(b"x"))
        assert sorted(await _collect_aiterator(store.list_dir("foo/x"))) == ["c", "zarr.json"]
        assert await _collect_aiterator(store.list_dir("foo/x/c")) == ("1",)
        assert sorted(await _collect_aiterator(store.list_dir("foo/x/c/1"))) == ["2", "3"]

    async def test_set_if_not_exists(self, store):
        await store.set("zarr.json", self.group)
        other = self.buffer_cls.from_bytes(GROUP.replace(b"{}", b'{"a": 1}'))
        await store.set_if_not_exists("zarr.json", other)
        assert await store.get("zarr.json", PROTOTYPE) == self.group
        await store.set_if_not_exists("b/zarr.json", other)
        assert await store.get("b/zarr.json", PROTOTYPE) == other

    @OLDER_ZARR
    async def test_get_bytes(self, store):
        await store.set("zarr.json", self.group)
        assert await store._get_bytes("zarr.json", prototype=PROTOTYPE) == GROUP
        with pytest.raises(FileNotFoundError):
            await store._get_bytes("missing/zarr.json", prototype=PROTOTYPE)

    @OLDER_ZARR
    def test_get_bytes_sync(self, store):
        sync(store.set("zarr.json", self.group))
        assert store._get_bytes_sync("zarr.json", prototype=PROTOTYPE) == GROUP

    @OLDER_ZARR
    async def test_get_json(self, store):
        await store.set("zarr.json", self.group)
        assert await store._get_json("zarr.json", prototype=PROTOTYPE) == json.loads(GROUP)

    @OLDER_ZARR
    def test_get_json_sync(self, store):
        sync(store.set("zarr.json", self.group))
        assert store._get_json_sync("zarr.json", prototype=PROTOTYPE) == json.loads(GROUP)

    def test_get_sync(self, store):
        store.set_sync("zarr.json", self.group)
        assert store.get_sync("zarr.json") == self.group

    @pytest.mark.parametrize("direction", ["set_async_get_sync", "set_sync_get_async"])
    async def test_sync_async_set_get_parity(self, store, direction):
        await store.set("zarr.json", self.buffer_cls.from_bytes(array_document((3,))))
        data = self.buffer_cls.from_bytes(b"1234")
        if direction == "set_async_get_sync":
            await store.set("c/0", data)
            assert store.get_sync("c/0") == data
        else:
            store.set_sync("c/0", data)
            assert await store.get("c/0", prototype=PROTOTYPE) == data

    async def test_delete_sync_visible_to_async_get(self, store):
        self.test_set_sync(store)
        store.delete_sync("c/2")
        assert await store.get("c/2", prototype=PROTOTYPE) is None

    @pytest.mark.parametrize(
        "byte_range",
        [None, RangeByteRequest(1, 4), OffsetByteRequest(1), SuffixByteRequest(1)],
        ids=["none", "range", "offset", "suffix"],
    )
    async def test_get_sync_byte_range_parity(self, store, byte_range):
        await store.set("zarr.json", self.buffer_cls.from_bytes(array_document((3,))))
        await store.set("c/0", self.buffer_cls.from_bytes(b"1234"))
        found = await store.get("c/0", prototype=PROTOTYPE, byte_range=byte_range)
        assert store.get_sync("c/0", byte_range=byte_range) == found

    def test_get_sync_missing(self, store):
        assert store.get_sync("missing/zarr.json") is None
        assert store.get_sync("missing/c/0") is None

    def test_set_sync(self, store):
        store.set_sync("zarr.json", self.buffer_cls.from_bytes(array_document((3,))))
        store.set_sync("c/2", self.buffer_cls.from_bytes(b"abc"))
        assert store.get_sync("c/2", byte_range=SuffixByteRequest(2)).to_bytes() == b"bc"

    def test_delete_sync(self, store):
        self.test_set_sync(store)
        store.delete_sync("c/2")
        assert store.get_sync("c/2") is None

    def test_delete_sync_missing(self, store):
        store.delete_sync("missing/zarr.json")
