"""Web servers: a repository that a server publishes is read by plain HTTP, never written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import Credentials
from icechunk.config.headers import checked_or_none
from icechunk.config.rendering import Label, public_url
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.storage.base import ObjectInfo, Storage, Version, folder_of
from icechunk.storage.clients import CLIENT_KEYS, Requests, built, split_options
from icechunk.storage.kinds.kind import StoreKind
from icechunk.storage.objects import ObjectStorage

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Headers = Mapping[str, str] | None


class HttpStorage(ObjectStorage):
    """Objects below a URL."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Refuse: web servers do not list."""
        folder_of(prefix)
        raise StorageError(
            f"object store error: {self.identity} cannot be listed: web servers only serve objects "
            "that are asked for by name. Use the storage that the server publishes",
            ErrorKind.STORAGE_OTHER,
        )


def http_storage(
    base_url: str, opts: Mapping[str, str] | None = None, headers: Headers = None
) -> Storage:
    """Read a repository that a web server publishes.

    Parameters
    ----------
    base_url : str
        Address of the repository's folder.
    opts : mapping, optional
        Options of the client, such as ``timeout`` or ``proxy_url``.
    headers : mapping, optional
        Headers of every request. When the server redirects to another host, ``Authorization`` and
        ``Cookie`` are removed; others are sent there too, so do not put secrets into them.

    Raises
    ------
    StorageError
        Kind ``cannot-parse-url`` for anything but an http or https address.
    """
    return new_http(base_url, opts, headers)


def new_http(
    base_url: str, config: Mapping[str, str] | None = None, headers: Headers = None
) -> Storage:
    """Read a repository over HTTP; see `icechunk.http_storage`."""
    parts = urlsplit(base_url)
    shown = public_url(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StorageError(
            f"cannot parse URL {shown!r}: give one like https://host/path",
            ErrorKind.CANNOT_PARSE_URL,
        )
    return HttpStorage(
        ObjectStoreConfig.Http(None if config is None else dict(config), checked_or_none(headers)),
        base_url,
        None,
        None,
        identity=shown,
        shown=(("type", Label("HTTP")), ("url", Label(shown))),
        read_only=True,
    )


class HttpKind(StoreKind):
    """Web servers."""

    name = "HTTP"
    schemes = ("http", "https")
    redirects = ("http+icechunk", "http+ic", "https+icechunk", "https+ic")
    configs = (ObjectStoreConfig.Http,)
    authorisation = Credentials.HttpAccess
    example = "icechunk.credentials.HttpAccess"

    def mismatch(self, store: ObjectStoreConfig) -> str:
        return "http storage does not support credentials yet"

    def open(self, url: str) -> Storage:
        return http_storage(url)

    def open_redirected(self, url: str) -> Storage:
        scheme, _, rest = url.partition("://")
        return http_storage(f"{scheme.lower().partition('+')[0]}://{rest}")

    def advice(self, url: str) -> str:
        return f"icechunk.http_storage({url!r})"

    def client(
        self, store: Any, bucket: str, credentials: Any, prefix: str | None, requests: Requests
    ) -> ObjectStore:
        from obstore.store import HTTPStore

        if credentials is not None:
            raise InvalidInputError(
                "http stores take no credentials; put what the server needs into `headers`",
                ErrorKind.INVALID_CREDENTIALS,
            )
        service, http = split_options(store[0])
        if service:
            raise StorageError(
                f"storage configuration error: unknown http options {sorted(service)}; "
                f"known ones are {sorted(CLIENT_KEYS)}",
                ErrorKind.STORAGE_CONFIG,
            )
        base = bucket.rstrip("/") + (f"/{prefix}" if prefix else "")
        sent = requests._replace(headers={**(store[1] or {}), **requests.headers})
        client: ObjectStore = built(
            "HTTP",
            HTTPStore,
            base,
            client_options=sent.client_options(allow_http=True, over=http),
            retry_config=sent.retry_config(),
        )
        return client

    def version(self, answer: Any) -> Version:
        # Some servers give no ETag; the date is the best that they have.
        return str(answer["e_tag"] or answer["last_modified"])


KIND = HttpKind()
