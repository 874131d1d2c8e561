"""Cloudflare R2: S3's protocol at an endpoint per account."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Any

from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.base import Storage
from icechunk.storage.kinds.kind import merged_headers
from icechunk.storage.kinds.s3 import S3Protocol, s3_bucket, s3_keywords, with_endpoint

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None


def r2_storage(
    *,
    bucket: str | None = None,
    prefix: str | None = None,
    account_id: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    network_stream_timeout_seconds: int = 60,
    checksum_algorithm: ChecksumAlgorithm | None = None,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in a Cloudflare R2 bucket.

    Parameters
    ----------
    bucket : str, optional
        Name of the bucket; the first segment of `prefix` when absent.
    prefix : str, optional
        Path in the bucket.
    account_id : str, optional
        Account; needed unless `endpoint_url` is given.
    region : str, optional
        Region of the bucket; ``auto`` when absent.
    endpoint_url : str, optional
        Address of the service.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    network_stream_timeout_seconds : int
        Seconds without data after which a transfer fails and is tried again; 0: no limit. An upload
        may take ten times as long, since no data arrives while it is sent.
    checksum_algorithm : ChecksumAlgorithm, optional
        Checksum that uploads carry: `Sha256` or `Crc64Nvme`.
    legacy_rooted_keys : bool, optional
        Accepted for compatibility; keys that begin with a slash, which early versions wrote at an
        empty prefix, cannot be read.
    read_headers, write_headers, headers : mapping, optional
        Headers of read requests, of write requests, and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that contradict each other.
    """
    return s3_keywords(new_r2, locals())


def new_r2(
    config: S3Options,
    bucket: str | None = None,
    prefix: str | None = None,
    account_id: str | None = None,
    credentials: Any = None,
    legacy_rooted_keys: bool | None = None,
    *,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use a Cloudflare R2 bucket; see `icechunk.r2_storage`."""
    if bucket is None:
        bucket, _, rest = (prefix or "").strip("/").partition("/")
        prefix = rest or None
        if not bucket:
            raise StorageError(
                "storage configuration error: Either bucket or prefix must be provided.",
                ErrorKind.STORAGE_CONFIG,
            )
    options = copy(config)
    if options.endpoint_url is None and account_id is None:
        raise StorageError(
            "storage configuration error: Either endpoint_url or account_id must be provided.",
            ErrorKind.STORAGE_CONFIG,
        )
    options.endpoint_url = options.endpoint_url or f"https://{account_id}.r2.cloudflarestorage.com"
    options.region = options.region or "auto"
    options.force_path_style = True
    both = merged_headers(read_headers, write_headers, headers)
    return s3_bucket(options, bucket, prefix, credentials, both, legacy_rooted_keys)


class R2Kind(S3Protocol):
    """Cloudflare R2. Containers of virtual chunks in R2 are configured as S3 with an endpoint."""

    name = "R2"
    schemes = ("r2",)
    redirects = ("r2",)
    storage = staticmethod(r2_storage)
    options = ("account_id", "region", "endpoint_url", "anonymous", "allow_http")
    redirect_options = ("account_id", "region", "endpoint_url")

    def completed(self, options: dict[str, Any]) -> dict[str, Any]:
        account = options.get("account_id") or os.environ.get("R2_ACCOUNT_ID")
        if account is None:
            options = with_endpoint(options)
        return {**options, "account_id": account}


KIND = R2Kind()
