"""How does a description of an object store become a client: addresses, credentials, limits.

The clients are obstore's. They are imported when the first one is made, and never travel between
processes: what travels is the description.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import timedelta
from os.path import expanduser
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from icechunk._version import API_VERSION
from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import (
    AzureCredentials,
    AzureStaticCredentials,
    Credentials,
    GcsCredentials,
    GcsStaticCredentials,
    S3Credentials,
)
from icechunk.config.rendering import public_url
from icechunk.config.resolve import StorageTuning, storage_tuning
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.storage.forks import same_process
from icechunk.storage.refreshing import (
    AzureRefresher,
    GcsRefresher,
    S3Refresher,
    environment_provider,
    environment_region,
    has_environment_keys,
    s3_answer,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

USER_AGENT = f"icechunk/{API_VERSION}"
"""What every request calls itself."""

_DEFAULT_CONNECT = timedelta(seconds=5)
_DEFAULT_STALL = timedelta(seconds=60)
_DEFAULT_OPERATION = timedelta(seconds=180)
_FOREVER = timedelta(days=36500)
_UPLOAD_FACTOR = 10


class _Requests(NamedTuple):
    """What is the same for all requests of a client."""

    headers: dict[str, str]
    uploads: bool


_CLIENT_KEYS = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "http1_only",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "http2_keep_alive_while_idle",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    }
)
"""Options of a GCS, Azure or HTTP store that belong to the HTTP client, not to the service."""

_FLAGS = {"true": True, "false": False, "1": True, "0": False}

_CHECKSUMS = {ChecksumAlgorithm.Sha256: "sha256", ChecksumAlgorithm.Crc64Nvme: "crc64nvme"}


def connect(
    store: ObjectStoreConfig,
    place: str,
    credentials: Any = None,
    *,
    prefix: str | None = None,
    tuning: StorageTuning | None = None,
    headers: Mapping[str, str] | None = None,
    uploads: bool = False,
) -> ObjectStore:
    """Make a client. Nothing is sent yet.

    Parameters
    ----------
    store : ObjectStoreConfig
        Kind and connection options: `S3`, `S3Compatible`, `Tigris`, `Gcs`, `Azure` (the account is
        its option ``account``) or `Http`.
    place : str
        Bucket; for Azure the container, for HTTP the base URL.
    credentials : Credentials, S3Credentials, GcsCredentials or AzureCredentials, optional
        None: anonymous where the options say so, else what the environment has.
    prefix : str, optional
        Key prefix of whole segments inside the place.
    tuning : StorageTuning, optional
        Retries and time limits; the defaults when absent.
    headers : mapping, optional
        Headers of every request.
    uploads : bool
        The client is for writing: silence while a body goes out is no stall.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for options that the client cannot take (the message never shows
        their values), and where clients do not work, see `clients_work`.
    InvalidInputError
        Kind ``invalid-credentials`` for credentials of another family.
    """
    same_process()
    limits = storage_tuning(None) if tuning is None else tuning
    given = _unwrapped(credentials)
    kind = type(store).__name__.lstrip("_")
    makers: dict[str, Callable[..., ObjectStore]] = {
        "S3": _s3,
        "S3Compatible": _s3,
        "Tigris": _s3,
        "Gcs": _gcs,
        "Azure": _azure,
        "Http": _http,
    }
    make = makers.get(kind)
    if make is None:
        raise StorageError(
            f"storage configuration error: {kind} stores have no network client",
            ErrorKind.STORAGE_CONFIG,
        )
    return make(
        store, place, given, prefix or None, limits, _Requests(dict(headers or {}), uploads)
    )


def _unwrapped(credentials: Any) -> Any:
    """Take the family's credentials out of an authorisation; None where it carries none."""
    if isinstance(credentials, Credentials.LocalFileSystemAccess | Credentials.HttpAccess):
        return None
    if isinstance(credentials, Credentials):
        return credentials[0]
    return credentials


def _of_family(credentials: Any, family: type[Any], service: str) -> None:
    if credentials is not None and not isinstance(credentials, family):
        raise InvalidInputError(
            f"credentials of type {type(credentials).__qualname__} do not open {service}; "
            f"give {family.__name__}",
            ErrorKind.INVALID_CREDENTIALS,
        )


