"""Authorisation: nothing is opened before it is authorised, and no secret is shown or stored."""

from __future__ import annotations

import copy
import io
import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import icechunk
from icechunk.storage import azure_store
from tests.virtual_chunks.places import BUCKET, Place, local_place, new_array, s3_place, values
from tests.virtual_chunks.web import WebServer

GOOD = np.arange(10, dtype="f4")
SECRET = "s3cr3t-never-to-be-seen"

STORES: dict[str, icechunk.ObjectStoreConfig] = {
    "file:///archive/": icechunk.local_filesystem_store("/archive"),
    "s3://bucket/": icechunk.s3_store(region="us-east-1"),
    "gs://bucket/": icechunk.gcs_store({}),
    "gcs://bucket/": icechunk.gcs_store(),
    "az://container/": azure_store(account="account"),
    "abfs://container@account.dfs.core.windows.net/": azure_store(account="account"),
    "http://127.0.0.1:1/": icechunk.http_store(),
    "https://127.0.0.1:1/": icechunk.http_store(),
}


def session_of(
    containers: list[icechunk.VirtualChunkContainer], access: Any, location: str
) -> icechunk.Session:
    config = icechunk.RepositoryConfig(
        virtual_chunk_containers={one.url_prefix: one for one in containers}
    )
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, access)
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=40, validate_container=False)
    return session


def refusal(session: icechunk.Session) -> icechunk.InvalidInputError:
    with pytest.raises(icechunk.InvalidInputError) as caught:
        values(session)
    return caught.value


