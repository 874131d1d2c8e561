"""Limits of parallel work hold: requests, decodes, partial reads, manifests of a commit."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

import icechunk
from icechunk.config.resolve import resolve
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.dialect import V2
from icechunk.storage.memory import MemoryStorage

SECONDS = 20


class Meter:
    """Counts who is inside; lets people out when enough have come together."""

    def __init__(self, together):
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.met = threading.Event()
        self.together = together

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now >= self.together:
                self.met.set()
        self.met.wait(SECONDS)

    def __exit__(self, *exc):
        with self.lock:
            self.now -= 1


@pytest.fixture
def web():
    """A web server that counts the requests it is answering."""
    meter = Meter(2)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with meter:
                self.send_response(206)
                self.send_header("Content-Length", "4")
                self.send_header("Content-Range", "bytes 0-3/4")
                self.end_headers()
                self.wfile.write(b"data")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/repo", meter
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("way", ["threads", "event loop", "both"])
def test_requests_in_flight_are_bounded(way, web):
    url, meter = web
    settings = resolve(icechunk.RepositoryConfig(max_concurrent_requests=2))
    storage = icechunk.http_storage(url).tuned(settings.storage)

    async def together():
        return await asyncio.gather(*(storage.read_range_async("x", 0, 4) for _ in range(6)))

    with ThreadPoolExecutor(6) as pool:
        reads = []
        if way != "event loop":
            reads = [pool.submit(storage.read_range, "x", 0, 4) for _ in range(6)]
        answers = asyncio.run(together()) if way != "threads" else []
        answers += [read.result() for read in reads]
    assert {bytes(answer) for answer in answers} == {b"data"}
    assert meter.most == 2


def test_one_request_at_a_time_is_enough_for_everything(moto):
    config = icechunk.RepositoryConfig(max_concurrent_requests=1, inline_chunk_threshold_bytes=0)
    repo = icechunk.Repository.create(moto.storage(), config)
    session = repo.writable_session("main")
    array = zarr.create_array(session.store, name="a", shape=(40,), chunks=(4,), dtype="f8")
    array[:] = np.arange(40)
    session.commit("one")
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    np.testing.assert_array_equal(root["a"][:], np.arange(40))


def test_files_decoded_at_once_are_bounded():
    storage = icechunk.in_memory_storage()
    storage.put("snapshots/X", b"file")
    settings = resolve(icechunk.RepositoryConfig(max_concurrent_decodes=2))
    files = RepositoryFiles(storage, settings, V2)
    meter = Meter(2)

    def decode(data, *, name):
        with meter:
            return data, name

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: files._decoded(decode, "snapshots/X"), range(6)))
    assert set(found) == {(b"file", "snapshots/X")}
    assert meter.most == 2


class Slow(MemoryStorage):
    """Reads of chunks and manifests go through a meter."""

    blocking_ok = False
    meter = None

    def get(self, key):
        if self.meter is None or not key.startswith("manifests/"):
            return super().get(key)
        with self.meter:
            return super().get(key)

    def read_range(self, key, offset, length):
        if self.meter is None:
            return super().read_range(key, offset, length)
        with self.meter:
            return super().read_range(key, offset, length)


def written(storage, **fields):
    config = icechunk.RepositoryConfig(
        inline_chunk_threshold_bytes=0, share_manifests=False, **fields
    )
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    for number in range(4):
        array = zarr.create_array(
            session.store, name=f"a{number}", shape=(200,), chunks=(1,), dtype="f8"
        )
        array[:] = np.arange(200) + 0.5
    session.commit("one")
    return icechunk.Repository.open(storage, config)


@pytest.mark.parametrize("limit", [1, 3])
def test_parts_of_one_request_to_the_store_are_read_in_limited_numbers(limit):
    storage = Slow()
    repo = written(storage, get_partial_values_concurrency=limit)
    store = repo.readonly_session("main").store
    keys = [(f"a0/c/{n}", None) for n in range(8)]
    asyncio.run(store.get(keys[0][0], default_buffer_prototype()))
    storage.meter = Meter(limit)
    found = asyncio.run(store.get_partial_values(default_buffer_prototype(), keys))
    assert len(found) == 8
    assert all(part is not None for part in found)
    assert storage.meter.most == limit


@pytest.mark.parametrize("limit", [1, 3])
def test_a_commit_fetches_manifests_in_limited_numbers(limit):
    storage = Slow()
    manifest = icechunk.ManifestConfig(
        max_concurrent_manifest_fetches_during_commit=limit,
        preload=icechunk.ManifestPreloadConfig(max_total_refs=0),
    )
    repo = written(storage, manifest=manifest)
    session = repo.writable_session("main")
    for number in range(4):
        zarr.open_array(session.store, path=f"a{number}", mode="r+").resize((150,))
    storage.meter = Meter(limit)
    session.commit("two")
    assert storage.meter.most == limit
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    for number in range(4):
        np.testing.assert_array_equal(root[f"a{number}"][:], np.arange(150) + 0.5)
