"""Options of the obstore clients: retries, time limits, headers.

obstore is imported when the first client is made. Clients are never pickled: the description of a
store travels between processes, and each process makes its own client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from icechunk._version import API_VERSION
from icechunk.config.resolve import StorageTuning
from icechunk.core.errors import ErrorKind, StorageError

USER_AGENT = f"icechunk/{API_VERSION}"
"""Value of the ``User-Agent`` header of every request."""

DEFAULT_STALL = timedelta(seconds=60)
"""Silence after which a transfer fails: the default `network_stream_timeout_seconds` of S3."""

FOREVER = timedelta(days=36500)
"""Stands for "no limit", which the client cannot express."""

UPLOAD_FACTOR = 10
"""An upload may take this many times as long as a transfer may be silent."""

_DEFAULT_CONNECT = timedelta(seconds=5)
_DEFAULT_OPERATION = timedelta(seconds=180)
"""obstore's own defaults for connecting and for a request with all its retries."""

CLIENT_KEYS = frozenset(
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
"""Free-form options that belong to the HTTP client, not to the service."""

_FLAGS = {"true": True, "false": False, "1": True, "0": False}


class Requests(NamedTuple):
    """Settings that all requests of one client have in common."""

    limits: StorageTuning
    headers: dict[str, str]
    uploads: bool
    """The client writes: it is silent while a body goes out, which is not a stall."""

    def retry_config(self) -> Any:
        """Return the retry settings in the client's form."""
        whole = self.limits.operation_timeout_ms
        retries = self.limits.retries
        return {
            "max_retries": max(retries.max_tries - 1, 0),
            "backoff": {
                "init_backoff": timedelta(milliseconds=retries.initial_backoff_ms),
                "max_backoff": timedelta(milliseconds=retries.max_backoff_ms),
                "base": 2,
            },
            "retry_timeout": _DEFAULT_OPERATION if whole is None else timedelta(milliseconds=whole),
        }

    def client_options(
        self,
        *,
        allow_http: bool,
        stall: timedelta = DEFAULT_STALL,
        over: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the time limits and headers in the client's form.

        A request as a whole has no limit unless one was set: a big object on a slow line is fine
        as long as bytes keep coming, which `stall` watches. `over` replaces single options.
        """

        def span(ms: int | None, otherwise: timedelta) -> timedelta:
            return otherwise if ms is None else timedelta(milliseconds=max(ms, 1))

        # The client's stall clock also runs while a body goes out, so uploads get a longer limit
        # for the whole attempt instead.
        attempt, silence = (stall * UPLOAD_FACTOR, FOREVER) if self.uploads else (FOREVER, stall)
        limits = self.limits
        options: dict[str, Any] = {
            "user_agent": USER_AGENT,
            "allow_http": allow_http,
            "connect_timeout": span(limits.connect_timeout_ms, _DEFAULT_CONNECT),
            "read_timeout": span(limits.read_timeout_ms, silence),
            "timeout": span(limits.operation_attempt_timeout_ms, attempt),
        }
        if self.headers:
            options["default_headers"] = self.headers
        return {**options, **(over or {})}

    def bucket_client(
        self,
        service: str,
        kind: Any,
        bucket: str,
        prefix: str | None,
        provider: Any,
        **options: Any,
    ) -> Any:
        """Make a client of a bucket or container; `options` are those of the service."""
        return built(
            service,
            kind,
            bucket,
            prefix=prefix,
            retry_config=self.retry_config(),
            credential_provider=provider,
            **options,
        )


def built(service: str, kind: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Make a client.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for options that the client does not take. The client's own text
        may quote secrets, so only its first line, which names an unknown option, is repeated.
    """
    from obstore.exceptions import BaseError, UnknownConfigurationKeyError

    try:
        return kind(*args, **options)
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


def split_options(options: Mapping[str, str] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide free-form options into those of the service and those of the HTTP client."""
    service: dict[str, Any] = {}
    client: dict[str, Any] = {}
    for name, value in (options or {}).items():
        lowered = name.lower()
        if lowered in CLIENT_KEYS:
            client[lowered] = _FLAGS.get(value.lower(), value)
        else:
            service[lowered] = value
    return service, client
