"""Object stores: the contract on real servers, and what is theirs alone."""

from __future__ import annotations

import pytest

from icechunk.storage.base import Storage
from tests.servers.places import AzurePlace, S3Place
from tests.storage.contract import StorageContract


class TestMoto(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, moto: S3Place) -> Storage:
        return moto.storage()


class TestAzurite(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, azurite: AzurePlace) -> Storage:
        return azurite.storage()


@pytest.mark.slow
class TestRadosgw(StorageContract):
    has_locks = False
    counts_deletes = False
    tries = None

    @pytest.fixture
    def storage(self, radosgw: S3Place) -> Storage:
        return radosgw.storage()
