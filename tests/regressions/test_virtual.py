"""Defects of other implementations of virtual chunks, kept from coming back."""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.config.serde import from_plain, to_plain
from icechunk.spec.manifest.virtual_urls import normalise
from icechunk.storage import azure_store
from icechunk.virtual_chunks import local as local_files
from tests.virtual_chunks.places import Place, local_place, new_array, values, web_place
from tests.virtual_chunks.web import Served, WebServer, serving

GOOD = np.arange(40, dtype="f4")
BOTH = pytest.mark.parametrize("spec_version", [1, 2])


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "archive").mkdir()
    found = local_place(tmp_path / "archive")
    found.put("x", GOOD.tobytes())
    return found


def referring(
    repo: icechunk.Repository, location: str, *, chunks: int = 4, **checks: Any
) -> icechunk.Session:
    session = repo.writable_session("main")
    new_array(session, chunks, 10)
    for chunk in range(chunks):
        session.store.set_virtual_ref(
            f"a/c/{chunk}", location, offset=40 * chunk, length=40, **checks
        )
    return session


def with_store(prefix: str, store: Any, credential: Any, **settings: Any) -> icechunk.Repository:
    config = icechunk.RepositoryConfig(**settings)
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
    return icechunk.Repository.create(icechunk.in_memory_storage(), config, {prefix: credential})


def failure(session: icechunk.Session) -> icechunk.IcechunkError:
    with pytest.raises(icechunk.IcechunkError) as caught:
        values(session)
    return caught.value


@BOTH
def test_r9_references_of_different_arrays_do_not_mix(place: Place, spec_version: int) -> None:
    place.put("y", (GOOD + 500).tobytes())
    repo = icechunk.Repository.create(
        icechunk.in_memory_storage(), place.config(), place.access, spec_version=spec_version
    )
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    for name in ("one", "two"):
        group.create_array(
            name, shape=(40,), chunks=(10,), dtype="f4", compressors=None, fill_value=-1
        )
        specs = [
            icechunk.VirtualChunkSpec(
                [k], place.prefix + {"one": "x", "two": "y"}[name], 40 * k, 40
            )
            for k in range(4)
        ]
        session.store.set_virtual_refs(name, specs)
    session.commit("both")
    session = repo.writable_session("main")
    array: Any = zarr.open_array(session.store, path="one")
    array.resize((60,))
    array[40:60] = 7
    session.commit("appended")
    read = repo.readonly_session("main")
    np.testing.assert_array_equal(values(read, "one"), [*GOOD, *[7] * 20])
    np.testing.assert_array_equal(values(read, "two"), GOOD + 500)


def test_r18_references_of_no_bytes_are_refused(place: Place) -> None:
    session = referring(place.repository(), place.prefix + "x")
    store, location = session.store, place.prefix + "x"
    spec = icechunk.VirtualChunkSpec([0], location, 0, 0)
    zero = np.zeros(1, np.uint64)
    for call in (
        lambda: store.set_virtual_ref("a/c/0", location, offset=0, length=0),
        lambda: store.set_virtual_refs("a", [spec]),
        lambda: store.set_virtual_refs_arr("a", (1,), [location], zero, zero),
    ):
        with pytest.raises(icechunk.InvalidInputError) as caught:
            call()
        assert caught.value.kind == "zero-length-chunk"
    np.testing.assert_array_equal(values(session), GOOD)


def test_r19_a_reference_longer_than_its_object_is_noticed(place: Place) -> None:
    session = referring(place.repository(), place.prefix + "x")
    session.store.set_virtual_ref("a/c/3", place.prefix + "x", offset=130, length=40)
    error = failure(session)
    assert error.kind == "virtual-chunk-fetch"
    assert "Expected: (40), available (30)" in str(error)


@pytest.mark.parametrize("check", ["etag", "time"])
def test_r20_a_source_that_changed_since_it_was_looked_at_is_not_served(
    web: WebServer, check: str
) -> None:
    place = web_place(web)
    location = place.put("x", GOOD.tobytes())
    seen = web.objects["/data/x"]
    checksum = seen.etag if check == "etag" else datetime.fromtimestamp(seen.modified or 0, UTC)
    place.put("x", (GOOD + 1).tobytes())  # between parsing and writing the references
    session = referring(place.repository(), location, checksum=checksum)
    assert failure(session).kind == "virtual-chunk-modified"