def _built(service: str, make: Callable[[], Any]) -> Any:
    """Make a client; its own complaints may quote secrets, so only their first words are kept."""
    from obstore.exceptions import BaseError, UnknownConfigurationKeyError

    try:
        return make()
    except UnknownConfigurationKeyError as error:
        raise StorageError(
            f"storage configuration error: {str(error).splitlines()[0]} Correct or remove it",
            ErrorKind.STORAGE_CONFIG,
        ) from None
    except (BaseError, ValueError, TypeError) as error:
        raise StorageError(
            f"storage configuration error: the {service} client refuses its options "
            f"({type(error).__name__}); check address, region, time limits and credentials",
            ErrorKind.STORAGE_CONFIG,
        ) from None


def _retry(limits: StorageTuning) -> Any:
    """Express the retry settings as the client's."""
    whole = limits.operation_timeout_ms
    return {
        "max_retries": max(limits.retries.max_tries - 1, 0),
        "backoff": {
            "init_backoff": timedelta(milliseconds=limits.retries.initial_backoff_ms),
            "max_backoff": timedelta(milliseconds=limits.retries.max_backoff_ms),
            "base": 2,
        },
        "retry_timeout": _DEFAULT_OPERATION if whole is None else timedelta(milliseconds=whole),
    }


def _client(
    limits: StorageTuning,
    requests: _Requests,
    *,
    allow_http: bool,
    stall: timedelta = _DEFAULT_STALL,
    over: Mapping[str, Any] | None = None,
) -> Any:
    """Express the time limits as the client's.

    A request has no limit as a whole unless one was set: a big object on a slow line is fine as
    long as bytes keep coming, which `stall` watches.
    """

    def span(ms: int | None, otherwise: timedelta) -> timedelta:
        return otherwise if ms is None else timedelta(milliseconds=max(ms, 1))

    # The client's stall clock runs while a request goes out too, so uploads get a longer limit.
    attempt, silence = (stall * _UPLOAD_FACTOR, _FOREVER) if requests.uploads else (_FOREVER, stall)
    options: dict[str, Any] = {
        "user_agent": USER_AGENT,
        "allow_http": allow_http,
        "connect_timeout": span(limits.connect_timeout_ms, _DEFAULT_CONNECT),
        "read_timeout": span(limits.read_timeout_ms, silence),
        "timeout": span(limits.operation_attempt_timeout_ms, attempt),
    }
    if requests.headers:
        options["default_headers"] = requests.headers
    return {**options, **(over or {})}


def _split(options: Mapping[str, str] | None) -> tuple[Any, Any]:
    """Divide free-form options into those of the service and those of the HTTP client."""
    service: dict[str, Any] = {}
    client: dict[str, Any] = {}
    for name, value in (options or {}).items():
        lowered = name.lower()
        if lowered in _CLIENT_KEYS:
            client[lowered] = _FLAGS.get(value.lower(), value)
        else:
            service[lowered] = value
    return service, client


def _bucket_store(
    service: str,
    kind: Any,
    bucket: str,
    prefix: str | None,
    config: Any,
    client: Any,
    limits: StorageTuning,
    provider: Any,
) -> ObjectStore:
    """Make a client of a bucket or container from what its service was told."""
    made: ObjectStore = _built(
        service,
        lambda: kind(
            bucket,
            prefix=prefix,
            config=config,
            client_options=client,
            retry_config=_retry(limits),
            credential_provider=provider,
        ),
    )
    return made


# --------------------------------------------------------------------------- S3


def _s3(
    store: Any,
    bucket: str,
    credentials: Any,
    prefix: str | None,
    limits: StorageTuning,
    requests: _Requests,
) -> ObjectStore:
    """Make a client of S3 or a service that speaks its protocol."""
    from obstore.store import S3Store

    _of_family(credentials, S3Credentials, "an S3 bucket")
    options: S3Options = store[0]
    config, provider = _s3_access(options, credentials)
    config.update(_s3_address(options, bucket))
    if options.requester_pays:
        config["request_payer"] = True
    if options.checksum_algorithm is not None:
        config["checksum_algorithm"] = _checksum(options.checksum_algorithm)
    client = _client(
        limits,
        requests,
        allow_http=options.allow_http,
        stall=_stall(options.network_stream_timeout_seconds),
    )
    return _bucket_store("S3", S3Store, bucket, prefix, config, client, limits, provider)


