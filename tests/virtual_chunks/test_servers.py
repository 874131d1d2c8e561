"""Virtual chunks on other servers: Azure's and Google's emulators, Ceph, nginx."""

from __future__ import annotations

import os
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import icechunk
from icechunk.storage import azure_store
from tests.servers.places import AZURE_ACCOUNT, AZURE_KEY, AzurePlace, S3Place, WebPlace
from tests.virtual_chunks.places import new_array, values
from tests.virtual_chunks.web import Served, WebServer

GOOD = np.arange(40, dtype="f4")
NAMES = ["plain", "deep/er/a b", "100% #1?", "é"]


def reading(
    prefix: str, store: Any, credential: Any, locations: list[str], **checks: Any
) -> icechunk.Session:
    """A session whose chunks are those of the objects, ten numbers each, in turn."""
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
    config.storage = icechunk.StorageSettings(retries=icechunk.StorageRetriesSettings(2, 1, 10))
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, {prefix: credential})
    session = repo.writable_session("main")
    new_array(session, 4, 10)
    for chunk in range(4):
        session.store.set_virtual_ref(
            f"a/c/{chunk}",
            locations[chunk % len(locations)],
            offset=40 * chunk,
            length=40,
            **checks,
        )
    return session


def failure(session: icechunk.Session) -> icechunk.StorageError:
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    return caught.value


# -- Azure -----------------------------------------------------------------------------------------


@pytest.fixture
def blobs(azurite: AzurePlace) -> Any:
    import obstore
    from obstore.store import AzureStore

    client = AzureStore(
        azurite.container,
        config={
            "account_name": AZURE_ACCOUNT,
            "account_key": AZURE_KEY,
            "endpoint": azurite.url,
        },
        client_options={"allow_http": True},
    )
    folder = uuid.uuid4().hex
    for name in NAMES:
        obstore.put(client, f"{folder}/{name}", GOOD.tobytes())
    return azurite, client, folder


def azure(place: AzurePlace) -> icechunk.ObjectStoreConfig:
    return azure_store(
        account=AZURE_ACCOUNT, config={"azure_storage_endpoint": place.url, "allow_http": "true"}
    )


KEY = icechunk.Credentials.Azure(icechunk.azure_credentials(access_key=AZURE_KEY))


@pytest.mark.parametrize("scheme", ["az", "azure", "abfs"])
def test_azure(blobs: Any, scheme: str) -> None:
    place, _, folder = blobs
    host = place.container
    if scheme == "abfs":
        host += f"@{AZURE_ACCOUNT}.dfs.core.windows.net"
    prefix = f"{scheme}://{host}/{folder}/"
    session = reading(prefix, azure(place), KEY, [prefix + quote(name) for name in NAMES])
    np.testing.assert_array_equal(values(session), GOOD)


def test_azure_checksums_and_failures(blobs: Any) -> None:
    import obstore

    place, client, folder = blobs
    prefix = f"az://{place.container}/{folder}/"
    meta = obstore.head(client, f"{folder}/plain")
    for good in (meta["e_tag"], meta["last_modified"]):
        session = reading(prefix, azure(place), KEY, [prefix + "plain"], checksum=good)
        np.testing.assert_array_equal(values(session), GOOD)
    for bad in ('"other"', meta["last_modified"] - timedelta(seconds=3)):
        session = reading(prefix, azure(place), KEY, [prefix + "plain"], checksum=bad)
        assert failure(session).kind == "virtual-chunk-modified"
    session = reading(prefix, azure(place), KEY, [prefix + "none"])
    assert "not found" in str(failure(session))
    obstore.put(client, f"{folder}/short", GOOD.tobytes()[:50])
    assert "not enough data" in str(failure(reading(prefix, azure(place), KEY, [prefix + "short"])))
    wrong = icechunk.azure_credentials(access_key=AZURE_KEY[:-6] + "AAAA==")
    error = failure(
        reading(prefix, azure(place), icechunk.Credentials.Azure(wrong), [prefix + "plain"])
    )
    assert error.kind == "virtual-chunk-fetch"
    assert "credentials" in str(error)
    assert AZURE_KEY[:20] not in str(error)


