"""An S3 server on loopback: moto in a process of its own, with conditional writes made atomic."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_SERVER = """\
import functools, logging, sys, threading, time
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

# moto compares, then stores, with no lock in between
lock = threading.RLock()
for name in ("put_object", "_key_response_post", "delete_object", "copy_object"):
    def locked(self, *args, _method=getattr(S3Response, name), **kwargs):
        with lock:
            return _method(self, *args, **kwargs)
    setattr(S3Response, name, locked)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
ThreadedMotoServer("127.0.0.1", int(sys.argv[1])).start()
sys.stdin.read()  # ends when the tests do, however they end
"""


@dataclass(frozen=True)
class S3Server:
    """Where the server is, and keys that it takes."""

    port: int
    access_key_id: str = "AKIAVIRTUALTEST"
    secret_access_key: str = "virtual-test-secret"

    @property
    def endpoint(self) -> str:
        """Address."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A botocore client."""
        import botocore.session

        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run moto until the block ends."""
    server = S3Server(_free_port())
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVER, str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                    break
            if process.poll() is not None:
                raise RuntimeError("moto did not start: pip install 'moto[server]'")
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