@pytest.fixture
def nothing_opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Fail when a file of the archive is opened or a connection is made, while switched on."""
    watched: list[str] = []

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if not on:
            return
        if event in ("socket.connect", "socket.getaddrinfo"):
            watched.append(event)
        if event == "open" and isinstance(args[0], str) and "archive" in args[0]:
            watched.append(args[0])

    on: list[bool] = []
    sys.addaudithook(audit)

    def begin() -> None:
        on.append(True)

    yield begin
    on.clear()
    assert watched == []


@pytest.mark.parametrize("prefix", STORES)
@pytest.mark.parametrize("others", [False, True])
def test_without_authorisation_nothing_is_opened(
    prefix: str, others: bool, nothing_opened: Callable[[], None]
) -> None:
    containers = [icechunk.VirtualChunkContainer(prefix, STORES[prefix])]
    access: Any = {}
    if others:
        containers.append(icechunk.VirtualChunkContainer("https://h/", icechunk.http_store()))
        access = {"https://h/": icechunk.credentials.HttpAccess}
    session = session_of(containers, access, prefix + "x")
    nothing_opened()
    error = refusal(session)
    assert error.kind == "unauthorized-virtual-chunk-container"
    text = str(error)
    assert text.startswith(
        f"a virtual chunk in this repository resolves to the url prefix {prefix}, to be able to "
        "fetch the chunk you need to authorize"
    )
    advised = text.partition("authorize_virtual_chunk_access=")[2].partition("`")[0]
    for key, value in eval(advised, {"icechunk": icechunk}).items():
        assert key == prefix
        repo = icechunk.Repository.create(
            icechunk.in_memory_storage(), session.config, {key: value}
        )
        assert repo.authorized_virtual_container_prefixes == {prefix}


@pytest.mark.parametrize(
    "location", ["s3://other/x", "s3://bucket2/x", "sftp://host/x", "memory://x/y", "vcc://no/x"]
)
def test_without_a_container_nothing_is_opened(
    location: str, nothing_opened: Callable[[], None]
) -> None:
    containers = [icechunk.VirtualChunkContainer("s3://bucket/", STORES["s3://bucket/"])]
    access = {
        "s3://bucket/": icechunk.Credentials.S3(icechunk.s3_anonymous_credentials()),
        "s3://other/": icechunk.Credentials.S3(icechunk.s3_anonymous_credentials()),
    }
    session = session_of(containers, access, location)
    nothing_opened()
    error = refusal(session)
    assert error.kind == "no-container-for-virtual-chunk"
    if location.startswith("vcc:"):
        assert str(error).startswith("no virtual chunk container named 'no' found")
    else:
        assert str(error).startswith(
            f"no virtual chunk container can handle the chunk location ({location})"
        )
    assert "s3://bucket/" in str(error)


def test_the_longest_prefix_decides_also_below_a_name(folder: Path) -> None:
    outer = local_place(folder)
    inner = local_place(folder / "inner")
    inner.put("x", GOOD.tobytes())
    containers = [outer.container("outer"), inner.container()]
    for location in (outer.prefix + "inner/x", "vcc://outer/inner/x"):
        error = refusal(session_of(containers, outer.access, location))
        assert error.kind == "unauthorized-virtual-chunk-container"
        assert inner.prefix in str(error)
        found = values(session_of(containers, inner.access, location))
        np.testing.assert_array_equal(found, GOOD)


@pytest.mark.parametrize("form", ["prefix", "without slash", "name", "seed", "wrapped"])
def test_all_forms_of_authorisation(bucket: Any, form: str) -> None:
    place = s3_place(bucket)
    location = place.put("x", GOOD.tobytes())
    plain = place.credentials[0]
    keywords: dict[str, Any] = {
        "prefix": {"authorize_virtual_chunk_access": place.access},
        "without slash": {
            "authorize_virtual_chunk_access": {place.prefix.rstrip("/"): place.credentials}
        },
        "name": {"authorize_virtual_chunk_access": {"archive": place.credentials}},
        "seed": {"virtual_chunk_credentials": {"archive": plain}},
        "wrapped": {
            "authorize_virtual_chunk_access": icechunk.containers_credentials({place.prefix: plain})
        },
    }[form]
    storage = icechunk.in_memory_storage()
    config = place.config("archive")
    if form == "seed":
        with pytest.warns(DeprecationWarning, match="virtual_chunk_credentials"):
            repo = icechunk.Repository.create(storage, config, **keywords)
    else:
        repo = icechunk.Repository.create(storage, config, **keywords)
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=40)
    np.testing.assert_array_equal(values(session), GOOD)


def test_all_eras_of_the_constructor_make_containers_that_work(folder: Path) -> None:
    place = local_place(folder)
    location = place.put("x", GOOD.tobytes())
    for container in (
        icechunk.VirtualChunkContainer(place.prefix, place.store),
        icechunk.VirtualChunkContainer(place.prefix, place.store, "named"),
        icechunk.VirtualChunkContainer("named", place.prefix, place.store),
        icechunk.VirtualChunkContainer(url_prefix=place.prefix, store=place.store, name="named"),
    ):
        session = session_of([container], place.access, location)
        np.testing.assert_array_equal(values(session), GOOD)
        if container.name:
            session = session_of([container], place.access, "vcc://named/x")
            np.testing.assert_array_equal(values(session), GOOD)


def test_a_container_for_a_whole_scheme_reaches_every_bucket(bucket: Any) -> None:
    place = s3_place(bucket)
    bucket.client().create_bucket(Bucket="another")
    bucket.client().put_object(Bucket="another", Key="x", Body=(GOOD * 2).tobytes())
    place.put("x", GOOD.tobytes())
    container = icechunk.VirtualChunkContainer("s3", "s3://", place.store)
    access = {"s3://": place.credentials}
    with pytest.warns(DeprecationWarning, match="all of s3://"):
        session = session_of([container], access, f"s3://{BUCKET}/data/x")
    np.testing.assert_array_equal(values(session), GOOD)
    session.store.set_virtual_ref("a/c/0", "s3://another/x", offset=0, length=40)
    np.testing.assert_array_equal(values(session), GOOD * 2)


def test_containers_are_stored_and_authorisation_is_not(folder: Path, tmp_path: Path) -> None:
    place = local_place(folder)
    location = place.put("x", GOOD.tobytes())
    storage = icechunk.local_filesystem_storage(tmp_path / "repo")
    repo = place.repository(storage, "named")
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=40)
    session.commit("references")
    again = icechunk.Repository.open(storage)
    assert (again.config.virtual_chunk_containers or {}).keys() == {place.prefix}
    assert again.authorized_virtual_container_prefixes == set()
    error = refusal(again.readonly_session("main"))
    assert error.kind == "unauthorized-virtual-chunk-container"
    for opened in (
        again.reopen(authorize_virtual_chunk_access=place.access),
        icechunk.Repository.open(storage, None, {"named": place.credentials}),
    ):
        np.testing.assert_array_equal(values(opened.readonly_session("main")), GOOD)
        np.testing.assert_array_equal(values(opened.reopen().readonly_session("main")), GOOD)


def test_a_stored_container_that_no_store_serves_is_passed_over(folder: Path) -> None:
    place = local_place(folder)
    location = place.put("x", GOOD.tobytes())
    config = place.config()
    broken = icechunk.VirtualChunkContainer(place.prefix + "x", STORES["s3://bucket/"])
    storage = icechunk.in_memory_storage()
    repo = icechunk.Repository.create(storage, config)
    plain = repo._ctx.ref_store.config()
    assert plain is not None
    from icechunk.config.serde import from_plain, to_plain

    bad = from_plain(plain)
    bad.virtual_chunk_containers = {**(bad.virtual_chunk_containers or {}), "b": broken}
    repo._ctx.ref_store.save_config(to_plain(bad))
    repo = icechunk.Repository.open(storage, None, place.access)
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=40)
    np.testing.assert_array_equal(values(session), GOOD)


# -- secrets ---------------------------------------------------------------------------------------


def refresh() -> icechunk.S3StaticCredentials:
    """Credentials that only this process can get."""
    return icechunk.S3StaticCredentials("AKIA-REFRESHED", os.environ["TEST_SECRET"])


def s3_forms(scatter: bool = False) -> dict[str, Any]:
    return {
        "static": icechunk.s3_credentials(access_key_id="AKIA", secret_access_key=SECRET),
        "environment": icechunk.s3_credentials(from_env=True),
        "refreshable": icechunk.s3_credentials(
            get_credentials=refresh, scatter_initial_credentials=scatter
        ),
    }


def with_credentials(bucket: Any, credentials: Any, folder: Path) -> icechunk.Repository:
    place = s3_place(bucket)
    location = place.put("x", GOOD.tobytes())
    place.credentials = icechunk.Credentials.S3(credentials)
    repo = place.repository(icechunk.local_filesystem_storage(folder, durable=False))
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=40)
    session.commit("references")
    return repo


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("TEST_SECRET", SECRET)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("form", s3_forms())
def test_secrets_do_not_show(
    bucket: Any,
    form: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    repo = with_credentials(bucket, s3_forms()[form], tmp_path)
    session = repo.readonly_session("main")
    np.testing.assert_array_equal(values(session), GOOD)
    s3_place(bucket).remove("x")
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    error: BaseException | None = caught.value
    output = ""
    while error is not None:
        output += f"{error} {error!r} {getattr(error, '__notes__', '')}"
        error = error.__cause__ or error.__context__
    for shown in (repo, repo.config, session, session.store, repo._ctx, s3_forms()[form]):
        output += f"{shown} {shown!r}"
    output += f"{vars(repo)} {repo._ctx.virtual!r} {pickle.dumps(caught.value)!r} {caplog.text}"
    written = capfd.readouterr()
    assert SECRET not in output + written.out + written.err


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("form", ["environment", "refreshable"])
def test_secrets_that_were_looked_up_do_not_travel(bucket: Any, form: str, tmp_path: Path) -> None:
    repo = with_credentials(bucket, s3_forms()[form], tmp_path)
    session = repo.readonly_session("main")
    np.testing.assert_array_equal(values(session), GOOD)
    fork = repo.writable_session("main").fork()
    for thing in (repo, session, session.store, fork):
        data = pickle.dumps(thing)
        assert SECRET.encode() not in data
        assert b"AKIA-" not in data
    np.testing.assert_array_equal(values(pickle.loads(pickle.dumps(fork))), GOOD)


@pytest.mark.usefixtures("environment")
def test_secrets_travel_when_that_was_asked_for(bucket: Any, tmp_path: Path) -> None:
    """Static credentials go with forks, or workers could not read; refreshed ones on request."""
    forms = s3_forms(scatter=True)
    for form in ("refreshable", "static"):
        repo = with_credentials(bucket, forms[form], tmp_path / form)
        fork = repo.writable_session("main").fork()
        data = pickle.dumps(fork)
        assert SECRET.encode() in data
        np.testing.assert_array_equal(values(pickle.loads(data)), GOOD)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("form", s3_forms())
def test_secrets_are_not_stored(bucket: Any, form: str, tmp_path: Path) -> None:
    place = s3_place(bucket)
    place.credentials = icechunk.Credentials.S3(s3_forms()[form])
    folder = tmp_path / "repo"
    repo = place.repository(icechunk.local_filesystem_storage(folder))
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", place.put("x", GOOD.tobytes()), offset=0, length=40)
    session.commit("references")
    repo.save_config()
    from icechunk.spec.envelope import unpack

    for path in folder.rglob("*"):
        if path.is_file() and path.name != "lock":
            data = path.read_bytes()
            assert SECRET.encode() not in data
            if path.name == "repo":
                assert SECRET.encode() not in bytes(unpack(data, 6, name="repo").body)


def test_wrong_credentials_are_named_with_advice(bucket: Any, web: WebServer) -> None:
    """moto checks no signatures: a server that refuses stands in for one that does."""
    web.faults = lambda number: 403
    place = s3_place(bucket)
    place.store = icechunk.s3_store(
        region="us-east-1",
        endpoint_url=web.url.rstrip("/"),
        allow_http=True,
        s3_compatible=True,
        force_path_style=True,
    )
    location = f"s3://{BUCKET}/data/x"
    session = session_of([place.container()], place.access, location)
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    assert caught.value.kind == "virtual-chunk-fetch"
    assert location in str(caught.value)
    assert "permission denied" in str(caught.value)
    assert "credentials" in str(caught.value)


def test_a_bucket_that_does_not_exist_is_named(bucket: Any) -> None:
    place = s3_place(bucket)
    place.prefix = "s3://no-such-bucket/"
    session = session_of([place.container()], place.access, place.prefix + "x")
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    assert caught.value.kind == "virtual-chunk-fetch"
    assert "no-such-bucket" in str(caught.value)
    assert "does not exist" in str(caught.value)


def test_an_endpoint_that_refuses_connections_fails_after_the_retries() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = icechunk.s3_store(
        region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}", allow_http=True
    )
    access = {"s3://bucket/": icechunk.Credentials.S3(icechunk.s3_anonymous_credentials())}
    container = icechunk.VirtualChunkContainer("s3://bucket/", store)
    session = session_of([container], access, "s3://bucket/x")
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    assert caught.value.kind == "virtual-chunk-fetch"
    assert "cannot be reached" in str(caught.value)


def test_copies_of_a_handle_read_too(folder: Path, tmp_path: Path) -> None:
    place: Place = local_place(folder)
    location = place.put("x", GOOD.tobytes())
    repo = place.repository(icechunk.local_filesystem_storage(tmp_path / "repo"))
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=40)
    session.commit("references")
    repo.set_default_commit_metadata({"who": "me"})
    for opened in (repo, pickle.loads(pickle.dumps(repo)), copy.copy(repo)):
        np.testing.assert_array_equal(values(opened.readonly_session("main")), GOOD)
    buffer = io.BytesIO()
    pickle.dump(repo.readonly_session("main").store, buffer)
    store = pickle.loads(buffer.getvalue())
    np.testing.assert_array_equal(values(store.session), GOOD)