def test_r21_references_that_are_not_written_are_returned(place: Place) -> None:
    session = referring(place.repository(), place.prefix + "x")
    away = "s3://elsewhere/x"
    specs = [
        icechunk.VirtualChunkSpec([k], away if k % 2 else place.prefix + "x", 0, 40)
        for k in range(4)
    ]
    assert session.store.set_virtual_refs("a", specs) == [(1,), (3,)]
    columns = [spec.location for spec in specs]
    zeros, forties = np.zeros(4, np.uint64), np.full(4, 40, np.uint64)
    rejected = session.store.set_virtual_refs_arr("a", (4,), columns, zeros, forties)
    assert rejected == [(1,), (3,)]
    with pytest.raises(icechunk.InvalidInputError) as caught:
        session.store.set_virtual_ref("a/c/1", away, offset=0, length=40)
    assert caught.value.kind == "no-container-for-virtual-chunk"
    expected = [*GOOD[:10], *GOOD[10:20], *GOOD[:10], *GOOD[30:]]
    np.testing.assert_array_equal(values(session), expected)


@BOTH
def test_r41_virtual_bytes_are_counted_once(place: Place, spec_version: int) -> None:
    repo = icechunk.Repository.create(
        icechunk.in_memory_storage(), place.config(), place.access, spec_version=spec_version
    )
    session = referring(repo, place.prefix + "x")
    session.commit("four")
    assert repo.chunk_storage_stats().virtual_bytes == 160
    session = repo.writable_session("main")
    session.store.set_virtual_ref("a/c/0", place.prefix + "x", offset=0, length=40)
    session.commit("the same again")
    stats = repo.chunk_storage_stats()
    assert (stats.virtual_bytes, stats.native_bytes, stats.inlined_bytes) == (160, 0, 0)


def test_r42_a_lost_answer_is_asked_for_again(web: WebServer) -> None:
    place = web_place(web)
    location = place.put("x", GOOD.tobytes())
    web.faults = lambda number: {1: "reset", 2: "half"}.get(number)
    np.testing.assert_array_equal(values(referring(place.repository(), location)), GOOD)


@pytest.mark.parametrize("stored", ['"abc"', "abc", 'W/"abc"'])
@pytest.mark.parametrize("given", ['"abc"', "abc", 'W/"abc"'])
def test_r43_quotes_do_not_make_another_etag(web: WebServer, stored: str, given: str) -> None:
    place = web_place(web)
    location = place.put("x", GOOD.tobytes())
    web.objects["/data/x"].etag = given
    session = referring(place.repository(), location, checksum=stored)
    np.testing.assert_array_equal(values(session), GOOD)


def test_r58_windows_paths_make_locations(monkeypatch: pytest.MonkeyPatch) -> None:
    location = PureWindowsPath(r"C:\data files\sst 1.nc").as_uri()
    assert location == "file:///C:/data%20files/sst%201.nc"
    assert normalise(location) == location
    assert normalise(r"file:///C:\data%20files\sst%201.nc") == location
    monkeypatch.setattr(local_files, "_ON_WINDOWS", True)
    assert local_files.path_of(location) == "C:/data files/sst 1.nc"
    assert local_files.path_of("file://server/share/x") == r"\\server/share/x"
    for climbing in (r"file:///C:/data/..\x", "file:///C:/data/..%5Cx"):
        with pytest.raises(icechunk.InvalidInputError):
            local_files.path_of(climbing)


@pytest.mark.parametrize("kind", ["http", "s3", "az", "gs"])
def test_r59_no_permission_is_not_mistaken_for_nothing_there(web: WebServer, kind: str) -> None:
    web.faults = lambda number: 403
    prefix, store, credential = open_places(web)[kind]
    repo = with_store(prefix, store, credential)
    error = failure(referring(repo, prefix + "x"))
    assert error.kind == "virtual-chunk-fetch"
    assert "not found" not in str(error)
    assert "refuses access" in str(error) or "permission denied" in str(error)


def open_places(web: WebServer) -> dict[str, tuple[str, Any, Any]]:
    """Every kind of remote place, served without signatures by one small server."""
    base = web.url.rstrip("/")
    plain = {"allow_http": "true"}
    return {
        "http": (f"{base}/data/", icechunk.http_store(), icechunk.credentials.HttpAccess),
        "s3": (
            "s3://bucket/data/",
            icechunk.s3_store(
                region="us-east-1", endpoint_url=base, allow_http=True, force_path_style=True
            ),
            icechunk.Credentials.S3(icechunk.s3_anonymous_credentials()),
        ),
        "gs": (
            "gs://bucket/data/",
            icechunk.gcs_store({"google_base_url": base, **plain}),
            icechunk.Credentials.Gcs(icechunk.gcs_credentials(anonymous=True)),
        ),
        "az": (
            "az://container/data/",
            azure_store(account="me", config={"azure_endpoint": f"{base}/me", **plain}),
            icechunk.Credentials.Azure(icechunk.azure_credentials(anonymous=True)),
        ),
    }


