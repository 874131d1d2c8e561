"""Fixtures of servers: one of each per test process, started when the first test asks for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.places import S3Place
from tests.servers.running import Server, request

HERE = Path(__file__).parent
BUCKET = "testbucket"


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    """A bucket of moto's S3 server, whose conditional writes are atomic."""
    pytest.importorskip("moto", reason="no moto: it belongs to the test extra")
    log = tmp_path_factory.mktemp("moto") / "log"
    with Server([sys.executable, str(HERE / "locked_moto.py"), "{port}"], log) as server:
        request(f"{server.url}/{BUCKET}", "PUT")
        yield S3Place(server.url, BUCKET)
