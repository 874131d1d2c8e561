"""Repositories in object stores from creation to garbage collection: every kind of request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.storage.base import Storage
from tests.servers.places import AzurePlace, GcsPlace, S3Place


@pytest.fixture(params=["moto", "azurite", "gcs_xml"])
def storage(request: pytest.FixtureRequest) -> Storage:
    place: S3Place | AzurePlace | GcsPlace = request.getfixturevalue(request.param)
    return place.storage()


def commit(repo: Any, message: str, value: int) -> str:
    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="a")
    array[value * 10 : value * 10 + 10] = value
    tip: str = session.commit(message)
    return tip


@pytest.mark.parametrize("spec_version", [1, 2])
def test_a_life(storage: Storage, spec_version: int) -> None:
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo = icechunk.Repository.create(storage, config, spec_version=spec_version)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(100,), chunks=(10,), dtype="i4")
    first = session.commit("array")
    second = commit(repo, "one", 1)
    repo.create_branch("side", second)
    repo.create_tag("v1", first)
    third = commit(repo, "two", 2)
    repo.reset_branch("main", second)
    fourth = commit(repo, "three", 3)
    assert {repo.lookup_branch("main"), repo.lookup_branch("side")} == {fourth, second}
    if spec_version == 1:
        icechunk.upgrade_icechunk_repository(repo, dry_run=False)
        repo = icechunk.Repository.open(storage)
    chunks = len(storage.list_objects(prefix="chunks"))
    done = repo.garbage_collect(datetime.now(UTC))
    assert done.chunks_deleted == 1, "the chunk of the commit that was reset away"
    assert len(storage.list_objects(prefix="chunks")) == chunks - 1
    with pytest.raises(icechunk.IcechunkError):
        repo.readonly_session(snapshot_id=third)
    repo.delete_branch("side")
    repo.expire_snapshots(datetime.now(UTC))
    array = zarr.open_array(repo.readonly_session("main").store, path="a")
    assert np.array_equal(array[:], np.repeat([0, 1, 0, 3, 0, 0, 0, 0, 0, 0], 10))
    repo.save_config()
    assert icechunk.Repository.fetch_config(storage) is not None


def test_conflicts_and_rebase(storage: Storage) -> None:
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(100,), chunks=(10,), dtype="i4")
    session.commit("array")
    mine = repo.writable_session("main")
    zarr.open_array(mine.store, path="a")[:10] = 5
    commit(repo, "theirs", 3)
    with pytest.raises(icechunk.ConflictError):
        mine.commit("mine")
    mine.rebase(icechunk.ConflictDetector())
    mine.commit("mine")
    array = zarr.open_array(repo.readonly_session("main").store, path="a")
    assert (array[0], array[30]) == (5, 3)