def serve(web: WebServer, kind: str, key: str) -> None:
    """Put the numbers where a client of some kind looks for a key."""
    start = {"http": "", "s3": "/bucket", "gs": "/bucket", "az": "/me/container"}[kind]
    web.decoded[f"{start}/data/{key}"] = Served(GOOD.tobytes())


NASTY = [
    "a b",
    "a%20b",
    "100%",
    "a%2Fb",
    "a#b",
    "a?b=c&d",
    "a+b",
    "é ü 漢",
    "a:b@c",
    "[x]{y}|z",
    "a'b\"c",
    "a=b;c,d",
    "~user/.hidden/..x",
    "con%00",
]


@pytest.mark.parametrize("key", NASTY)
@pytest.mark.parametrize("kind", ["http", "s3", "gs", "az"])
def test_r60_nasty_keys_are_reached(web: WebServer, kind: str, key: str) -> None:
    serve(web, kind, key)
    prefix, store, credential = open_places(web)[kind]
    session = referring(with_store(prefix, store, credential), prefix + quote(key))
    np.testing.assert_array_equal(values(session), GOOD)
    assert set(session.all_virtual_chunk_locations()) == {prefix + quote(key)}


@pytest.mark.parametrize("key", [name for name in NASTY if "%00" not in name])
def test_r60_nasty_names_of_files_are_reached(place: Place, key: str) -> None:
    location = place.put(key, GOOD.tobytes())
    session = referring(place.repository(), location)
    np.testing.assert_array_equal(values(session), GOOD)


@pytest.mark.parametrize(
    "location",
    [
        "https://user:secret@host:8443/a//b/./c/../d?x=1&y=%20%2F#z",
        "http://[::1]:8080/a b",
        "s3://bucket//double//slashes/../dots/./x",
        "s3://bucket/a%2Fb%zz%",
        "gs://bucket/é?generation=5",
        "abfs://container@account.dfs.core.windows.net/a b#c",
    ],
)
def test_r60_locations_are_stored_verbatim(location: str, tmp_path: Path) -> None:
    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=False)
    repo = icechunk.Repository.create(storage)
    referring(repo, location, chunks=1, validate_container=False).commit("kept")
    session = icechunk.Repository.open(storage).readonly_session("main")
    assert session.all_virtual_chunk_locations() == [location]


@pytest.mark.parametrize("kind", ["http", "s3", "gs", "az", "file"])
def test_r61_handles_with_containers_and_credentials_travel(
    web: WebServer, place: Place, kind: str, tmp_path: Path
) -> None:
    if kind == "file":
        prefix, store, credential = place.prefix, place.store, place.credentials
    else:
        prefix, store, credential = open_places(web)[kind]
        serve(web, kind, "x")
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store, "named"))
    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=False)
    repo = icechunk.Repository.create(storage, config, {prefix: credential})
    repo.set_default_commit_metadata({"author": "me"})
    referring(repo, "vcc://named/x").commit("references")
    session = repo.readonly_session("main")
    for travelling in (repo, session, session.store, repo.writable_session("main").fork()):
        copied: Any = pickle.loads(pickle.dumps(travelling))
        if isinstance(copied, icechunk.Repository):
            assert copied.default_commit_metadata() == {"author": "me"}
            copied = copied.readonly_session("main")
        found = copied.session if isinstance(copied, icechunk.IcechunkStore) else copied
        np.testing.assert_array_equal(values(found), GOOD)


@pytest.mark.parametrize(
    "credential",
    [
        icechunk.Credentials.Gcs(icechunk.gcs_credentials(bearer_token="ya29")),
        icechunk.Credentials.Azure(icechunk.azure_credentials(sas_token="sv=1&sig=2")),
        icechunk.Credentials.S3(
            icechunk.s3_credentials(
                access_key_id="a",
                secret_access_key="b",
                session_token="c",
                expires_after=datetime(2030, 1, 1, tzinfo=UTC),
            )
        ),
        icechunk.credentials.LocalFileSystemAccess,
        icechunk.http_credentials(headers={"X-Api-Key": "k"}),
        icechunk.fsspec_credentials(token="t", nested={"a": [1]}),
    ],
)
def test_r61_credentials_travel_whole(credential: Any) -> None:
    copied = pickle.loads(pickle.dumps(credential))
    assert type(copied) is type(credential)
    inner, outer = vars(copied), vars(credential)
    assert inner.keys() == outer.keys()
    for name, value in outer.items():
        assert repr(vars(value) if hasattr(value, "__dict__") else value) == repr(
            vars(inner[name]) if hasattr(inner[name], "__dict__") else inner[name]
        ) or pickle.dumps(value) == pickle.dumps(inner[name])


