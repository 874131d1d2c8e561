"""Redirects: a web address whose answer names the storage of a repository."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

from icechunk._version import API_VERSION
from icechunk.config.rendering import Entry, Label
from icechunk.config.resolve import StorageTuning
from icechunk.config.storage import StorageSettings
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.core.runtime import PerProcess
from icechunk.storage.base import Data, Fetched, ObjectInfo, Storage, Version
from icechunk.storage.kinds import kinds
from icechunk.storage.kinds.kind import StoreKind

_SECONDS = 30
"""Limit of the one request to the web server; half the default limit of a silent transfer."""


def redirect_storage(base_url: str) -> Storage:
    """Read a repository whose storage is named by the redirect of a web server.

    Parameters
    ----------
    base_url : str
        Address that answers with a redirect to ``s3://``, ``gs://``, ``r2://``, ``tigris://`` or
        ``https+icechunk://``. The target is opened without credentials.
    """
    return RedirectStorage(base_url)


new_redirect = redirect_storage


class RedirectStorage(Storage):
    """The storage that a web server's redirect names; read-only.

    The redirect is followed once, on first use. The target is opened without credentials, so that
    the operator of the web server cannot have requests signed.

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
        target = target_of(redirect_of(self._url))
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
        f"one of {', '.join(scheme for one in kinds() for scheme in one.redirects)}",
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
        Kind ``bad-redirect`` when the answer is not a redirect, ``cannot-parse-url``, or
        ``object-store`` when there is no answer.
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
        raise _bad(f"{shown} answered {status}, which is not a redirect")
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


def target_of(url: str) -> Storage:
    """Return the storage that a redirect's target names, opened without credentials.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/prefix?region=us-east-1`` or ``https+icechunk://host/path``.

    Raises
    ------
    StorageError
        Kind ``bad-redirect`` for any other kind of address.
    """
    scheme, mark, _ = url.partition("://")
    kind = next((one for one in kinds() if scheme.lower() in one.redirects), None)
    if kind is None or not mark or not urlsplit(url).netloc:
        raise _bad(f"{scheme if mark else url[:40]!r} names no storage")
    try:
        return kind.open_redirected(url)
    except InvalidInputError as error:
        raise _bad(error.message) from None


class RedirectKind(StoreKind):
    """Redirects; they have no URLs of their own, since a web address means the server itself."""

    name = "redirect"


KIND = RedirectKind()
