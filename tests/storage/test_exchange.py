"""Repositories in object stores, shared with the reference library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from tests.oracle import run_reference
from tests.servers.places import AzurePlace, S3Place
from tests.servers.proxy import LOST, Proxy

pytestmark = pytest.mark.oracle

CREATE = """
    import icechunk, numpy as np, zarr
    storage = getattr(icechunk, args[0])(**args[1])
    repo = icechunk.Repository.create(storage, spec_version=args[2])
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", data=np.arange(1000, dtype="i4"), chunks=(100,))
    session.commit("theirs")
    repo.create_tag("v1", repo.lookup_branch("main"))
    result = repo.lookup_branch("main")
"""
CONTINUE = """
    import icechunk, zarr
    repo = icechunk.Repository.open(getattr(icechunk, args[0])(**args[1]))
    array = zarr.open_array(repo.writable_session("main").store, path="a", mode="r")
    total = int(array[:].sum())
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a")[0] = 7
    session.commit("theirs again")
    result = [total, [each.message for each in repo.ancestry(branch="main")]]
"""


def there_and_back(make: str, arguments: dict[str, Any], spec_version: int) -> None:
    """They create, we go on, they go on, we read; then the other way round."""
    tip = run_reference(CREATE, make, arguments, spec_version)
    repo = icechunk.Repository.open(getattr(icechunk, make)(**arguments))
    assert repo.lookup_branch("main") == tip == repo.lookup_tag("v1")
    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="a")
    assert np.array_equal(array[:], np.arange(1000))
    array[500:] = 1
    session.commit("ours")
    total, messages = run_reference(CONTINUE, make, arguments)
    assert total == np.arange(500).sum() + 500
    assert messages[:2] == ["theirs again", "ours"]
    assert zarr.open_array(repo.readonly_session("main").store, path="a")[0] == 7


@pytest.mark.parametrize("spec_version", [1, 2])
class TestThereAndBack:
    def test_s3(self, moto: S3Place, spec_version: int) -> None:
        there_and_back("s3_storage", moto.arguments(), spec_version)

    def test_azure(self, azurite: AzurePlace, spec_version: int) -> None:
        there_and_back("azure_storage", azurite.arguments(), spec_version)

    @pytest.mark.slow
    def test_ceph(self, radosgw: S3Place, spec_version: int) -> None:
        there_and_back("s3_storage", radosgw.arguments(), spec_version)


def test_what_we_create_they_continue(moto: S3Place) -> None:
    arguments = moto.arguments()
    repo = icechunk.Repository.create(icechunk.s3_storage(**arguments))
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", data=np.arange(1000, dtype="i4"), chunks=(100,))
    session.commit("ours")
    total, messages = run_reference(CONTINUE, "s3_storage", arguments)
    assert total == np.arange(1000).sum()
    assert messages == ["theirs again", "ours", "Repository initialized"]
    assert zarr.open_array(repo.readonly_session("main").store, path="a")[0] == 7


def test_they_see_our_settings_and_objects(moto: S3Place) -> None:
    arguments = moto.arguments()
    storage = icechunk.s3_storage(**arguments)
    icechunk.Repository.create(storage)
    seen = run_reference(
        "import icechunk; result = icechunk.s3_storage(**args[0]).list_objects()", arguments
    )
    assert sorted(map(tuple, seen)) == storage.list_objects()


def test_both_stamp_their_writes_alike(moto: S3Place) -> None:
    """So each recognises a lost answer without the other's writes confusing it."""
    with Proxy(moto.url) as proxy:
        arguments = moto.through(proxy.url).arguments()
        run_reference(CREATE, "s3_storage", arguments, 2)
        theirs = [each for each in proxy.requests if each.path.split("?")[0].endswith("/repo")]
        stamped = [each for each in theirs if "x-amz-meta-icechunkwriteid" in each.headers]
        assert stamped
        repo = icechunk.Repository.open(icechunk.s3_storage(**arguments))
        proxy.clear()
        proxy.spoil(LOST, "PUT", "/repo", header="if-match")
        repo.create_branch("b", repo.lookup_branch("main"))
        assert len(proxy.spoiled) == 1


OPEN_AND_READ = """
    import icechunk, zarr
    repo = icechunk.Repository.open(icechunk.s3_storage(**args[0]))
    store = repo.readonly_session("main").store
    result = int(zarr.open_array(store, path="a", mode="r")[3])
"""
COMMIT = """
    import icechunk, zarr
    repo = icechunk.Repository.open(icechunk.s3_storage(**args[0]))
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a")[:100] = 5
    session.commit("more")
"""


class TestRequests:
    """No more requests than the reference makes for the same."""

    @pytest.fixture
    def arguments(self, moto: S3Place) -> dict[str, Any]:
        arguments = moto.arguments()
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
        repo = icechunk.Repository.create(icechunk.s3_storage(**arguments), config)
        session = repo.writable_session("main")
        zarr.create_array(session.store, name="a", data=np.arange(1000, dtype="i4"), chunks=(100,))
        session.commit("ours")
        return arguments

    def ours(self, arguments: dict[str, Any], code: str) -> None:
        import textwrap

        exec(textwrap.dedent(code), {"args": [arguments]})

    @pytest.mark.parametrize("code", [OPEN_AND_READ, COMMIT], ids=["first chunk", "commit"])
    def test_as_many_or_fewer(self, moto: S3Place, arguments: dict[str, Any], code: str) -> None:
        with Proxy(moto.url) as proxy:
            arguments["endpoint_url"] = proxy.url
            run_reference(code, arguments)
            theirs = [f"{each.method} {each.path.split('?')[0]}" for each in proxy.requests]
            proxy.clear()
            self.ours(arguments, code)
            ours = [f"{each.method} {each.path.split('?')[0]}" for each in proxy.requests]
        assert len(ours) <= len(theirs), "\n".join(["theirs", *theirs, "ours", *ours])
