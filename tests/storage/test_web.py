"""Repositories that a web server publishes, and URLs that redirect to one."""

from __future__ import annotations

import pickle
import shutil
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import ReadOnlyError, RepositoryNotFoundError, StorageError
from tests.oracle import run_reference
from tests.servers.places import WebPlace
from tests.servers.proxy import Proxy


@pytest.fixture
def published(web_server: WebPlace) -> str:
    """Address of a repository with one array and two commits."""
    name = uuid.uuid4().hex
    repo = icechunk.Repository.create(
        icechunk.local_filesystem_storage(web_server.root / name),
        icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0),
    )
    for n in range(2):
        session = repo.writable_session("main")
        root = zarr.open_group(session.store, mode="a")
        data = np.arange(1000, dtype="i4").reshape(10, 100) + n
        root.create_array(f"a{n}", data=data, chunks=(2, 100))
        session.commit(f"commit {n}")
    return f"{web_server.url}/{name}"


class TestHttp:
    def test_a_repository_is_read(self, published: str) -> None:
        repo = icechunk.Repository.open(icechunk.http_storage(published))
        root = zarr.open_group(repo.readonly_session("main").store, mode="r")
        assert root["a1"][3, 5] == 306
        assert np.array_equal(root["a0"][:], np.arange(1000).reshape(10, 100))
        assert next(each.message for each in repo.ancestry(branch="main")) == "commit 1"
        again = pickle.loads(pickle.dumps(repo))
        assert again.lookup_branch("main") == repo.lookup_branch("main")

    def test_nothing_can_be_written(self, published: str) -> None:
        place = icechunk.http_storage(published)
        repo = icechunk.Repository.open(place)
        tip = repo.lookup_branch("main")
        for attempt in (
            lambda: repo.writable_session("main"),
            lambda: repo.create_tag("t", tip),
            lambda: repo.create_branch("b", tip),
            lambda: repo.save_config(),
            lambda: icechunk.Repository.create(place),
            lambda: place.put("a", b"x"),
            lambda: place.create("a", b"x"),
            lambda: place.replace("a", b"x", "1"),
            lambda: place.delete(["a"]),
        ):
            with pytest.raises(ReadOnlyError, match="read-only") as caught:
                attempt()
            assert caught.value.kind == "read-only-storage"
        with pytest.raises(ReadOnlyError, match=r"^Cannot create writable session"):
            repo.writable_session("main")

    def test_verbs(self, published: str) -> None:
        place = icechunk.http_storage(published)
        data = place.get("repo").data
        assert place.read_range("repo", 3, 10) == data[3:13]
        info = place.head("repo")
        assert info is not None
        assert info.size == len(data)
        assert place.get("repo").version == place.get("repo").version
        for key, offset, length, kind in (
            ("repo", len(data), 1, "invalid-object-size"),
            ("repo", len(data) - 1, 2, "invalid-object-size"),
            ("nothing", 0, 1, "object-not-found"),
        ):
            with pytest.raises(StorageError) as caught:
                place.read_range(key, offset, length)
            assert caught.value.kind == kind
        assert place.head("nothing") is None
        with pytest.raises(StorageError, match="cannot be listed"):
            place.list_objects()

    def test_no_repository_there(self, published: str) -> None:
        with pytest.raises(RepositoryNotFoundError, match="doesn't exist"):
            icechunk.Repository.open(icechunk.http_storage(published + "/nowhere"))
        assert not icechunk.Repository.exists(icechunk.http_storage(published + "x"))

    def test_headers_and_options_are_sent(self, published: str) -> None:
        with Proxy(published) as proxy:
            place = icechunk.http_storage(
                f"{proxy.url}/{published.rpartition('/')[2]}",
                opts={"user_agent": "me/1"},
                headers={"X-Mine": "yes"},
            )
            place.get("repo")
            assert proxy.requests[0].headers["x-mine"] == "yes"
            assert proxy.requests[0].headers["user-agent"] == "me/1"
        with pytest.raises(StorageError, match="unknown http options"):
            icechunk.http_storage(published, opts={"nonsense": "1"}).get("repo")

    def test_secrets_in_an_address_are_not_shown(self) -> None:
        place = icechunk.http_storage("http://me:hidden@127.0.0.1:1/x?token=hidden")
        assert "hidden" not in repr(place) + str(place) + place._repr_html_() + place.identity

    @pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "", "file:///x", "http://"])
    def test_other_addresses_are_refused(self, url: str) -> None:
        with pytest.raises(StorageError, match="https://host/path") as caught:
            icechunk.http_storage(url)
        assert caught.value.kind == "cannot-parse-url"

    @pytest.mark.oracle
    def test_the_reference_reads_the_same(self, published: str) -> None:
        total = run_reference(
            """
            import icechunk, zarr
            repo = icechunk.Repository.open(icechunk.http_storage(args[0]))
            root = zarr.open_group(repo.readonly_session("main").store, mode="r")
            result = int(root["a1"][:].sum())
            """,
            published,
        )
        assert total == np.arange(1000).sum() + 1000


