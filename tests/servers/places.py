"""Places for repositories on servers of the tests."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

import icechunk


def fresh() -> str:
    """A prefix that nobody uses."""
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
