"""Places for repositories on servers of the tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.request
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import icechunk

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The well-known account of the emulator."""


def fresh() -> str:
    """An unused prefix."""
    return f"t/{uuid.uuid4().hex}"


@dataclass(frozen=True)
class S3Place:
    """A bucket of a server that speaks S3."""

    url: str
    bucket: str
    access_key_id: str = "testkey123456"
    secret_access_key: str = "testsecret1234567890"
    extra: dict[str, Any] = field(default_factory=dict)

    def storage(self, prefix: str | None = None, **kwargs: Any) -> icechunk.Storage:
        """A storage in the bucket, below a fresh prefix unless one is given."""
        return icechunk.s3_storage(**self.arguments(prefix, **kwargs))

    def arguments(self, prefix: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Arguments of `s3_storage`, for our library and for the reference."""
        return {
            "bucket": self.bucket,
            "prefix": fresh() if prefix is None else prefix,
            "region": "us-east-1",
            "endpoint_url": self.url,
            "allow_http": True,
            "force_path_style": True,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            **self.extra,
            **kwargs,
        }

    def through(self, url: str) -> S3Place:
        """The same bucket behind a proxy."""
        return replace(self, url=url)

    def make_bucket(self) -> None:
        """Make the bucket, with a signed request."""
        import botocore.session

        session = botocore.session.Session()
        session.set_credentials(self.access_key_id, self.secret_access_key)
        client = session.create_client("s3", region_name="us-east-1", endpoint_url=self.url)
        client.create_bucket(Bucket=self.bucket)


@dataclass(frozen=True)
class AzurePlace:
    """A container of the Azure emulator."""

    url: str
    """Address of the account."""
    container: str

    def storage(self, prefix: str | None = None, **kwargs: Any) -> icechunk.Storage:
        """A storage in the container, below a fresh prefix unless one is given."""
        return icechunk.azure_storage(**self.arguments(prefix, **kwargs))

    def arguments(self, prefix: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Arguments of `azure_storage`, for our library and for the reference."""
        return {
            "account": AZURE_ACCOUNT,
            "container": self.container,
            "prefix": fresh() if prefix is None else prefix,
            "access_key": AZURE_KEY,
            "config": {"azure_storage_endpoint": self.url, "allow_http": "true"},
            **kwargs,
        }

    def through(self, url: str) -> AzurePlace:
        """The same container behind a proxy."""
        return replace(self, url=f"{url}/{AZURE_ACCOUNT}")

    def make_container(self) -> None:
        """Make the container, with a request signed by the account's key."""
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        named = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
        resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{self.container}\nrestype:container"
        text = "PUT" + "\n" * 12 + named + resource
        digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        asked = urllib.request.Request(
            f"{self.url}/{self.container}?restype=container",
            method="PUT",
            headers={
                "x-ms-date": date,
                "x-ms-version": "2021-08-06",
                "Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}",
            },
        )
        urllib.request.urlopen(asked, timeout=20).close()


@dataclass(frozen=True)
class GcsPlace:
    """A bucket of a server of Google Cloud Storage."""

    url: str
    bucket: str

    def storage(self, prefix: str | None = None, **kwargs: Any) -> icechunk.Storage:
        """A storage in the bucket, below a fresh prefix unless one is given."""
        given: dict[str, Any] = {
            "bucket": self.bucket,
            "prefix": fresh() if prefix is None else prefix,
            "bearer_token": "token",
            "config": {"base_url": self.url, "allow_http": "true"},
        }
        return icechunk.gcs_storage(**{**given, **kwargs})

    def through(self, url: str) -> GcsPlace:
        """The same bucket behind a proxy."""
        return replace(self, url=url)


@dataclass(frozen=True)
class WebPlace:
    """A folder that a web server publishes."""

    url: str
    root: Path
