"""Which bucket is meant: storages of the kinds of object stores, from values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import copy
from typing import Any

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import AzureCredentials, GcsCredentials, S3Credentials
from icechunk.config.headers import checked_headers
from icechunk.config.rendering import Label, public_url
from icechunk.config.storage import S3Options
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.storage.base import Storage
from icechunk.storage.objects import ObjectStorage

Headers = Mapping[str, str] | None

_TIGRIS = "https://t3.storage.dev"
_HUGGING_FACE = "https://s3.hf.co"
_STRONG = {"X-Tigris-Consistent": "true"}
"""Asks for the latest write, whichever region it was made in (Tigris, "Consistency")."""


def s3(
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
    """Use a bucket of S3, or of a service that speaks its protocol."""
    return _s3(
        "S3 (native)",
        config,
        bucket,
        prefix,
        credentials,
        legacy_rooted_keys,
        *merged_headers(read_headers, write_headers, headers),
    )


def s3_object_store(
    config: S3Options,
    bucket: str,
    prefix: str | None,
    credentials: Any = None,
    *,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use a bucket of S3; hosts other than AWS get the bucket in the path."""
    options = copy(config)
    options.force_path_style = options.force_path_style or options.endpoint_url is not None
    both = merged_headers(read_headers, write_headers, headers)
    return _s3("S3", options, bucket, prefix, credentials, None, *both, shown=config)


def tigris(
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
    """Use a Tigris bucket; without a region it answers from wherever is near."""
    options = copy(config)
    options.endpoint_url = options.endpoint_url or _TIGRIS
    if options.region is None and not use_weak_consistency:
        raise StorageError(
            "Tigris storage requires a region to provide full consistency. Either set the region "
            "for the bucket or use the read-only, eventually consistent storage by passing "
            "`use_weak_consistency=True` (experts only)",
            ErrorKind.STORAGE_OTHER,
        )
    reading, writing = merged_headers(read_headers, write_headers, headers)
    strong = {} if use_weak_consistency else _STRONG
    return _s3(
        "S3 (native)",
        options,
        bucket,
        prefix,
        credentials,
        legacy_rooted_keys,
        {**strong, **reading},
        {**strong, **writing},
        read_only=use_weak_consistency,
    )


def r2(
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
    """Use a Cloudflare R2 bucket; it may be the first segment of the prefix."""
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
    return _s3("S3 (native)", options, bucket, prefix, credentials, legacy_rooted_keys, *both)


def hugging_face(
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
    """Use a Hugging Face bucket through its S3 gateway."""
    options = copy(config)
    options.endpoint_url = f"{(options.endpoint_url or _HUGGING_FACE).rstrip('/')}/{namespace}"
    options.region = options.region or "us-east-1"
    options.force_path_style = True
    both = merged_headers(read_headers, write_headers, headers)
    return _s3("S3 (native)", options, bucket, prefix, credentials, legacy_rooted_keys, *both)


def _s3(
    kind: str,
    options: S3Options,
    bucket: str,
    prefix: str | None,
    credentials: Any,
    legacy_rooted_keys: bool | None,
    reading: dict[str, Any],
    writing: dict[str, Any],
    *,
    read_only: bool = False,
    shown: S3Options | None = None,
) -> Storage:
    """Assemble a storage in a bucket of any service that speaks S3."""
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
    told = options if shown is None else shown
    lines: list[tuple[str, Any]] = [("type", Label(kind)), ("bucket", Label(_named(bucket)))]
    if prefix:
        lines.append(("prefix", Label(prefix)))
    for name in ("region", "endpoint_url"):
        value = getattr(told, name)
        if value is not None:
            lines.append((name, Label(public_url(value))))
    lines += [
        (name, True)
        for name in ("allow_http", "anonymous", "force_path_style", "requester_pays")
        if getattr(told, name)
    ]
    endpoint = f" at {public_url(options.endpoint_url)}" if options.endpoint_url else ""
    return ObjectStorage(
        ObjectStoreConfig.S3(options),
        bucket,
        prefix,
        credentials,
        identity=f"s3://{_path(bucket, prefix)}{endpoint}",
        shown=tuple(lines),
        read_headers=reading,
        write_headers=writing,
        read_only=read_only,
    )


def gcs(
    bucket: str,
    prefix: str | None,
    credentials: Any = None,
    *,
    config: Mapping[str, str] | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use a Google Cloud Storage bucket."""
    _expect(credentials, GcsCredentials, "Google Cloud Storage")
    reading, writing = merged_headers(read_headers, write_headers, headers)
    lines: list[tuple[str, Any]] = [("type", Label("GCS")), ("bucket", Label(_named(bucket)))]
    if prefix:
        lines.append(("prefix", Label(prefix)))
    return ObjectStorage(
        ObjectStoreConfig.Gcs(None if config is None else dict(config)),
        bucket,
        prefix,
        credentials,
        identity=f"gs://{_path(bucket, prefix)}",
        shown=tuple(lines),
        read_headers=reading,
        write_headers=writing,
    )


def azure_blob(
    account: str,
    container: str,
    prefix: str | None,
    credentials: Any = None,
    *,
    config: Mapping[str, str] | None = None,
) -> Storage:
    """Use an Azure Blob container."""
    _expect(credentials, AzureCredentials, "Azure Blob Storage")
    lines: list[tuple[str, Any]] = [
        ("type", Label("Azure")),
        ("account", Label(account)),
        ("container", Label(_named(container))),
    ]
    if prefix:
        lines.append(("prefix", Label(prefix)))
    return ObjectStorage(
        ObjectStoreConfig.Azure({**(config or {}), "account": account}),
        container,
        prefix,
        credentials,
        identity=f"az://{account}/{_path(container, prefix)}",
        shown=tuple(lines),
    )


def azure_account() -> str:
    """Return the account that the environment names.

    Raises
    ------
    ValueError
        When it names none.
    """
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise ValueError("azure_storage needs `account`, or AZURE_STORAGE_ACCOUNT_NAME set")
    return account


def merged_headers(
    read: Headers, write: Headers, both: Headers
) -> tuple[dict[str, str], dict[str, str]]:
    """Lay the headers of one direction over those of both.

    Raises
    ------
    InvalidInputError
        See `icechunk.config.headers.checked_headers`.
    """
    common = checked_headers(both)
    return {**common, **checked_headers(read)}, {**common, **checked_headers(write)}


def _expect(credentials: Any, family: type[Any], service: str) -> None:
    if credentials is not None and not isinstance(credentials, family):
        raise InvalidInputError(
            f"credentials of type {type(credentials).__qualname__} do not open {service}; "
            f"give {family.__name__}",
            ErrorKind.INVALID_CREDENTIALS,
        )


def _named(place: str) -> str:
    """Return a bucket's name; refuse an empty one."""
    if not place or "/" in place:
        raise StorageError(
            f"storage configuration error: {place!r} is not the name of a bucket or container; "
            "put what follows it into `prefix`",
            ErrorKind.STORAGE_CONFIG,
        )
    return place


def _path(place: str, prefix: str | None) -> str:
    inner = (prefix or "").strip("/")
    return f"{place}/{inner}" if inner else place
