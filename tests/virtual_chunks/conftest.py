"""Servers on loopback, one of each for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.fixtures import azurite, fake_gcs, radosgw, web_server
from tests.servers.running import request
from tests.virtual_chunks.buckets import S3Server, s3_server
from tests.virtual_chunks.places import BUCKET, Place, local_place, s3_place, web_place
from tests.virtual_chunks.web import WebServer, serving

__all__ = ["azurite", "fake_gcs", "radosgw", "web_server"]


@pytest.fixture(scope="session")
def archive_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    pytest.importorskip("moto", reason="no moto: it belongs to the test extra")
    with s3_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def bucket(archive_server: S3Server) -> S3Server:
    """The S3 server with an empty bucket."""
    request(f"{archive_server.endpoint}/moto-api/reset", "POST")
    archive_server.client().create_bucket(Bucket=BUCKET)
    return archive_server


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    return made


@pytest.fixture(params=["file", "s3", "http"])
def place(request: pytest.FixtureRequest) -> Place:
    """Every kind of place."""
    if request.param == "file":
        return local_place(request.getfixturevalue("folder"))
    if request.param == "s3":
        return s3_place(request.getfixturevalue("bucket"))
    return web_place(request.getfixturevalue("web"))
