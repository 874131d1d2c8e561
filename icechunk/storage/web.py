"""Repositories that a web server publishes: read by plain HTTP, never written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.headers import checked_or_none
from icechunk.config.rendering import Label, public_url
from icechunk.config.resolve import StorageTuning
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.base import ObjectInfo, Version, folder_of
from icechunk.storage.objects import ObjectStorage


class HttpStorage(ObjectStorage):
    """Objects below a URL.

    Parameters
    ----------
    store : ObjectStoreConfig
        The `Http` variant: options and headers.
    place : str
        The URL.
    prefix, credentials
        None.
    """

    def __init__(
        self,
        store: ObjectStoreConfig,
        place: str,
        prefix: str | None,
        credentials: Any,
        *,
        identity: str,
        shown: tuple[tuple[str, Any], ...] = (),
        read_headers: Mapping[str, str] | None = None,
        write_headers: Mapping[str, str] | None = None,
        tuning: StorageTuning | None = None,
        read_only: bool = True,
    ) -> None:
        super().__init__(
            store,
            place,
            prefix,
            credentials,
            identity=identity,
            shown=shown,
            read_headers=read_headers,
            write_headers=write_headers,
            tuning=tuning,
            read_only=True,
        )

    def _token(self, result: Any) -> Version:
        """Return the version of an answer: its tag, or its date where the server gives none."""
        return str(result["e_tag"] or result["last_modified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Refuse: web servers do not list."""
        folder_of(prefix)
        raise StorageError(
            f"object store error: {self.identity} cannot be listed: web servers only serve what "
            "is asked for by name. Use the storage that the server publishes",
            ErrorKind.STORAGE_OTHER,
        )


def http(
    base_url: str, config: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> HttpStorage:
    """Read what is below a URL.

    Raises
    ------
    StorageError
        Kind ``cannot-parse-url`` for anything but an http or https URL.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StorageError(
            f"cannot parse URL {public_url(base_url)!r}: give one like https://host/path",
            ErrorKind.CANNOT_PARSE_URL,
        )
    shown = public_url(base_url)
    return HttpStorage(
        ObjectStoreConfig.Http(None if config is None else dict(config), checked_or_none(headers)),
        base_url,
        None,
        None,
        identity=shown,
        shown=(("type", Label("HTTP")), ("url", Label(shown))),
    )
