"""Stores that ignore conditions are refused before a repository is created."""

from __future__ import annotations

import pytest

import icechunk
from icechunk import StorageError
from icechunk.storage.probe import Conditions, conditions
from tests.servers.places import AzurePlace, S3Place

GIVEN_UP = icechunk.RepositoryConfig(
    storage=icechunk.StorageSettings(
        unsafe_use_conditional_create=False, unsafe_use_conditional_update=False
    )
)


def test_good_ones(moto: S3Place) -> None:
    for storage in (moto.storage(), icechunk.in_memory_storage()):
        assert conditions(storage) == Conditions(True, True, True)
        assert storage.list_objects() == [], "nothing is left behind"


def test_azure(azurite: AzurePlace) -> None:
    assert conditions(azurite.storage()) == Conditions(True, True, True)


def test_a_store_that_ignores_conditions_is_refused(rclone: S3Place) -> None:
    storage = rclone.storage()
    found = conditions(storage)
    assert not found.creates_once
    assert not found.refuses_stale
    with pytest.raises(StorageError, match="overwrite each other") as caught:
        icechunk.Repository.create(storage)
    assert caught.value.kind == "storage-config"
    assert "unsafe_use_conditional_update=False" in str(caught.value)
    assert rclone.secret_access_key not in str(caught.value)
    assert storage.list_objects() == []


def test_unless_the_user_insists(rclone: S3Place) -> None:
    storage = rclone.storage()
    repo = icechunk.Repository.create(storage, GIVEN_UP)
    import zarr

    session = repo.writable_session("main")
    zarr.open_group(session.store, mode="a").attrs["x"] = 1
    session.commit("alone")
    again = icechunk.Repository.open(storage)
    assert next(each.message for each in again.ancestry(branch="main")) == "alone"
    assert again.config.storage is not None
    assert again.config.storage.unsafe_use_conditional_update is False


def test_half_insisting_is_not_enough(rclone: S3Place) -> None:
    half = icechunk.RepositoryConfig(
        storage=icechunk.StorageSettings(unsafe_use_conditional_create=False)
    )
    with pytest.raises(StorageError, match="replaces an object that has changed meanwhile"):
        icechunk.Repository.create(rclone.storage(), half)
