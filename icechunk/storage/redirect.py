"""Where does a redirect lead: a web address that tells the place of a repository."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from icechunk._version import API_VERSION
from icechunk.config.credentials import GcsCredentials, S3Credentials
from icechunk.config.rendering import Entry, Label
from icechunk.config.resolve import StorageTuning
from icechunk.config.storage import S3Options, StorageSettings
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.runtime import PerProcess
from icechunk.storage.base import Data, Fetched, ObjectInfo, Storage, Version
from icechunk.storage.buckets import gcs, r2, s3, tigris
from icechunk.storage.web import http as web

_SECONDS = 30
_WEB = {
    "http+icechunk": "http",
    "http+ic": "http",
    "https+icechunk": "https",
    "https+ic": "https",
}
_TARGETS = ("s3", "gs", "gcs", "r2", "tigris", *_WEB)


class RedirectStorage(Storage):
    """The storage that a web server's redirect names; followed on first use, only once, read-only.

    The target is opened without credentials, so that nobody who runs the web server can have
    requests signed.

    Parameters
    ----------
    url : str
        Address to ask.
    tuning : StorageTuning, optional
        Settings for the target.
    """

    read_only = True
    delegates = True

    def __init__(self, url: str, tuning: StorageTuning | None = None) -> None:
        self._url = url
        self._tuning = tuning
        self._found: PerProcess[Storage] = PerProcess(self._follow)

    def __reduce__(self) -> tuple[Any, ...]:
        return RedirectStorage, (self._url, self._tuning)

    def tuned(self, tuning: StorageTuning) -> RedirectStorage:
        return self if tuning == self._tuning else RedirectStorage(self._url, tuning)

    def _follow(self) -> Storage:
        target = storage_at(redirect_of(self._url))
        return target if self._tuning is None else target.tuned(self._tuning)

    @property
    def identity(self) -> str:
        """The address asked."""
        return f"redirect:{self._url.partition('?')[0]}"

    def _entries(self) -> Iterable[Entry]:
        return [Entry("type", Label("redirect")), Entry("url", Label(self._url.partition("?")[0]))]

    def default_settings(self) -> StorageSettings:
        """Return the target's settings.

        Raises
        ------
        ValueError
            When the target cannot be found.
        """
        try:
            return self._found.get().default_settings()
        except StorageError as error:
            raise ValueError(f"Redirect Storage error: {error}") from error

    def get(self, key: str) -> Fetched:
        return self._found.get().get(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        return self._found.get().read_range(key, offset, length)

    async def read_range_async(self, key: str, offset: int, length: int) -> bytes | memoryview:
        return await self._found.get().read_range_async(key, offset, length)

    def head(self, key: str) -> ObjectInfo | None:
        return self._found.get().head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._found.get().list(prefix)

    def put(self, key: str, data: Data) -> None:
        self.require_writable(f"Cannot write `{key}`")

    def create(self, key: str, data: Data) -> Version | None:
        self.require_writable(f"Cannot write `{key}`")
        return None

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        self.require_writable(f"Cannot write `{key}`")
        return None

    def delete(self, keys: Iterable[str]) -> int:
        self.require_writable("Cannot delete objects")
        return 0


def _bad(what: str, kind: str = ErrorKind.BAD_REDIRECT) -> StorageError:
    return StorageError(
        f"bad redirect: {what}. The address must answer with a redirect whose target begins with "
        f"one of {', '.join(_TARGETS)}",
        kind,
    )


def redirect_of(url: str) -> str:
    """Ask a web server where a repository is.

    Parameters
    ----------
    url : str
        An http or https address.

    Returns
    -------
    str
        The answer's ``Location``.

    Raises
    ------
    StorageError
        Kind ``bad-redirect`` when it is no redirect, ``cannot-parse-url``, or ``object-store`` when
        there is no answer.
    """
    parts = urlsplit(url)
    shown = url.partition("?")[0]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StorageError(
            f"cannot parse URL {shown!r}: give one like https://host/path",
            ErrorKind.CANNOT_PARSE_URL,
        )
    try:
        status, location = _ask(parts)
    except (OSError, http.client.HTTPException) as error:
        raise StorageError(
            f"Request to redirect url ({shown}) failed, cannot find target Storage instance: "
            f"{type(error).__name__}. Check the address and the network",
            ErrorKind.OBJECT_STORE,
        ) from None
    if status not in (301, 302, 303, 307, 308) or not location:
        raise _bad(f"{shown} answered {status}, which is no redirect")
    return location


def _ask(parts: SplitResult) -> tuple[int, str | None]:
    """Send one request and return status and target of the answer."""
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_SECONDS)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": f"icechunk/{API_VERSION}"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")
    finally:
        connection.close()


def storage_at(url: str) -> Storage:
    """Return the storage that a redirect's target names, opened without credentials.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/prefix?region=us-east-1`` or ``https+icechunk://host/path``. Known
        query entries are ``region``, ``endpoint_url`` and ``account_id`` (R2).

    Raises
    ------
    StorageError
        Kind ``bad-redirect`` for any other kind of address.
    """
    parts = urlsplit(url)
    scheme, inner = parts.scheme.lower(), parts.path.strip("/")
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if scheme in _WEB and parts.hostname:
        rest = url.partition("://")[2]
        return web(f"{_WEB[scheme]}://{rest}")
    if not parts.netloc or scheme not in _TARGETS:
        raise _bad(f"{scheme or url[:40]!r} is no place for a repository")
    endpoint = asked.get("endpoint_url")
    options = S3Options(
        region=asked.get("region"),
        endpoint_url=endpoint,
        allow_http=bool(endpoint and endpoint.startswith("http://")),
        anonymous=True,
    )
    unsigned = S3Credentials.Anonymous()
    if scheme in ("gs", "gcs"):
        return gcs(parts.netloc, inner, GcsCredentials.Anonymous())
    if scheme == "r2":
        return r2(options, parts.netloc, inner, asked.get("account_id"), unsigned)
    if scheme == "tigris":
        return tigris(options, parts.netloc, inner, options.region is None, unsigned)
    return s3(options, parts.netloc, inner, unsigned)
