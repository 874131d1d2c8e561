"""Folders of local or mounted file systems."""

from __future__ import annotations

import os

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import Credentials
from icechunk.core.folders import local_path
from icechunk.storage.base import Storage
from icechunk.storage.kinds import kinds
from icechunk.storage.kinds.kind import StoreKind
from icechunk.storage.local import LocalStorage


def local_filesystem_storage(path: str | os.PathLike[str], *, durable: bool = True) -> Storage:
    """Keep a repository in a folder of a local or mounted file system.

    Safe for concurrent commits by any number of threads and processes of this library, also on
    several hosts where the file system has locks.

    Parameters
    ----------
    path : str or path-like
        The folder; it is made when the repository is created. A relative path starts at the
        current working directory, ``~`` is a home folder, and ``file:///folder`` is a path too.
    durable : bool
        True: a commit returns when it would survive a loss of power. False: never wait for the
        disk, for scratch data; then a crash of the machine, though not of the program, may lose
        commits that were acknowledged.

    Raises
    ------
    InvalidInputError
        Kind ``cannot-parse-url`` for a URL of another kind; the message names the function for
        it.
    """
    return LocalStorage(local_path(path, _function_for), durable=durable)


def new_local_filesystem(path: str | os.PathLike[str]) -> Storage:
    """Use a folder; see `icechunk.local_filesystem_storage`."""
    return local_filesystem_storage(path)


def _function_for(scheme: str, url: str) -> str:
    """Return code that makes the storage of a URL."""
    for kind in kinds():
        if scheme in (*kind.schemes, *kind.synonyms):
            return kind.advice(url)
    return f"icechunk.fsspec_storage({url!r})"


class LocalKind(StoreKind):
    """Local files."""

    name = "local files"
    schemes = ("file",)
    configs = (ObjectStoreConfig.LocalFileSystem,)
    authorisation = Credentials.LocalFileSystemAccess
    example = "icechunk.credentials.LocalFileSystemAccess"

    def mismatch(self, store: ObjectStoreConfig) -> str:
        return "local file storage does not accept credentials"

    def open(self, url: str) -> Storage:
        return local_filesystem_storage(url)

    def advice(self, url: str) -> str:
        return f"icechunk.local_filesystem_storage({url!r})"


KIND = LocalKind()
