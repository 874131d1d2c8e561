"""Run the cases of an S3 bucket against a server of their own.

    python benchmarks/object_store.py --reference .oracle/bin/python --rounds 5 [--server moto]

The server is Ceph's radosgw where it is installed (`scripts/servers.sh --ceph`), else moto, which
is written in Python and slower than any client. Every other option goes to `run.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.servers.places import S3Place  # noqa: E402
from tests.servers.running import Server  # noqa: E402

BUCKET = "benchmarks"
SERVERS = HERE.parent / "tests/servers"
CASES = ("s3-cold", "s3-write-16", "s3-read-16", "s3-write-64", "s3-read-64")


def _server(name: str, folder: Path, place: S3Place) -> Server:
    if name == "moto":
        command = [sys.executable, str(SERVERS / "locked_moto.py"), "{port}"]
        return Server(command, folder / "log")
    keys = {"ACCESS_KEY": place.access_key_id, "SECRET_KEY": place.secret_access_key}
    return Server(["sh", str(SERVERS / "ceph.sh"), "{port}", str(folder)], folder / "log", keys)


def main() -> None:
    options = sys.argv[1:]
    name = "radosgw" if shutil.which("radosgw") else "moto"
    if "--server" in options:
        at = options.index("--server")
        name = options[at + 1]
        del options[at : at + 2]
    if "--case" not in options:
        options += [word for case in CASES for word in ("--case", case)]
    place = S3Place("", BUCKET)
    with tempfile.TemporaryDirectory() as folder, _server(name, Path(folder), place) as server:
        place = place.through(server.url)
        place.make_bucket()
        arguments = place.arguments("")
        del arguments["prefix"]
        environment = {**os.environ, "ICECHUNK_BENCH_S3": json.dumps(arguments)}
        command = [sys.executable, str(HERE / "run.py"), *options]
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
