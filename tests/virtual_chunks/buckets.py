"""An S3 server on loopback for the files that virtual chunks refer to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import fixtures
from tests.servers.running import Server


@dataclass(frozen=True)
class S3Server:
    """Where the server is, and keys that it takes."""

    endpoint: str
    access_key_id: str = "AKIAVIRTUALTEST"
    secret_access_key: str = "virtual-test-secret"

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


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """Run moto until the block ends."""
    script = Path(fixtures.__file__).with_name("locked_moto.py")
    with Server([sys.executable, "-W", "ignore", str(script), "{port}"], log) as server:
        yield S3Server(server.url)
