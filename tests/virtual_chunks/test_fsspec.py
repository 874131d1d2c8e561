"""Virtual chunks that fsspec reads."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import icechunk
from icechunk.config.serde import from_plain, to_plain
from tests.virtual_chunks.places import BUCKET, new_array, s3_place, values
from tests.virtual_chunks.web import Served, WebServer

GOOD = np.arange(40, dtype="f4")
SECRET = "s3cr3t-of-a-file-system"


def session_of(prefix: str, location: str, storage: Any = None, **options: Any) -> Any:
    config = icechunk.RepositoryConfig()
    container = icechunk.VirtualChunkContainer(prefix, icechunk.fsspec_store(), "named")
    config.set_virtual_chunk_container(container)
    repo = icechunk.Repository.create(
        storage or icechunk.in_memory_storage(),
        config,
        {prefix: icechunk.fsspec_credentials(**options)},
    )
    session = repo.writable_session("main")
    new_array(session, 4, 10)
    specs = [icechunk.VirtualChunkSpec([k], location, 40 * k, 40) for k in range(4)]
    assert session.store.set_virtual_refs("a", specs) is None
    return session


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.mark.parametrize("name", ["x", "deep/er/x y%z#?", "a//b"])
def test_a_file_system_in_memory(memory: Any, name: str) -> None:
    from urllib.parse import quote

    memory.pipe_file(f"/data/{name}", GOOD.tobytes())
    for start in ("memory://data/", "vcc://named/"):
        session = session_of("memory://data/", start + quote(name))
        np.testing.assert_array_equal(values(session), GOOD)


def test_failures_name_the_location(memory: Any) -> None:
    session = session_of("memory://data/", "memory://data/x")
    for data in (None, GOOD.tobytes()[:50]):
        if data is not None:
            memory.pipe_file("/data/x", data)
        with pytest.raises(icechunk.StorageError) as caught:
            values(session)
        assert caught.value.kind == "virtual-chunk-fetch"
        assert "memory://data/x" in str(caught.value)


def test_s3_is_read_through_s3fs_with_its_checksums(bucket: Any) -> None:
    place = s3_place(bucket)
    location = place.put("x", GOOD.tobytes())
    head = bucket.client().head_object(Bucket=BUCKET, Key="data/x")
    session = session_of(
        place.prefix,
        location,
        key=bucket.access_key_id,
        secret=bucket.secret_access_key,
        endpoint_url=bucket.endpoint,
        skip_instance_cache=True,
    )
    np.testing.assert_array_equal(values(session), GOOD)
    store = session.store
    for good in (head["ETag"], head["LastModified"]):
        store.set_virtual_ref("a/c/0", location, offset=0, length=40, checksum=good)
        np.testing.assert_array_equal(values(session), GOOD)
    for bad in ('"other"', head["LastModified"] - timedelta(seconds=5)):
        store.set_virtual_ref("a/c/0", location, offset=0, length=40, checksum=bad)
        with pytest.raises(icechunk.StorageError) as caught:
            values(session)
        assert caught.value.kind == "virtual-chunk-modified"


@pytest.mark.parametrize("key", ["x//y", "x/./y", "x/../y", "/x"])
def test_keys_that_object_stores_refuse_are_read_through_fsspec(bucket: Any, key: str) -> None:
    bucket.client().put_object(Bucket=BUCKET, Key=key, Body=GOOD.tobytes())
    session = session_of(
        f"s3://{BUCKET}/",
        f"s3://{BUCKET}/{key}",
        key=bucket.access_key_id,
        secret=bucket.secret_access_key,
        endpoint_url=bucket.endpoint,
        skip_instance_cache=True,
    )
    np.testing.assert_array_equal(values(session), GOOD)


def test_web_servers_through_fsspec_get_the_url(web: WebServer) -> None:
    web.objects["/a%20b?c=d"] = Served(GOOD.tobytes())
    session = session_of(web.url, web.url + "a%20b?c=d")
    np.testing.assert_array_equal(values(session), GOOD)


@pytest.mark.parametrize("prefix", ["file:///data/", "local:///data/x/"])
def test_local_files_keep_their_own_rules(prefix: str) -> None:
    with pytest.raises(ValueError, match="scheme"):
        session_of(prefix, prefix + "x")


def test_an_unknown_scheme_is_an_error(memory: Any) -> None:
    session = session_of("nosuch://host/", "nosuch://host/x")
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    assert caught.value.kind == "storage-config"
    assert "nosuch" in str(caught.value)


def test_other_credentials_do_not_open_it(memory: Any) -> None:
    config = icechunk.RepositoryConfig()
    container = icechunk.VirtualChunkContainer("https://h/", icechunk.fsspec_store())
    config.set_virtual_chunk_container(container)
    with pytest.raises(icechunk.StorageError, match="fsspec_credentials"):
        icechunk.Repository.create(
            icechunk.in_memory_storage(), config, {"https://h/": icechunk.credentials.HttpAccess}
        )


def test_options_are_neither_shown_nor_stored_and_travel_with_handles(
    memory: Any, tmp_path: Path
) -> None:
    memory.pipe_file("/data/x", GOOD.tobytes())
    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=False)
    session = session_of("memory://data/", "memory://data/x", storage, token=SECRET)
    session.commit("references")
    credential = icechunk.fsspec_credentials(token=SECRET)
    assert SECRET not in f"{credential} {credential!r} {session!r} {session.config!r}"
    assert SECRET not in str(to_plain(session.config))
    np.testing.assert_array_equal(values(pickle.loads(pickle.dumps(session))), GOOD)


def test_the_container_is_stored_and_found_again() -> None:
    container = icechunk.VirtualChunkContainer("sftp://host/x/", icechunk.fsspec_store(), "n")
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(container)
    again = from_plain(to_plain(config))
    assert (again.virtual_chunk_containers or {})["sftp://host/x/"] == container


@pytest.mark.oracle
def test_the_reference_passes_over_such_a_container(tmp_path: Path) -> None:
    from tests.oracle import run_reference

    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=False)
    session_of("sftp://host/", "sftp://host/x", storage).commit("references")
    found = run_reference(
        """
        import icechunk
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(args[0]))
        session = repo.readonly_session("main")
        result = session.all_virtual_chunk_locations()
        """,
        tmp_path / "repo",
    )
    assert found == ["sftp://host/x"] * 4


def test_times_in_every_form_are_understood() -> None:
    from icechunk.virtual_chunks.fsspec import _seconds

    when = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    for form in (when, when.replace(tzinfo=None), when.isoformat(), when.timestamp()):
        assert _seconds(form) == when.timestamp()
    assert _seconds("yesterday") is None
    assert _seconds(None) is None


# -- S3 by way of fsspec, where the usual client cannot go -----------------------------------------


@pytest.mark.parametrize("key", ["x//y", "x/./y", "x/../y", "/x"])
@pytest.mark.parametrize("form", ["static", "refreshable", "environment"])
def test_keys_that_the_usual_client_cannot_address(
    bucket: Any, key: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    place = s3_place(bucket)
    place.prefix = f"s3://{BUCKET}/"
    plain: Any = {
        "static": place.credentials[0],
        "refreshable": icechunk.s3_credentials(get_credentials=a_key_pair),
        "environment": icechunk.s3_credentials(from_env=True),
    }[form]
    place.credentials = icechunk.Credentials.S3(plain)
    bucket.client().put_object(Bucket=BUCKET, Key=key, Body=GOOD.tobytes())
    session = place.repository().writable_session("main")
    new_array(session, 4, 10)
    location = f"s3://{BUCKET}/{key}"
    for chunk in range(4):
        session.store.set_virtual_ref(f"a/c/{chunk}", location, offset=40 * chunk, length=40)
    np.testing.assert_array_equal(values(session), GOOD)
    assert set(session.all_virtual_chunk_locations()) == {location}
    bucket.client().delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    assert caught.value.kind == "virtual-chunk-fetch"
    assert SECRET not in str(caught.value)


def a_key_pair() -> icechunk.S3StaticCredentials:
    """What a refresh function returns."""
    return icechunk.S3StaticCredentials("AKIA", SECRET)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("checked", [False, True])
def test_a_forked_child_reads_what_its_parent_has_read(place: Any, checked: bool) -> None:
    """Clients of object stores hang there: the child goes by way of fsspec."""
    location = place.put("x", GOOD.tobytes())
    session = place.repository().writable_session("main")
    new_array(session, 4, 10)
    later = datetime.now(UTC) + timedelta(days=1) if checked else None
    for chunk in range(4):
        session.store.set_virtual_ref(
            f"a/c/{chunk}", location, offset=40 * chunk, length=40, checksum=later
        )
    np.testing.assert_array_equal(values(session), GOOD)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)
            np.testing.assert_array_equal(values(session), GOOD)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(values(session), GOOD)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_gets_an_error_for_what_does_not_work_there(web: WebServer) -> None:
    """Google and Azure have no second way: an error, and no endless wait."""
    web.objects["/bucket/data%2Fx"] = Served(GOOD.tobytes())
    store = icechunk.gcs_store({"google_base_url": web.url.rstrip("/"), "allow_http": "true"})
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer("gs://bucket/data/", store))
    credential = icechunk.Credentials.Gcs(icechunk.gcs_credentials(anonymous=True))
    repo = icechunk.Repository.create(
        icechunk.in_memory_storage(), config, {"gs://bucket/data/": credential}
    )
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", "gs://bucket/data/x", offset=0, length=40)
    np.testing.assert_array_equal(values(session), GOOD[:10])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)
            values(session)
        except icechunk.StorageError as error:
            code = 0 if error.kind == "storage-config" and "forkserver" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
