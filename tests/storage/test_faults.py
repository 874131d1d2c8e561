"""Faults of the network: lost answers, broken connections, busy servers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import icechunk
from icechunk import StorageError
from icechunk.config.resolve import storage_tuning
from icechunk.core.runtime import map_parallel
from icechunk.storage.base import Storage
from tests.servers.places import S3Place
from tests.servers.proxy import LOST, RESET, STALL, Proxy

QUICK = icechunk.StorageSettings(
    retries=icechunk.StorageRetriesSettings(max_tries=4, initial_backoff_ms=10, max_backoff_ms=50)
)
FAULTS = (LOST, RESET, 408, 409, 429, 499, 500, 503)


@pytest.fixture
def proxy(moto: S3Place) -> Iterator[Proxy]:
    with Proxy(moto.url) as running:
        yield running


@pytest.fixture
def storage(moto: S3Place, proxy: Proxy) -> Storage:
    return moto.through(proxy.url).storage().tuned(storage_tuning(QUICK))


@pytest.mark.parametrize("fault", FAULTS)
class TestConditionalWrites:
    def test_create(self, storage: Storage, proxy: Proxy, fault: str | int) -> None:
        proxy.spoil(fault, "PUT", "/repo")
        version = storage.create("repo", b"mine")
        assert version is not None, "no other writer wrote it"
        assert len(proxy.spoiled) == 1
        assert storage.get("repo").data == b"mine"
        assert storage.get("repo").version == version
        assert storage.create("repo", b"again") is None

    def test_replace(self, storage: Storage, proxy: Proxy, fault: str | int) -> None:
        first = storage.create("repo", b"one")
        assert first is not None
        proxy.spoil(fault, "PUT", "/repo")
        second = storage.replace("repo", b"two", first)
        assert second is not None, "no other writer wrote it"
        assert len(proxy.spoiled) == 1
        assert storage.get("repo").data == b"two"
        assert storage.replace("repo", b"three", second) is not None

    def test_a_race_that_was_lost_stays_lost(
        self, storage: Storage, moto: S3Place, proxy: Proxy, fault: str | int
    ) -> None:
        first = storage.create("repo", b"one")
        assert first is not None
        assert storage.replace("repo", b"another writer's", first) is not None
        proxy.spoil(fault, "PUT", "/repo", times=2)
        assert storage.replace("repo", b"mine", first) is None
        assert storage.create("repo", b"mine") is None
        assert storage.get("repo").data == b"another writer's"


@pytest.mark.parametrize("fault", [LOST, RESET, 408, 429, 499, 500, 503])
def test_the_other_verbs_are_repeated(storage: Storage, proxy: Proxy, fault: str | int) -> None:
    for method, part in (("PUT", "/chunks/A"), ("GET", "/chunks/A"), ("HEAD", "/chunks/A")):
        proxy.spoil(fault, method, part)
    proxy.spoil(fault, "GET", "list-type=2")
    proxy.spoil(fault, "POST", "delete")
    storage.put("chunks/A", b"0123456789")
    assert storage.get("chunks/A").data == b"0123456789"
    proxy.spoil(fault, "GET", "/chunks/A")
    assert storage.read_range("chunks/A", 2, 3) == b"234"
    assert storage.head("chunks/A") is not None
    assert [info.key for info in storage.list("chunks")] == ["chunks/A"]
    storage.delete(["chunks/A"])
    assert storage.head("chunks/A") is None
    assert len(proxy.spoiled) == 6


def test_a_listing_goes_on_where_it_broke(storage: Storage, moto: S3Place, proxy: Proxy) -> None:
    keys = [f"chunks/{n:05}" for n in range(1100)]
    prefix = storage.identity.partition(f"{moto.bucket}/")[2].partition(" ")[0]
    straight = moto.storage(prefix)
    map_parallel(lambda key: straight.put(key, b"x"), keys, limit=8)
    for fault in (LOST, RESET, 499, 500):
        proxy.clear()
        proxy.spoil(fault, "GET", "list-type=2", after=1)
        assert [info.key for info in storage.list("chunks")] == keys, fault
        assert len(proxy.spoiled) == 1
    proxy.spoil(500, "GET", "list-type=2", after=1, times=1000)
    with pytest.raises(StorageError):
        list(storage.list("chunks"))


class TestBounds:
    @pytest.mark.parametrize(("fault", "kind"), [(503, "throttled"), (500, "object-store")])
    def test_tries_are_counted(self, storage: Storage, proxy: Proxy, fault: int, kind: str) -> None:
        proxy.spoil(fault, "GET", "/chunks/A", times=1000)
        with pytest.raises(StorageError, match="tried 4 times") as caught:
            storage.get("chunks/A")
        assert caught.value.kind == kind
        assert len(proxy.spoiled) == 4

    def test_one_try(self, moto: S3Place, proxy: Proxy) -> None:
        once = icechunk.StorageSettings(retries=icechunk.StorageRetriesSettings(1, 0, 0))
        storage = moto.through(proxy.url).storage().tuned(storage_tuning(once))
        proxy.spoil(500, "PUT", "/repo", times=1000)
        for write in (lambda: storage.put("repo", b"x"), lambda: storage.create("repo", b"x")):
            proxy.spoiled.clear()
            with pytest.raises(StorageError) as caught:
                write()
            assert caught.value.kind == "object-store"
            assert len(proxy.spoiled) == 1

    def test_a_conflict_without_end_ends(self, storage: Storage, proxy: Proxy) -> None:
        proxy.spoil(409, "PUT", "/repo", times=1000)
        with pytest.raises(StorageError, match="conditional writes of this store do not work"):
            storage.create("repo", b"x")
        assert 2 <= len(proxy.spoiled) <= 40

    @pytest.mark.parametrize("verb", ["get", "put", "create"])
    def test_a_server_that_falls_silent(self, moto: S3Place, proxy: Proxy, verb: str) -> None:
        limits = icechunk.StorageSettings(
            retries=icechunk.StorageRetriesSettings(2, 10, 20),
            timeouts=icechunk.StorageTimeoutSettings(operation_attempt_timeout_ms=400),
        )
        storage = moto.through(proxy.url).storage().tuned(storage_tuning(limits))
        proxy.spoil(STALL, "GET", "/repo", times=1000)
        proxy.spoil(STALL, "PUT", "/repo", times=1000)
        proxy.spoil(STALL, "HEAD", "/repo", times=1000)
        with pytest.raises(StorageError, match=r"did not answer in time.*timeouts"):
            storage.get("repo") if verb == "get" else getattr(storage, verb)("repo", b"x")
        # Two tries, and of a conditional write two more that read the object back.
        assert 1 <= len(proxy.spoiled) <= 8

    def test_an_operation_has_a_limit_as_a_whole(self, moto: S3Place, proxy: Proxy) -> None:
        limits = icechunk.StorageSettings(
            # More tries than fit into the time limit of a test: only the limit can end them.
            retries=icechunk.StorageRetriesSettings(65_535, 50, 100),
            timeouts=icechunk.StorageTimeoutSettings(operation_timeout_ms=700),
        )
        storage = moto.through(proxy.url).storage().tuned(storage_tuning(limits))
        proxy.spoil(500, "GET", times=100_000)
        began = time.monotonic()
        with pytest.raises(StorageError):
            storage.get("repo")
        assert time.monotonic() - began > 0.3
        assert 1 <= len(proxy.spoiled) < 200


class TestCommits:
    @pytest.mark.parametrize("fault", [LOST, RESET, 409, 503])
    def test_a_commit_whose_answer_is_spoiled(
        self, moto: S3Place, proxy: Proxy, fault: str | int
    ) -> None:
        place = moto.through(proxy.url).storage()
        config = icechunk.RepositoryConfig(storage=QUICK)
        repo = icechunk.Repository.create(place, config)
        import zarr

        for n in range(3):
            session = repo.writable_session("main")
            zarr.open_group(session.store, mode="a").create_group(f"g{n}")
            proxy.spoil(fault, "PUT", "/repo", header="if-match")
            session.commit(f"commit {n}")
        assert len(proxy.spoiled) == 3
        messages = [each.message for each in repo.ancestry(branch="main")]
        assert messages == ["commit 2", "commit 1", "commit 0", "Repository initialized"]

    @pytest.mark.parametrize("fault", [LOST, RESET, 409, 503])
    def test_a_creation_whose_answer_is_spoiled(
        self, moto: S3Place, proxy: Proxy, fault: str | int
    ) -> None:
        place = moto.through(proxy.url).storage()
        proxy.spoil(fault, "PUT", "/repo", header="if-none-match")
        config = icechunk.RepositoryConfig(storage=QUICK)
        repo = icechunk.Repository.create(place, config)
        assert len(proxy.spoiled) == 1
        assert repo.list_branches() == {"main"}