# -- Ceph: checks signatures -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_that_checks_signatures(radosgw: S3Place) -> None:
    import botocore.session

    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=radosgw.url,
        region_name="us-east-1",
        aws_access_key_id=radosgw.access_key_id,
        aws_secret_access_key=radosgw.secret_access_key,
    )
    for name in NAMES:
        client.put_object(Bucket=radosgw.bucket, Key=f"archive/{name}", Body=GOOD.tobytes())
    etag = client.head_object(Bucket=radosgw.bucket, Key="archive/plain")["ETag"]
    prefix = f"s3://{radosgw.bucket}/archive/"
    store = icechunk.s3_store(
        region="us-east-1",
        endpoint_url=radosgw.url,
        allow_http=True,
        s3_compatible=True,
        force_path_style=True,
    )

    def access(key: str, secret: str) -> Any:
        return icechunk.Credentials.S3(
            icechunk.s3_credentials(access_key_id=key, secret_access_key=secret)
        )

    good = access(radosgw.access_key_id, radosgw.secret_access_key)
    session = reading(prefix, store, good, [prefix + quote(name) for name in NAMES])
    np.testing.assert_array_equal(values(session), GOOD)
    for spelling in (etag, etag.strip('"')):
        session = reading(prefix, store, good, [prefix + "plain"], checksum=spelling)
        np.testing.assert_array_equal(values(session), GOOD)
    for credential in (
        access(radosgw.access_key_id, "wrong-secret-of-this-test"),
        access("unknown", radosgw.secret_access_key),
        icechunk.Credentials.S3(icechunk.s3_anonymous_credentials()),
    ):
        error = failure(reading(prefix, store, credential, [prefix + "plain"]))
        assert error.kind == "virtual-chunk-fetch"
        assert "permission denied" in str(error)
        assert radosgw.secret_access_key not in str(error)
        assert "wrong-secret" not in str(error)


# -- web servers -----------------------------------------------------------------------------------


def test_web_servers(web_server: WebPlace) -> None:
    folder = uuid.uuid4().hex
    for name in NAMES:
        path = web_server.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GOOD.tobytes())
        for made in (path, path.parent, web_server.root / folder):
            made.chmod(0o755)
    prefix = f"{web_server.url}/{folder}/"
    http, access = icechunk.http_store(), icechunk.credentials.HttpAccess
    session = reading(prefix, http, access, [prefix + quote(name) for name in NAMES])
    np.testing.assert_array_equal(values(session), GOOD)
    with urllib.request.urlopen(prefix + "plain") as answer:
        etag = answer.headers["ETag"]
    path = web_server.root / folder / "plain"
    stamp = path.stat().st_mtime_ns
    written = datetime.fromtimestamp(stamp // 10**9, UTC)
    checks: list[Any] = [written] + ([etag] if etag else [])
    for checksum in checks:
        session = reading(prefix, http, access, [prefix + "plain"], checksum=checksum)
        np.testing.assert_array_equal(values(session), GOOD)
        os.utime(path, ns=(stamp, stamp + 60 * 10**9))
        assert failure(session).kind == "virtual-chunk-modified"
        os.utime(path, ns=(stamp, stamp))
    path.write_bytes(GOOD.tobytes()[:50])
    assert "not enough data" in str(failure(reading(prefix, http, access, [prefix + "plain"])))
    assert "not found" in str(failure(reading(prefix, http, access, [prefix + "none"])))


# -- Google: what a client of its XML interface asks for -------------------------------------------


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_google_reads_ask_for_bucket_and_key(web: WebServer, scheme: str) -> None:
    """No emulator here answers this interface: a stub shows what is asked for."""
    for name in NAMES:
        web.objects["/bucket/" + quote(f"data/{name}", safe="")] = Served(GOOD.tobytes())
    store = icechunk.gcs_store({"google_base_url": web.url.rstrip("/"), "allow_http": "true"})
    credential = icechunk.Credentials.Gcs(icechunk.gcs_credentials(anonymous=True))
    prefix = f"{scheme}://bucket/data/"
    session = reading(prefix, store, credential, [prefix + quote(name) for name in NAMES])
    np.testing.assert_array_equal(values(session), GOOD)
    assert all("authorization" not in asked.headers for asked in web.asked)
    token = "ya29.token-of-this-test"
    credential = icechunk.Credentials.Gcs(icechunk.gcs_credentials(bearer_token=token))
    session = reading(prefix, store, credential, [prefix + "plain"])
    np.testing.assert_array_equal(values(session), GOOD)
    web.objects.clear()
    assert token not in str(failure(session))


def test_google_through_fsspec(fake_gcs: str) -> None:
    """The JSON interface of the emulator, read by its media links."""
    asked = urllib.request.Request(
        f"{fake_gcs}/upload/storage/v1/b/testbucket/o?uploadType=media&name=data/x",
        data=GOOD.tobytes(),
        headers={"Content-Type": "application/octet-stream"},
    )
    urllib.request.urlopen(asked).close()
    location = f"{fake_gcs}/download/storage/v1/b/testbucket/o/data%2Fx?alt=media"
    prefix = f"{fake_gcs}/download/"
    http, access = icechunk.http_store(), icechunk.credentials.HttpAccess
    np.testing.assert_array_equal(values(reading(prefix, http, access, [location])), GOOD)
