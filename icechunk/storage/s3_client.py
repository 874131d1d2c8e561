"""Clients of S3 and of services with its protocol: credentials, endpoints, checksums."""

from __future__ import annotations

import ipaddress
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from icechunk.config.credentials import S3Credentials, S3StaticCredentials
from icechunk.config.rendering import public_url
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.clients import DEFAULT_STALL, FOREVER, UPLOAD_FACTOR, Requests
from icechunk.storage.refreshing import EARLY, Refresher

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CHECKSUMS = {ChecksumAlgorithm.Sha256: "sha256", ChecksumAlgorithm.Crc64Nvme: "crc64nvme"}

_ENVIRONMENT_CHECK = timedelta(minutes=2)
"""How often credentials of the environment, which other programs renew, are looked up again."""


def s3_client(
    options: S3Options, bucket: str, credentials: Any, prefix: str | None, requests: Requests
) -> ObjectStore:
    """Make a client of S3 or of a service with its protocol."""
    from obstore.store import S3Store

    config, provider = _access(options, credentials)
    config.update(_address(options, bucket))
    if options.requester_pays:
        config["request_payer"] = True
    if options.checksum_algorithm is not None:
        config["checksum_algorithm"] = _checksum(options.checksum_algorithm)
    client: ObjectStore = requests.bucket_client(
        "S3",
        S3Store,
        bucket,
        prefix,
        provider,
        config=config,
        client_options=requests.client_options(
            allow_http=options.allow_http, stall=_stall(options.network_stream_timeout_seconds)
        ),
    )
    return client


def _stall(seconds: int | None) -> timedelta:
    """Return how long a transfer may be silent; 0 seconds means without limit."""
    if seconds is None:
        return DEFAULT_STALL
    return timedelta(seconds=seconds) if seconds else FOREVER / UPLOAD_FACTOR


def _access(options: S3Options, credentials: Any) -> tuple[Any, Any]:
    """Return configuration and credential provider for S3 credentials."""
    if credentials is None and options.anonymous:
        credentials = S3Credentials.Anonymous()
    if isinstance(credentials, S3Credentials.Anonymous):
        return {"skip_signature": True}, None
    if isinstance(credentials, S3Credentials.Static):
        # a function, because single values would be completed from the environment
        pair = credentials.credentials
        return {"skip_signature": False}, lambda: s3_answer(pair)
    if isinstance(credentials, S3Credentials.Refreshable):
        return {"skip_signature": False}, S3Refresher(credentials)
    if has_environment_keys():
        return {}, None
    return {}, EnvironmentProvider()


def _address(options: S3Options, bucket: str) -> dict[str, Any]:
    """Return where requests go. Hosts that cannot have a bucket in front get it in the path."""
    address: dict[str, Any] = {}
    region = options.region or environment_region()
    if region is not None:
        address["region"] = region
    by_host = not (options.force_path_style or "." in bucket)
    endpoint = options.endpoint_url
    if endpoint is not None:
        parts = urlsplit(endpoint.rstrip("/"))
        if not parts.scheme or not parts.hostname:
            raise StorageError(
                f"storage configuration error: endpoint_url {public_url(endpoint)!r} is not a URL; "
                "write it like https://host:port",
                ErrorKind.STORAGE_CONFIG,
            )
        if parts.scheme == "http" and not options.allow_http:
            raise StorageError(
                f"storage configuration error: {public_url(endpoint)} is not encrypted; "
                "give allow_http=True if that is intended",
                ErrorKind.STORAGE_CONFIG,
            )
        by_host = by_host and _takes_subdomains(parts.hostname)
        if by_host:
            parts = parts._replace(netloc=f"{bucket}.{parts.netloc}")
        address["endpoint"] = urlunsplit(parts)
    address["virtual_hosted_style_request"] = by_host
    return address


def _takes_subdomains(host: str) -> bool:
    """Whether a host name can have a bucket in front of it."""
    if host == "localhost":
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host
    return False


def _checksum(algorithm: ChecksumAlgorithm) -> str:
    """Name a checksum as the client does; refuse the ones that it cannot compute."""
    name = _CHECKSUMS.get(algorithm)
    if name is None:
        raise StorageError(
            f"storage configuration error: {algorithm!r} uploads are not available here; "
            "use ChecksumAlgorithm.Sha256 or ChecksumAlgorithm.Crc64Nvme",
            ErrorKind.STORAGE_CONFIG,
        )
    return name


def s3_answer(pair: S3StaticCredentials) -> dict[str, Any]:
    """Return a key pair in the form that the client takes."""
    return {
        "access_key_id": pair.access_key_id,
        "secret_access_key": pair.secret_access_key,
        "token": pair.session_token,
        "expires_at": pair.expires_after,
    }


class S3Refresher(Refresher):
    """Key pairs from the function of refreshable credentials."""

    def _answer(self, value: S3StaticCredentials) -> dict[str, Any]:
        return s3_answer(value)


def has_environment_keys() -> bool:
    """Whether a key pair for S3 is in the environment variables."""
    return bool(os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))


def environment_region() -> str | None:
    """Return the region that environment or profile name; None where they do not."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if named or not _has_profile():
        return named or None
    import botocore.session

    region: str | None = botocore.session.Session().get_config_variable("region")
    return region


def _has_profile() -> bool:
    paths = (
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    )
    return any(os.path.exists(os.path.expanduser(path)) for path in paths)


class EnvironmentProvider:
    """Credentials found as the AWS tools find them: profiles, single sign-on, roles, instances."""

    def __init__(self) -> None:
        self._found: Any = None
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, Any]:
        import botocore.session

        with self._lock:
            if self._found is None:
                self._found = botocore.session.Session().get_credentials()
            if self._found is None:
                raise PermissionError(
                    "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                    "configure a profile, or give credentials or anonymous=True"
                )
            pair = self._found.get_frozen_credentials()
        return {
            "access_key_id": pair.access_key,
            "secret_access_key": pair.secret_key,
            "token": pair.token,
            # obstore asks again `EARLY` before the end that it is given.
            "expires_at": datetime.now(UTC) + EARLY + _ENVIRONMENT_CHECK,
        }
