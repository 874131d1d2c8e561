"""Repositories in file systems of fsspec: the same contract, and conditions where they exist."""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem

import icechunk
from icechunk import InvalidInputError, StorageError, StorageSettings
from icechunk.storage import fsspec_storage
from icechunk.storage.base import Storage
from icechunk.storage.fsspec import FsspecStorage
from icechunk.storage.local import LocalStorage
from icechunk.storage.probe import Conditions, conditions
from tests.servers.places import AZURE_ACCOUNT, AZURE_KEY, AzurePlace, S3Place, fresh
from tests.servers.proxy import LOST, Proxy
from tests.storage.contract import StorageContract

GIVEN_UP = icechunk.RepositoryConfig(
    storage=StorageSettings(
        unsafe_use_conditional_create=False, unsafe_use_conditional_update=False
    )
)


def s3fs_options(place: S3Place) -> dict[str, Any]:
    return {
        "key": place.access_key_id,
        "secret": place.secret_access_key,
        "client_kwargs": {"endpoint_url": place.url, "region_name": "us-east-1"},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }


class FsspecContract(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    def test_a_repository(self, storage: Storage) -> None:
        repo = icechunk.Repository.create(storage)
        session = repo.writable_session("main")
        data = np.arange(1000, dtype="i4")
        zarr.create_array(session.store, name="a", data=data, chunks=(100,))
        session.commit("x")
        again = icechunk.Repository.open(pickle.loads(pickle.dumps(storage)))
        if isinstance(storage, FsspecStorage) and "memory" not in storage.identity:
            assert conditions(storage) == Conditions(True, True, True)
        back = zarr.open_array(again.readonly_session("main").store, path="a")[:]
        assert np.array_equal(back, data)


class TestS3fs(FsspecContract):
    @pytest.fixture
    def storage(self, moto: S3Place) -> Storage:
        return fsspec_storage(f"s3://{moto.bucket}/{fresh()}", storage_options=s3fs_options(moto))


# aiohttp warns of what these libraries do
BIG_BODIES = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@BIG_BODIES
class TestGcsfs(FsspecContract):
    @pytest.fixture
    def storage(self, fake_gcs: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
        # a search for a kind of bucket that emulators do not know takes a minute
        monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        pytest.importorskip("gcsfs", reason="no gcsfs: it belongs to the test extra")
        options = {"endpoint_url": fake_gcs, "token": "anon"}
        return fsspec_storage(f"gs://testbucket/{fresh()}", storage_options=options)


@BIG_BODIES
class TestAdlfs(FsspecContract):
    @pytest.fixture
    def storage(self, azurite: AzurePlace) -> Storage:
        pytest.importorskip("adlfs", reason="no adlfs: it belongs to the test extra")
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
            f"BlobEndpoint={azurite.url};"
        )
        options = {"connection_string": connection}
        return fsspec_storage(f"az://{azurite.container}/{fresh()}", storage_options=options)


class TestMemory(FsspecContract):
    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        name = uuid.uuid4().hex
        yield fsspec_storage(f"memory://{name}/x")
        MemoryFileSystem.store.clear()


def test_local_files_are_our_local_storage(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}/r", f"{tmp_path}/r", f"local://{tmp_path}/r"):
        made = fsspec_storage(url)
        assert isinstance(made, LocalStorage)
        assert made.root == str(tmp_path / "r")


def test_a_file_system_that_is_there_already(moto: S3Place) -> None:
    import s3fs

    fs = s3fs.S3FileSystem(**s3fs_options(moto))
    prefix = fresh()
    made = fsspec_storage(f"{moto.bucket}/{prefix}", fs)
    made.put("a/b", b"x")
    assert moto.storage(prefix).get("a/b").data == b"x", "one place, two doors"
    assert "testsecret" not in repr(made) + str(made) + made._repr_html_() + made.identity


class OddFileSystem(MemoryFileSystem):
    """A file system whose conditional writes are not known."""

    protocol = "odd"
    store: dict[str, Any] = {}  # noqa: RUF012 - as the class it comes from
    pseudo_dirs = [""]  # noqa: RUF012


class TestOthers:
    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        OddFileSystem.store.clear()
        yield fsspec_storage(f"/{uuid.uuid4().hex}", OddFileSystem(skip_instance_cache=True))
        OddFileSystem.store.clear()

    def test_writing_is_refused(self, storage: Storage) -> None:
        for attempt in (
            lambda: icechunk.Repository.create(storage),
            lambda: storage.create("repo", b"x"),
            lambda: storage.replace("repo", b"x", "v"),
        ):
            with pytest.raises(StorageError, match="'odd' has no conditional writes") as caught:
                attempt()
            assert caught.value.kind == "storage-config"
        assert storage.list_objects() == []

    def test_unless_the_user_insists(self, storage: Storage) -> None:
        repo = icechunk.Repository.create(storage, GIVEN_UP)
        session = repo.writable_session("main")
        zarr.open_group(session.store, mode="a").attrs["x"] = 1
        session.commit("alone")
        again = icechunk.Repository.open(storage)
        assert next(each.message for each in again.ancestry(branch="main")) == "alone"

    def test_the_top_of_it_all(self) -> None:
        with pytest.raises(InvalidInputError, match="name a folder"):
            icechunk.Repository.create(fsspec_storage("/", OddFileSystem()))

    @pytest.mark.parametrize("url", ["nosuch://x/y", "s3://"])
    def test_nonsense(self, url: str) -> None:
        with pytest.raises((StorageError, InvalidInputError)):
            icechunk.Repository.create(fsspec_storage(url))


class TestLostAnswers:
    def test_own_writes_are_recognised(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            place = moto.through(proxy.url)
            storage = fsspec_storage(
                f"s3://{moto.bucket}/{fresh()}", storage_options=s3fs_options(place)
            )
            for fault in (LOST, 409, 503):
                key = f"ref{fault}"
                proxy.spoil(fault, "PUT", key)
                version = storage.create(key, b"one")
                assert version is not None
                proxy.spoil(fault, "PUT", key)
                assert storage.replace(key, b"two", version) is not None
                assert storage.replace(key, b"three", version) is None
                assert storage.get(key).data == b"two"
            assert len(proxy.spoiled) == 6

    def test_big_replacements_keep_their_condition(self, moto: S3Place) -> None:
        """The file system's own writes forget it from twice a block on."""
        options = {**s3fs_options(moto), "default_block_size": 5 * 2**20}
        storage = fsspec_storage(f"s3://{moto.bucket}/{fresh()}", storage_options=options)
        big = bytes(12 * 2**20)
        version = storage.create("repo", big)
        assert version is not None
        assert storage.replace("repo", big + b"1", version) is not None
        assert storage.replace("repo", big + b"2", version) is None
        assert storage.create("repo", big) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_reading_after_a_fork(moto: S3Place) -> None:
    storage = fsspec_storage(f"s3://{moto.bucket}/{fresh()}", storage_options=s3fs_options(moto))
    storage.put("a", b"x")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if storage.get("a").data == b"x" else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