def test_r62_cleared_containers_stay_cleared_and_one_field_changes_no_other(place: Place) -> None:
    storage = icechunk.in_memory_storage()
    icechunk.Repository.create(storage, place.config())
    config = icechunk.RepositoryConfig()
    config.clear_virtual_chunk_containers()
    repo = icechunk.Repository.open(storage, config)
    assert not repo.config.virtual_chunk_containers
    repo.save_config()
    assert not icechunk.Repository.open(storage).config.virtual_chunk_containers
    again = from_plain(to_plain(place.config()))
    assert again.virtual_chunk_containers == place.config().virtual_chunk_containers
    other = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7)
    merged = place.config().merge(other)
    assert merged.virtual_chunk_containers == place.config().virtual_chunk_containers


def test_r62_anonymous_sends_no_signature_though_the_environment_has_keys(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    web.objects["/bucket/data/x"] = Served(GOOD.tobytes())
    options: dict[str, Any] = {
        "region": "us-east-1",
        "endpoint_url": web.url.rstrip("/"),
        "allow_http": True,
        "force_path_style": True,
    }
    anonymous = icechunk.Credentials.S3(icechunk.s3_anonymous_credentials())
    for store, credential in (
        (icechunk.s3_store(**options), anonymous),
        (icechunk.s3_store(**options, anonymous=True), None),
    ):
        web.asked.clear()
        config = icechunk.RepositoryConfig()
        container = icechunk.VirtualChunkContainer("s3://bucket/data/", store)
        config.set_virtual_chunk_container(container)
        access = {"s3://bucket/data/": credential}
        if credential is None:
            with pytest.warns(DeprecationWarning, match="Passing `None`"):
                repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, access)
        else:
            repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, access)
        session = referring(repo, "s3://bucket/data/x")
        np.testing.assert_array_equal(values(session), GOOD)
        assert web.asked
        assert all("authorization" not in asked.headers for asked in web.asked)


@contextmanager
def stalling() -> Iterator[tuple[int, list[Any]]]:
    """A server that accepts connections and says nothing."""
    held: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], held
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("kind", ["http", "s3"])
def test_r62_time_limits_and_retries_reach_the_clients_of_virtual_chunks(kind: str) -> None:
    with stalling() as (port, held):
        prefix, store, credential = open_places(WebServer(port=port))[kind]
        settings = icechunk.StorageSettings(
            retries=icechunk.StorageRetriesSettings(2, 1, 2),
            timeouts=icechunk.StorageTimeoutSettings(
                read_timeout_ms=150, operation_attempt_timeout_ms=300, operation_timeout_ms=2000
            ),
        )
        repo = with_store(prefix, store, credential, storage=settings)
        error = failure(referring(repo, prefix + "x", chunks=1))
        assert error.kind == "virtual-chunk-fetch"
        assert "time" in str(error)
        assert 1 <= len(held) <= 4


@pytest.mark.parametrize("status", [408, 429, 499, 500, 503])
def test_r63_passing_troubles_of_web_servers_are_waited_out(web: WebServer, status: int) -> None:
    place = web_place(web)
    location = place.put("x", GOOD.tobytes())
    web.faults = lambda number: status if number < 3 else None
    np.testing.assert_array_equal(values(referring(place.repository(), location)), GOOD)


def test_r63_an_endpoint_with_a_path_keeps_it(web: WebServer) -> None:
    web.objects["/s3/proxy/bucket/data/x"] = Served(GOOD.tobytes())
    store = icechunk.s3_store(
        region="us-east-1",
        endpoint_url=web.url + "s3/proxy",
        allow_http=True,
        s3_compatible=True,
        force_path_style=True,
    )
    credential = icechunk.Credentials.S3(icechunk.s3_anonymous_credentials())
    prefix = "s3://bucket/data/"
    session = referring(with_store(prefix, store, credential), prefix + "x")
    np.testing.assert_array_equal(values(session), GOOD)


def test_r63_a_server_without_validators_serves_unchecked_references(web: WebServer) -> None:
    place = web_place(web)
    location = place.put("x", GOOD.tobytes())
    web.objects["/data/x"].etag = web.objects["/data/x"].modified = None
    web.ranges = False
    np.testing.assert_array_equal(values(referring(place.repository(), location)), GOOD)
    later = datetime.now(UTC) + timedelta(days=1)
    error = failure(referring(place.repository(), location, checksum=later))
    assert error.kind == "virtual-chunk-fetch"
    assert "does not report" in str(error)
