"""Object stores: the storage contract on real servers, and what only they do."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import icechunk
from icechunk import StorageError
from icechunk.storage.base import Storage
from tests.servers.places import AzurePlace, GcsPlace, S3Place
from tests.servers.proxy import LOST, Proxy
from tests.storage.contract import StorageContract


class TestMoto(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, moto: S3Place) -> Storage:
        return moto.storage()


class TestAzurite(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, azurite: AzurePlace) -> Storage:
        return azurite.storage()


class TestGoogle(StorageContract):
    """The client's side against a small server of our own: no emulator speaks its language."""

    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, gcs_xml: GcsPlace) -> Storage:
        return gcs_xml.storage()

    def test_versions_are_generations(self, gcs_xml: GcsPlace) -> None:
        with Proxy(gcs_xml.url) as proxy:
            storage = gcs_xml.through(proxy.url).storage()
            first = storage.create("repo", b"same")
            assert first is not None
            assert proxy.requests[-1].headers["x-goog-if-generation-match"] == "0"
            assert proxy.requests[-1].headers["authorization"] == "Bearer token"
            second = storage.replace("repo", b"same", first)
            assert second is not None
            assert proxy.requests[-1].headers["x-goog-if-generation-match"] == first
            assert second != first, "equal content is another version"
            proxy.spoil(LOST, "PUT", "repo")
            assert storage.replace("repo", b"more", second) is not None
            proxy.clear()
            gcs_xml.through(proxy.url).storage(bearer_token=None, anonymous=True).head("repo")
            assert "authorization" not in proxy.requests[-1].headers

    def test_a_repository(self, gcs_xml: GcsPlace) -> None:
        storage = gcs_xml.storage()
        icechunk.Repository.create(storage).create_tag(
            "t", icechunk.Repository.open(storage).lookup_branch("main")
        )
        assert icechunk.Repository.open(storage).list_tags() == {"t"}


@pytest.mark.slow
class TestRadosgw(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, radosgw: S3Place) -> Storage:
        return radosgw.storage()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_gets_an_error_and_does_not_hang(moto: S3Place) -> None:
    storage = moto.storage()
    storage.put("a", b"x")
    child = os.fork()
    if child == 0:
        try:
            storage.get("a")
        except StorageError as error:
            os._exit(0 if error.kind == "storage-config" and "spawn" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert storage.get("a").data == b"x"


def test_a_pickled_repository_works_in_another_process(moto: S3Place) -> None:
    repo = icechunk.Repository.create(moto.storage())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        tip = pool.submit(_tip, pickle.dumps(repo)).result(timeout=60)
    assert tip == repo.lookup_branch("main")


def _tip(pickled: bytes) -> str:
    repo: icechunk.Repository = pickle.loads(pickled)
    return repo.lookup_branch("main")


def test_the_client_is_imported_with_the_first_request() -> None:
    code = """
        import sys, icechunk
        icechunk.s3_storage(bucket="b", prefix="p")
        loaded = {"obstore", "s3fs", "botocore", "aiobotocore"} & set(sys.modules)
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
