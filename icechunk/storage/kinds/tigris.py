"""Tigris: S3's protocol, with a choice of consistency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Any

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.base import Storage
from icechunk.storage.kinds.kind import merged_headers
from icechunk.storage.kinds.s3 import S3Protocol, s3_bucket, s3_keywords

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None

_ENDPOINT = "https://t3.storage.dev"
_STRONG = {"X-Tigris-Consistent": "true"}
"""Asks for the latest write, in whichever region it was made (Tigris, "Consistency")."""


def tigris_storage(
    *,
    bucket: str,
    prefix: str | None,
    region: str | None = None,
    endpoint_url: str | None = None,
    use_weak_consistency: bool = False,
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
    """Keep a repository in a Tigris bucket.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Path in the bucket; a repository cannot be created at the root of a bucket.
    region : str, optional
        Region of the bucket; needed unless `use_weak_consistency`.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    use_weak_consistency : bool
        Read from the nearest region, which may lack the latest writes; nothing can be written.
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
    return s3_keywords(new_tigris, locals())


def new_tigris(
    config: S3Options,
    bucket: str,
    prefix: str | None,
    use_weak_consistency: bool,
    credentials: Any = None,
    legacy_rooted_keys: bool | None = None,
    *,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use a Tigris bucket; see `icechunk.tigris_storage`."""
    options = copy(config)
    options.endpoint_url = options.endpoint_url or _ENDPOINT
    if options.region is None and not use_weak_consistency:
        raise StorageError(
            "Tigris storage requires a region to provide full consistency. Either set the region "
            "for the bucket or use the read-only, eventually consistent storage by passing "
            "`use_weak_consistency=True` (experts only)",
            ErrorKind.STORAGE_OTHER,
        )
    reading, writing = merged_headers(read_headers, write_headers, headers)
    strong = {} if use_weak_consistency else _STRONG
    both = {**strong, **reading}, {**strong, **writing}
    return s3_bucket(
        options,
        bucket,
        prefix,
        credentials,
        both,
        legacy_rooted_keys,
        read_only=use_weak_consistency,
    )


class TigrisKind(S3Protocol):
    """Tigris."""

    name = "Tigris"
    schemes = ("tigris",)
    redirects = ("tigris",)
    configs = (ObjectStoreConfig.Tigris,)
    storage = staticmethod(tigris_storage)
    options = ("region", "endpoint_url", "anonymous", "allow_http", "use_weak_consistency")
    redirect_options = ("region", "endpoint_url")
    alias = "s3"

    def completed(self, options: dict[str, Any]) -> dict[str, Any]:
        # The file of aliases has the same fields for all services with the protocol of S3.
        return {
            name: value
            for name, value in options.items()
            if name not in ("force_path_style", "requester_pays")
        }

    def redirected(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "use_weak_consistency": options.get("region") is None}


KIND = TigrisKind()
