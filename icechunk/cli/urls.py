"""Which storage a URL means: bucket and prefix, connection options behind a question mark.

``s3://bucket/prefix?region=eu-west-1&endpoint_url=https://host``: credentials never stand in a URL,
they come from the environment, or from an alias of the configuration file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from icechunk.cli.failures import refusal
from icechunk.core.errors import ErrorKind, IcechunkError
from icechunk.storage import (
    Storage,
    azure_storage,
    fsspec_storage,
    gcs_storage,
    http_storage,
    in_memory_storage,
    r2_storage,
    s3_storage,
    tigris_storage,
)

KINDS = {"s3": "S3", "tigris": "Tigris", "r2": "R2", "gs": "GCS", "gcs": "GCS", "az": "Azure",
         "azure": "Azure"}  # fmt: skip
"""Kinds of buckets by scheme."""

_FLAGS = ("anonymous", "allow_http", "force_path_style", "requester_pays", "use_weak_consistency")
_S3_OPTIONS = ("region", "endpoint_url", "anonymous", "allow_http", "force_path_style",
               "requester_pays")  # fmt: skip
OPTIONS = {
    "S3": _S3_OPTIONS,
    "Tigris": ("region", "endpoint_url", "anonymous", "allow_http", "use_weak_consistency"),
    "R2": ("account_id", "region", "endpoint_url", "anonymous", "allow_http"),
    "GCS": ("base_url", "anonymous", "allow_http"),
    "Azure": ("account", "endpoint", "anonymous", "allow_http"),
}
"""What may follow the question mark, by kind."""

_ON = {"": True, "1": True, "true": True, "yes": True, "on": True,
       "0": False, "false": False, "no": False, "off": False}  # fmt: skip
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_ADDRESSES = ("endpoint_url", "endpoint", "base_url")


class Bucket(NamedTuple):
    """A place in a bucket or container, as a URL tells it."""

    kind: str
    bucket: str
    prefix: str | None
    options: dict[str, Any]


def bucket_of(url: str) -> Bucket | None:
    """Take the URL of a bucket apart; None for URLs of other kinds.

    Raises
    ------
    IcechunkError
        Kind ``cannot-parse-url`` for one without a bucket, or with options that there are not.
    """
    scheme, _, rest = url.partition("://")
    kind = KINDS.get(scheme.lower())
    if kind is None:
        return None
    path, _, query = rest.partition("?")
    bucket, _, prefix = path.partition("/")
    if not bucket or "@" in bucket:
        raise _unreadable(f"`{scheme}://` is followed by no bucket", f"{scheme}://bucket/prefix")
    return Bucket(kind, bucket, prefix.strip("/") or None, _options(kind, query))


def _options(kind: str, query: str) -> dict[str, Any]:
    """Read what follows the question mark; an endpoint given as http:// permits itself."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS[kind]:
            raise _unreadable(
                f"`{name}` is no option of {kind} URLs",
                f"one of {', '.join(OPTIONS[kind])}; credentials belong into the environment or "
                "an alias (icechunk config add)",
            )
        if name in _FLAGS and value.lower() not in _ON:
            raise _unreadable(f"`{name}` is on or off", f"{name}=true or {name}=false")
        found[name] = _ON[value.lower()] if name in _FLAGS else value
    if any(str(found.get(name, "")).startswith("http://") for name in _ADDRESSES):
        found.setdefault("allow_http", True)
    return found


def storage_in(place: Bucket) -> Storage:
    """Return the storage in a bucket; what the URL leaves open comes from the environment."""
    options = dict(place.options)
    anonymous = bool(options.pop("anonymous", False))
    access: dict[str, Any] = {"anonymous": True} if anonymous else {"from_env": True}
    where: dict[str, Any] = {"bucket": place.bucket, "prefix": place.prefix, **access}
    if place.kind == "GCS":
        return gcs_storage(**where, config=texts(options) or None)
    if place.kind == "Azure":
        account = options.pop("account", None)
        return azure_storage(
            account=account,
            container=place.bucket,
            prefix=place.prefix or "",
            config=texts(options) or None,
            **access,
        )
    if place.kind == "S3":
        return s3_storage(**where, **with_endpoint(options))
    if place.kind == "R2":
        account_id = options.pop("account_id", None) or os.environ.get("R2_ACCOUNT_ID")
        if account_id is None:
            options = with_endpoint(options)
        return r2_storage(**where, account_id=account_id, **options)
    return tigris_storage(**where, **options)


def with_endpoint(options: dict[str, Any]) -> dict[str, Any]:
    """Complete the options of S3 by the endpoint of the environment, as the AWS tools have it."""
    if "endpoint_url" in options:
        return options
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    if endpoint is None:
        return options
    allowed = options.get("allow_http", endpoint.startswith("http://"))
    return {**options, "endpoint_url": endpoint, "allow_http": allowed}


def texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Return options as the clients of GCS and Azure take them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
    }


def storage_at(url: str) -> Storage:
    """Return the storage that a URL means.

    Parameters
    ----------
    url : str
        Of a bucket (``s3``, ``gs``, ``az``, ``r2``, ``tigris``), a web server, ``memory://``, or a
        protocol of fsspec.

    Raises
    ------
    IcechunkError
        Kind ``cannot-parse-url`` for any other.
    """
    place = bucket_of(url)
    if place is not None:
        return storage_in(place)
    scheme, _, rest = url.partition("://")
    if scheme.lower() in ("http", "https"):
        return http_storage(url)
    if scheme == "memory" and not rest.strip("/"):
        return in_memory_storage()
    from fsspec.registry import known_implementations

    if scheme not in known_implementations:
        raise _unreadable(
            f"`{url.partition('?')[0]}` is a URL of a kind that this command cannot open",
            "file://, s3://, gs://, az://, r2://, tigris://, http(s)://, a protocol of fsspec, or "
            "an alias of the configuration file",
        )
    try:
        return fsspec_storage(url)
    except OSError as error:  # some connect at once
        raise refusal(
            f"cannot open `{url.partition('?')[0].rpartition('@')[2]}`: {type(error).__name__}",
            "check the address and the network",
            ErrorKind.OBJECT_STORE,
        ) from None


def _unreadable(what: str, instead: str) -> IcechunkError:
    return refusal(what, f"use {instead}", ErrorKind.CANNOT_PARSE_URL)