def test_credentials_do_not_follow_a_redirect_to_another_host(
    web_server: WebPlace, redirecting: list[str]
) -> None:
    (web_server.root / "repo").write_bytes(b"data")
    with Proxy(web_server.url) as proxy:
        redirecting[1] = proxy.url.replace("127.0.0.1", "localhost") + "/repo"
        place = icechunk.http_storage(
            redirecting[0], headers={"Authorization": "Bearer hidden", "Cookie": "id=hidden"}
        )
        assert place.get("repo").data == b"data"
        assert proxy.requests
        assert not [text for text in proxy.requests[0].headers.values() if "hidden" in text]


@pytest.fixture
def redirecting() -> Iterator[list[str]]:
    """A server's address, then the targets that it answers with, in turn."""
    targets: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = targets[1]
            self.send_response(302 if target else 200)
            if target:
                self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    targets += [f"http://127.0.0.1:{server.server_address[1]}/go", ""]
    yield targets
    server.shutdown()
    server.server_close()


class TestRedirect:
    @pytest.mark.parametrize("scheme", ["http+icechunk", "http+ic"])
    def test_to_a_web_server(self, published: str, redirecting: list[str], scheme: str) -> None:
        redirecting[1] = published.replace("http", scheme, 1)
        place = icechunk.redirect_storage(redirecting[0])
        repo = icechunk.Repository.open(pickle.loads(pickle.dumps(place)))
        root = zarr.open_group(repo.readonly_session("main").store, mode="r")
        assert root["a1"][0, 0] == 1
        with pytest.raises(ReadOnlyError) as caught:
            repo.writable_session("main")
        assert caught.value.kind == "read-only-storage"
        assert place.default_settings() == icechunk.http_storage(published).default_settings()

    @pytest.mark.parametrize("target", ["", "ftp://x/y", "s3:", "/relative", "file:///etc"])
    def test_bad_targets(self, redirecting: list[str], target: str) -> None:
        redirecting[1] = target
        with pytest.raises(StorageError, match="bad redirect") as caught:
            icechunk.Repository.open(icechunk.redirect_storage(redirecting[0]))
        assert caught.value.kind == "bad-redirect"

    def test_no_answer(self) -> None:
        place = icechunk.redirect_storage("http://127.0.0.1:1/x")
        with pytest.raises(StorageError, match="cannot find target Storage instance"):
            icechunk.Repository.open(place)
        with pytest.raises(ValueError, match="Redirect Storage error"):
            place.default_settings()


def test_a_folder_that_is_moved_away(web_server: WebPlace, published: str) -> None:
    repo = icechunk.Repository.open(icechunk.http_storage(published))
    shutil.rmtree(Path(web_server.root, published.rpartition("/")[2]))
    with pytest.raises(RepositoryNotFoundError):
        repo.lookup_branch("main")
