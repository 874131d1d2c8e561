"""Hugging Face buckets, through the gateway that has S3's protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Any

from icechunk.config.storage import S3Options
from icechunk.storage.base import Storage
from icechunk.storage.kinds.kind import merged_headers
from icechunk.storage.kinds.s3 import S3Protocol, s3_bucket, s3_keywords

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None

_ENDPOINT = "https://s3.hf.co"


def hf_storage(
    *,
    bucket: str,
    prefix: str | None,
    namespace: str,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    network_stream_timeout_seconds: int = 60,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in a Hugging Face bucket, through its S3 gateway.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Path in the bucket; a repository cannot be created at the root of a bucket.
    namespace : str
        User or organisation.
    access_key_id, secret_access_key, session_token, expires_after, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    network_stream_timeout_seconds : int
        Seconds without data after which a transfer fails and is tried again; 0: no limit. An upload
        may take ten times as long, since no data arrives while it is sent.
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
    return s3_keywords(new_hf, locals())


def new_hf(
    config: S3Options,
    bucket: str,
    prefix: str | None,
    namespace: str,
    credentials: Any = None,
    legacy_rooted_keys: bool | None = None,
    *,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use a Hugging Face bucket; see `icechunk.hf_storage`."""
    options = copy(config)
    options.endpoint_url = f"{(options.endpoint_url or _ENDPOINT).rstrip('/')}/{namespace}"
    options.region = options.region or "us-east-1"
    options.force_path_style = True
    both = merged_headers(read_headers, write_headers, headers)
    return s3_bucket(options, bucket, prefix, credentials, both, legacy_rooted_keys)


class HuggingFaceKind(S3Protocol):
    """Hugging Face buckets; they have no URLs here, since a namespace is needed too."""

    name = "Hugging Face"
    storage = staticmethod(hf_storage)


KIND = HuggingFaceKind()
