"""File systems of fsspec."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import Credentials
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.base import Storage
from icechunk.storage.fsspec import FsspecStorage
from icechunk.storage.kinds.kind import StoreKind
from icechunk.storage.local import LocalStorage


def _made(kind: type[Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Make a file system; a module function, so that a storage can be pickled."""
    return kind(*args, **options)


def fsspec_storage(
    url: str, fs: Any = None, *, storage_options: Mapping[str, Any] | None = None
) -> Storage:
    """Keep a repository in a file system of fsspec.

    Commits are safe on S3 (s3fs), Google Cloud Storage (gcsfs), Azure (adlfs), local files and
    memory. Any other file system can be read; writing to it is refused unless the storage settings
    give up conditional writes. Time limits and retries are those of the file system.

    Parameters
    ----------
    url : str
        Address such as ``s3://bucket/prefix``, or a path of `fs`.
    fs : fsspec.AbstractFileSystem, optional
        The file system; made from the address when absent.
    storage_options : mapping, optional
        Arguments for making it. They travel in pickles of the storage, secrets included.

    Raises
    ------
    StorageError
        Kind ``storage-config`` when there is no such file system, or it cannot be made.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if fs is None:
        try:
            fs, path = url_to_fs(url, **(storage_options or {}))
        except (ImportError, ValueError, TypeError) as error:
            raise StorageError(
                f"storage configuration error: no file system for {url.partition('?')[0]!r} "
                f"({type(error).__name__}). Install the package that has it, and check "
                "storage_options",
                ErrorKind.STORAGE_CONFIG,
            ) from None
    else:
        path = fs._strip_protocol(url)
    if isinstance(fs, LocalFileSystem):
        return LocalStorage(path)
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    make = partial(_made, type(fs), tuple(fs.storage_args), dict(fs.storage_options))
    return FsspecStorage(path, make, protocol)


class FsspecKind(StoreKind):
    """Any scheme that fsspec knows and that no other kind takes."""

    name = "fsspec"
    configs = (ObjectStoreConfig.Fsspec,)
    authorisation = Credentials.Fsspec
    example = "icechunk.fsspec_credentials()"

    def opens(self, scheme: str) -> bool:
        from fsspec.registry import known_implementations

        return scheme in known_implementations

    def open(self, url: str) -> Storage:
        try:
            return fsspec_storage(url)
        except OSError as error:  # some file systems connect when they are made
            raise StorageError(
                f"cannot open `{url.partition('?')[0].rpartition('@')[2]}`: "
                f"{type(error).__name__}; check the address and the network",
                ErrorKind.OBJECT_STORE,
            ) from None

    def advice(self, url: str) -> str:
        return f"icechunk.fsspec_storage({url!r})"


KIND = FsspecKind()
