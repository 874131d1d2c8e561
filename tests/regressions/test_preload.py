"""Manifests that are fetched ahead when a session opens (R57)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import ManifestPreloadCondition as P
from icechunk import ManifestPreloadConfig
from icechunk.core.ids import id_text
from icechunk.engine import preload
from icechunk.storage.wrapper import Call, StorageWrapper

SIZES = {"lat": 20, "lon": 30, "time": 1200, "temp/depth": 40, "temp/t2m": 50, "station": 10}


class Recording(StorageWrapper):
    """A storage that notes which manifests are read, and can make the reader wait or fail."""

    def __init__(self, inner: icechunk.Storage) -> None:
        super().__init__(inner)
        self.read: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def around(self, call: Call, run: Callable[[], Any]) -> Any:
        if call.verb == "get" and call.keys[0].startswith("manifests/"):
            self.read.append(call.keys[0].removeprefix("manifests/"))
            self.gate.wait(30)
            if self.broken:
                raise icechunk.StorageError("the storage is away", icechunk.ErrorKind.UNKNOWN)
        return run()


@pytest.fixture
def storage() -> Recording:
    """A repository with a manifest for each array of `SIZES`, as many chunks as that says."""
    storage = icechunk.in_memory_storage()
    repo = icechunk.Repository.create(storage)
    for path, size in SIZES.items():  # in commits of their own: no two share a manifest
        session = repo.writable_session("main")
        array = zarr.create_array(
            session.store, name=path, shape=(size,), chunks=(1,), dtype="i4", compressors=None
        )
        array[...] = np.arange(1, size + 1)  # no fill values: every chunk is stored
        session.commit(path)
    return Recording(storage)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would run in the background is done when `start` returns."""

    def start(fn: Callable[..., Any], *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    monkeypatch.setattr(preload, "start", start)


def opened(storage: Recording, rule: ManifestPreloadConfig | None = None) -> icechunk.Repository:
    manifest = icechunk.ManifestConfig(preload=rule)
    return icechunk.Repository.open(storage, icechunk.RepositoryConfig(manifest=manifest))


def fetched(storage: Recording, repo: icechunk.Repository) -> list[str]:
    """Arrays whose manifests were read, in order of their paths."""
    base = repo.readonly_session("main")._transaction.base
    owner = {
        id_text(ref.object_id): node.path.removeprefix("/")
        for node in base.nodes
        if node.array is not None
        for ref in node.array.manifests
    }
    assert len(set(storage.read)) == len(storage.read), "nothing is fetched twice"
    return sorted(owner[name] for name in storage.read)


def test_r57_small_coordinates_are_fetched_by_default(storage: Recording, at_once: None) -> None:
    repo = opened(storage)
    assert storage.read == []
    repo.readonly_session("main")
    repo.writable_session("main")
    assert fetched(storage, repo) == ["lat", "lon", "temp/depth"]


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        (ManifestPreloadConfig(preload_if=P.false()), []),
        (ManifestPreloadConfig(preload_if=P.true()), sorted(SIZES)),
        (ManifestPreloadConfig(0, P.true()), []),
        (ManifestPreloadConfig(preload_if=P.true(), max_arrays_to_scan=0), []),
        # in the order of paths: lat, lon, station, temp/depth, temp/t2m, time
        (ManifestPreloadConfig(preload_if=P.true(), max_arrays_to_scan=2), ["lat", "lon"]),
        (ManifestPreloadConfig(60, P.true()), ["lat", "lon", "station"]),
        (ManifestPreloadConfig(preload_if=P.path_matches("^/temp/.*")), ["temp/depth", "temp/t2m"]),
        (ManifestPreloadConfig(preload_if=P.name_matches("^t")), ["temp/t2m", "time"]),
        (ManifestPreloadConfig(preload_if=P.num_refs(20, 41)), ["lat", "lon", "temp/depth"]),
        (
            ManifestPreloadConfig(preload_if=P.num_refs(41, None) & P.name_matches("2")),
            ["temp/t2m"],
        ),
        (ManifestPreloadConfig(preload_if=P.name_matches("(")), []),
    ],
)
def test_r57_what_meets_the_condition_and_nothing_else(
    storage: Recording, at_once: None, rule: ManifestPreloadConfig, paths: list[str]
) -> None:
    repo = opened(storage, rule)
    session = repo.readonly_session("main")
    assert fetched(storage, repo) == paths
    for path, size in SIZES.items():
        cells = zarr.open_array(session.store, path=path, mode="r")[...]
        assert np.asarray(cells).tolist() == list(range(1, size + 1))
    assert fetched(storage, repo) == sorted(SIZES)


def test_caches_that_keep_nothing_are_not_filled(storage: Recording, at_once: None) -> None:
    caching = icechunk.CachingConfig(num_chunk_refs=0)
    icechunk.Repository.open(storage, icechunk.RepositoryConfig(caching=caching)).readonly_session(
        "main"
    )
    assert storage.read == []


def test_sessions_do_not_wait_for_it(storage: Recording) -> None:
    storage.gate.clear()
    repo = opened(storage, ManifestPreloadConfig(preload_if=P.name_matches("^lat$")))
    session = repo.readonly_session("main")
    assert "lat" in zarr.open_group(session.store, mode="r")
    deadline = time.monotonic() + 30
    while not storage.read and time.monotonic() < deadline:
        time.sleep(0.005)
    cells: list[Any] = []
    reader = threading.Thread(
        target=lambda: cells.append(zarr.open_array(session.store, path="lat", mode="r")[3])
    )
    reader.start()
    storage.gate.set()
    reader.join(30)
    assert int(cells[0]) == 4
    assert fetched(storage, repo) == ["lat"], "the reader waited for the request under way"


def test_errors_surface_where_the_data_is_used(storage: Recording, at_once: None) -> None:
    storage.broken = True
    repo = opened(storage)
    session = repo.writable_session("main")
    assert len(storage.read) == 3
    array = zarr.open_array(session.store, path="lat", mode="r")
    with pytest.raises(icechunk.StorageError, match="the storage is away"):
        array[...]
    storage.broken = False
    assert np.asarray(array[...]).tolist() == list(range(1, 21))