def _stall(seconds: int | None) -> timedelta:
    """Return how long a transfer may be silent; 0 seconds means for ever."""
    if seconds is None:
        return _DEFAULT_STALL
    return timedelta(seconds=seconds) if seconds else _FOREVER / _UPLOAD_FACTOR


def _s3_access(options: S3Options, credentials: Any) -> tuple[Any, Any]:
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
    return {}, environment_provider()


def _s3_address(options: S3Options, bucket: str) -> dict[str, Any]:
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


# --------------------------------------------------------------------------- Google


def _gcs(
    store: Any,
    bucket: str,
    credentials: Any,
    prefix: str | None,
    limits: StorageTuning,
    requests: _Requests,
) -> ObjectStore:
    """Make a client of Google Cloud Storage."""
    from obstore.store import GCSStore

    _of_family(credentials, GcsCredentials, "a Google Cloud Storage bucket")
    config, client = _split(store[0])
    provider = None
    if isinstance(credentials, GcsCredentials.Anonymous):
        config["skip_signature"] = True
    elif isinstance(credentials, GcsCredentials.Refreshable):
        provider = GcsRefresher(credentials)
    elif isinstance(credentials, GcsCredentials.Static):
        config.update(_gcs_static(credentials.credentials))
    options = _client(limits, requests, allow_http=False, over=client)
    return _bucket_store(
        "Google Cloud Storage", GCSStore, bucket, prefix, config, options, limits, provider
    )


def _gcs_static(credentials: GcsStaticCredentials) -> dict[str, Any]:
    names = {
        GcsStaticCredentials.ServiceAccount: "service_account",
        GcsStaticCredentials.ServiceAccountKey: "service_account_key",
        GcsStaticCredentials.ApplicationCredentials: "application_credentials",
        GcsStaticCredentials.BearerToken: "bearer_token",
    }
    files = GcsStaticCredentials.ServiceAccount, GcsStaticCredentials.ApplicationCredentials
    given = credentials[0]
    return {
        names[type(credentials)]: expanduser(given) if isinstance(credentials, files) else given
    }


# --------------------------------------------------------------------------- Azure


def _azure(
    store: Any,
    container: str,
    credentials: Any,
    prefix: str | None,
    limits: StorageTuning,
    requests: _Requests,
) -> ObjectStore:
    """Make a client of Azure Blob Storage."""
    from obstore.store import AzureStore

    _of_family(credentials, AzureCredentials, "an Azure container")
    config, client = _split(store[0])
    if "account" in config:
        config["account_name"] = config.pop("account")
    provider = None
    if isinstance(credentials, AzureCredentials.Anonymous):
        config["skip_signature"] = True
    elif isinstance(credentials, AzureCredentials.Refreshable):
        provider = AzureRefresher(credentials)
    elif isinstance(credentials, AzureCredentials.Static):
        config.update(_azure_static(credentials.credentials))
    options = _client(limits, requests, allow_http=False, over=client)
    return _bucket_store("Azure", AzureStore, container, prefix, config, options, limits, provider)


def _azure_static(credentials: AzureStaticCredentials) -> dict[str, Any]:
    names = {
        AzureStaticCredentials.AccessKey: "account_key",
        AzureStaticCredentials.SasToken: "sas_key",
        AzureStaticCredentials.BearerToken: "token",
    }
    return {names[type(credentials)]: credentials[0]}


# --------------------------------------------------------------------------- HTTP


def _http(
    store: Any,
    url: str,
    credentials: Any,
    prefix: str | None,
    limits: StorageTuning,
    requests: _Requests,
) -> ObjectStore:
    """Make a client of a web server."""
    from obstore.store import HTTPStore

    if credentials is not None:
        raise InvalidInputError(
            "http stores take no credentials; put what the server wants into `headers`",
            ErrorKind.INVALID_CREDENTIALS,
        )
    service, client = _split(store[0])
    if service:
        raise StorageError(
            f"storage configuration error: unknown http options {sorted(service)}; "
            f"known ones are {sorted(_CLIENT_KEYS)}",
            ErrorKind.STORAGE_CONFIG,
        )
    base = url.rstrip("/") + (f"/{prefix}" if prefix else "")
    sent = requests._replace(headers={**(store[1] or {}), **requests.headers})
    made: ObjectStore = _built(
        "HTTP",
        lambda: HTTPStore(
            base,
            client_options=_client(limits, sent, allow_http=True, over=client),
            retry_config=_retry(limits),
        ),
    )
    return made
