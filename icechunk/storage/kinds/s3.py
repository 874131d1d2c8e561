"""S3, and what services with its protocol have in common with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credential_choice import s3_credentials
from icechunk.config.credentials import Credentials, S3Credentials
from icechunk.config.rendering import Label, public_url
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.base import Storage, Version
from icechunk.storage.clients import Requests
from icechunk.storage.fsspec_conditional import ConditionalWriter, Got, run_coroutine
from icechunk.storage.kinds.kind import (
    BucketKind,
    bucket_name,
    displayed,
    joined,
    merged_headers,
    taken,
)
from icechunk.storage.objects import ObjectStorage
from icechunk.storage.readback import WRITE_ID, Seen
from icechunk.storage.s3_client import s3_client

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Environment variables of the AWS tools, the more specific one first."""

_DELETE_BATCH = 1000
"""Keys in one deletion, the most that S3 takes."""

_OPTIONS = (
    "region",
    "endpoint_url",
    "allow_http",
    "anonymous",
    "force_path_style",
    "network_stream_timeout_seconds",
    "requester_pays",
    "checksum_algorithm",
)
"""Fields of `S3Options`, which the public functions take as keywords."""


def s3_storage(
    *,
    bucket: str,
    prefix: str | None,
    region: str | None = None,
    endpoint_url: str | None = None,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    force_path_style: bool = False,
    network_stream_timeout_seconds: int = 60,
    requester_pays: bool = False,
    checksum_algorithm: ChecksumAlgorithm | None = None,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in an S3 bucket, or in a compatible service.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Path in the bucket; a repository cannot be created at the root of a bucket.
    region : str, optional
        Region of the bucket; that of the environment or profile when absent.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    force_path_style : bool
        Put the bucket into the path of URLs instead of the host name. That is done anyway where
        the host is an IP address or a single word, or the bucket has a dot.
    network_stream_timeout_seconds : int
        Seconds without data after which a transfer fails and is tried again; 0: no limit. An upload
        may take ten times as long, since no data arrives while it is sent.
    requester_pays : bool
        Agree to pay for the transfer.
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
    return s3_keywords(new_s3, locals())


def s3_object_store_storage(
    *,
    bucket: str,
    prefix: str | None,
    region: str | None = None,
    endpoint_url: str | None = None,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    force_path_style: bool = False,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in an S3 bucket through the alternative client of the Rust library.

    This library has one client for both; this function puts the bucket into the path of the URLs
    of an `endpoint_url`.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Path in the bucket; a repository cannot be created at the root of a bucket.
    region : str, optional
        Region of the bucket; that of the environment or profile when absent.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    force_path_style : bool
        Put the bucket into the path for AWS too.
    read_headers, write_headers, headers : mapping, optional
        Headers of read requests, of write requests, and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that contradict each other.
    """
    return s3_keywords(new_s3_object_store, locals())


def s3_keywords(new: Callable[..., Storage], given: dict[str, Any]) -> Storage:
    """Call a constructor that takes options and credentials, from a public function's keywords."""
    given = dict(given)  # a debugger that looks at the caller's frame refills its `locals()`
    options = {name: given[name] for name in _OPTIONS if name in given}
    options["anonymous"] = bool(options.get("anonymous"))
    credentials = s3_credentials(**taken(given, s3_credentials))
    rest = {name: value for name, value in given.items() if name not in options}
    return new(S3Options(**options), credentials=credentials, **rest)


def new_s3(
    config: S3Options,
    bucket: str,
    prefix: str | None,
    credentials: Any = None,
    legacy_rooted_keys: bool | None = None,
    *,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use an S3 bucket; see `icechunk.s3_storage`."""
    both = merged_headers(read_headers, write_headers, headers)
    return s3_bucket(config, bucket, prefix, credentials, both, legacy_rooted_keys)


def new_s3_object_store(
    config: S3Options,
    bucket: str,
    prefix: str | None,
    credentials: Any = None,
    *,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use an S3 bucket; see `icechunk.storage.s3_object_store_storage`."""
    options = copy(config)
    options.force_path_style = options.force_path_style or options.endpoint_url is not None
    both = merged_headers(read_headers, write_headers, headers)
    return s3_bucket(options, bucket, prefix, credentials, both, shown=config, label="S3")


def s3_bucket(
    options: S3Options,
    bucket: str,
    prefix: str | None,
    credentials: Any,
    headers: tuple[dict[str, str], dict[str, str]],
    legacy_rooted_keys: bool | None = None,
    *,
    read_only: bool = False,
    shown: S3Options | None = None,
    label: str = "S3 (native)",
) -> Storage:
    """Make the storage of a bucket of any service with the protocol of S3.

    Parameters
    ----------
    options, bucket, prefix, credentials, legacy_rooted_keys
        See `icechunk.s3_storage`.
    headers : (dict, dict)
        Headers of read requests and of write requests.
    read_only : bool
        Refuse to write.
    shown, label
        Options and kind for the display, which is that of the Rust library.
    """
    if legacy_rooted_keys and (prefix or "").strip("/"):
        raise StorageError(
            "storage error: legacy_rooted_keys is only valid with an empty prefix: below "
            f"`{prefix}` no key begins with a slash. Leave it out",
            ErrorKind.STORAGE_CONFIG,
        )
    if legacy_rooted_keys:
        raise StorageError(
            "storage configuration error: keys that begin with a slash, as early versions wrote "
            "them at an empty prefix, cannot be read here. Copy the repository below a prefix",
            ErrorKind.STORAGE_CONFIG,
        )
    options = copy(options)
    if isinstance(credentials, S3Credentials.Anonymous):
        options.anonymous = True
    visible = options if shown is None else shown
    lines = displayed(label, prefix, bucket=bucket_name(bucket))
    lines += [
        (name, Label(public_url(value)))
        for name in ("region", "endpoint_url")
        if (value := getattr(visible, name)) is not None
    ]
    lines += [
        (name, True)
        for name in ("allow_http", "anonymous", "force_path_style", "requester_pays")
        if getattr(visible, name)
    ]
    endpoint = f" at {public_url(options.endpoint_url)}" if options.endpoint_url else ""
    return ObjectStorage(
        ObjectStoreConfig.S3(options),
        bucket,
        prefix,
        credentials,
        identity=f"s3://{joined(bucket, prefix)}{endpoint}",
        shown=tuple(lines),
        read_headers=headers[0],
        write_headers=headers[1],
        read_only=read_only,
    )


def with_endpoint(options: dict[str, Any]) -> dict[str, Any]:
    """Complete options by the endpoint of the environment, as the AWS tools do."""
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    if "endpoint_url" in options or endpoint is None:
        return options
    allowed = options.get("allow_http", endpoint.startswith("http://"))
    return {**options, "endpoint_url": endpoint, "allow_http": allowed}


class S3ConditionalWriter(ConditionalWriter):
    """s3fs: single requests of its client, since its own writes drop conditions of big objects."""

    @staticmethod
    def fits(fs: Any) -> bool:
        return hasattr(fs, "_call_s3")

    def _where(self, path: str) -> dict[str, str]:
        bucket, key, _ = self.fs.split_path(path)
        return {"Bucket": bucket, "Key": key}

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        async def fetch() -> Got:
            part = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
            answer = await self.fs._call_s3("get_object", **self._where(path), **part)
            async with answer["Body"] as body:
                return Got(await body.read(), answer["ETag"].strip('"'))

        got: Got = run_coroutine(self.fs, fetch)
        return got

    def look(self, path: str) -> Seen:
        answer = self.fs.call_s3("head_object", **self._where(path))
        return Seen(answer["ETag"].strip('"'), answer.get("Metadata", {}).get(WRITE_ID))

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        answer = self.fs.call_s3(
            "put_object",
            **self._where(path),
            Body=data,
            Metadata={WRITE_ID: write_id},
            **condition,
        )
        self.fs.invalidate_cache(self.fs._parent(path))
        return str(answer["ETag"]).strip('"')

    def delete(self, paths: Sequence[str]) -> None:
        for at in range(0, len(paths), _DELETE_BATCH):
            run_coroutine(self.fs, self.fs._bulk_delete, list(paths[at : at + _DELETE_BATCH]))


class S3Protocol(BucketKind):
    """What the services with the protocol of S3 have in common."""

    service = "an S3 bucket"
    credentials = S3Credentials
    authorisation = Credentials.S3
    example = "icechunk.Credentials.S3(icechunk.S3Credentials.FromEnv())"

    def client(
        self, store: Any, bucket: str, credentials: Any, prefix: str | None, requests: Requests
    ) -> ObjectStore:
        self.expect(credentials)
        return s3_client(store[0], bucket, credentials, prefix, requests)

    def version(self, answer: Any) -> Version:
        # S3 documents bare tags for conditions, and old Ceph takes no others.
        return str(answer["e_tag"]).strip('"')


class S3Kind(S3Protocol):
    """S3."""

    name = "S3"
    schemes = ("s3",)
    synonyms = ("s3a",)
    redirects = ("s3",)
    configs = (ObjectStoreConfig.S3, ObjectStoreConfig.S3Compatible)
    storage = staticmethod(s3_storage)
    fsspec_writer = S3ConditionalWriter
    options = (
        "region",
        "endpoint_url",
        "anonymous",
        "allow_http",
        "force_path_style",
        "requester_pays",
    )
    redirect_options = ("region", "endpoint_url")
    alias = "s3"

    def completed(self, options: dict[str, Any]) -> dict[str, Any]:
        return with_endpoint(options)


KIND = S3Kind()
