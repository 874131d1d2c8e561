"""Log lines about the caches of metadata files."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import numpy as np
import pytest
import zarr

import icechunk


def _written(caching=None):
    storage = icechunk.in_memory_storage()
    config = icechunk.RepositoryConfig(caching=caching, inline_chunk_threshold_bytes=0)
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    for name in "ab":
        array = zarr.create_array(session.store, name=name, shape=(200,), chunks=(1,), dtype="f8")
        array[:] = np.arange(200) + 0.5
        session.commit(name)
        session = repo.writable_session("main")
    return storage, config


def _read(storage, config, times=2):
    repo = icechunk.Repository.open(storage, config)
    for _ in range(times):
        root = zarr.open_group(repo.readonly_session("main").store, mode="r")
        for name in "ab":
            np.testing.assert_array_equal(root[name][:], np.arange(200) + 0.5)
    return repo


@pytest.mark.parametrize("capacity", [0, 1, 2])
def test_a_cache_that_is_too_small_is_warned_of_once(capacity, caplog):
    caching = icechunk.CachingConfig(num_snapshot_nodes=capacity, num_chunk_refs=capacity)
    storage, config = _written(caching)
    caplog.clear()
    _read(storage, config)
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    snapshot = f"snapshot of 3 nodes does not fit into its cache (num_snapshot_nodes={capacity})"
    manifest = f"200 chunk references does not fit into its cache (num_chunk_refs={capacity})"
    assert len(warned) == 2
    assert snapshot in warned[0]
    assert manifest in warned[1]
    assert all("Increase `num_" in line for line in warned)


def test_caches_that_are_large_enough_are_not_warned_of(caplog):
    storage, config = _written()
    repo = _read(storage, config)
    # These walks keep nothing in memory on purpose.
    repo.garbage_collect(datetime(2020, 1, 1, tzinfo=UTC))
    assert repo.chunk_storage_stats().native_bytes > 0
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_file_that_is_not_in_memory_is_told_and_one_that_is_not(caplog):
    storage, config = _written()
    caplog.set_level(logging.DEBUG, "icechunk")
    caplog.clear()
    _read(storage, config)
    missed = [r.getMessage() for r in caplog.records if r.getMessage().startswith("cache miss")]
    assert len(missed) == len(set(missed)) == 3, "one snapshot and two manifests, once each"
    assert sum("key=snapshots/" in line for line in missed) == 1
    assert sum("key=manifests/" in line for line in missed) == 2
