"""Servers on loopback, one of each for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.virtual.buckets import S3Server, s3_server
from tests.virtual.places import BUCKET, Place, local_place, s3_place, web_place
from tests.virtual.web import WebServer, web_server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(moto: S3Server) -> S3Server:
    """The S3 server with an empty bucket."""
    import urllib.request

    reset = urllib.request.Request(f"{moto.endpoint}/moto-api/reset", method="POST")
    with urllib.request.urlopen(reset):
        pass
    moto.client().create_bucket(Bucket=BUCKET)
    return moto


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
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
