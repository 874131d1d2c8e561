"""Does a storage do what commits rest on: conditional writes that really are conditional."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import NamedTuple

from icechunk.core.errors import ErrorKind, IcechunkError, StorageError
from icechunk.storage.base import Storage

PROBES = "probes"
"""Folder of the objects that a probe writes and removes; nothing of a repository is in it."""


class Conditions(NamedTuple):
    """What a storage does with conditions."""

    creates_once: bool
    """A second creation of an object is refused."""
    refuses_stale: bool
    """A replacement of a version that is not the present one is refused."""
    replaces: bool
    """A replacement of the present version is carried out."""


def conditions(storage: Storage) -> Conditions:
    """Find out what a storage does with conditional writes, by writing one small object.

    Parameters
    ----------
    storage : Storage
        Where to try; the object is removed again.

    Returns
    -------
    Conditions
        What it does.

    Raises
    ------
    StorageError
        When the storage cannot be written to at all.
    """
    key = f"{PROBES}/{secrets.token_hex(10)}"
    first = storage.create(key, b"first")
    try:
        creates_once = first is not None and storage.create(key, b"second") is None
        before = storage.get(key).version
        after = storage.replace(key, b"third", before)
        fresh = after is not None and storage.get(key).data == b"third"
        stale = storage.replace(key, b"fourth", before)
        return Conditions(creates_once, stale is None and storage.get(key).data != b"fourth", fresh)
    finally:
        with suppress(IcechunkError):
            storage.delete([key])


def require_conditions(storage: Storage, *, create: bool = True, update: bool = True) -> None:
    """Refuse a storage that ignores conditions: commits of two writers would be lost silently.

    Parameters
    ----------
    storage : Storage
        Where a repository is to be made.
    create, update : bool
        Which conditions the user has not given up.

    Raises
    ------
    StorageError
        Kind ``storage-config``.
    """
    if not (create or update):
        return
    found = conditions(storage)
    broken = [
        what
        for what, wanted, holds in (
            ("creates an object that is there already", create, found.creates_once),
            ("replaces an object that has changed meanwhile", update, found.refuses_stale),
            ("refuses to replace an object that has not changed", update, found.replaces),
        )
        if wanted and not holds
    ]
    if broken:
        raise StorageError(
            f"unsafe storage: {storage.identity} {' and '.join(broken)}, although it was told "
            "not to. Commits of two writers at the same time would overwrite each other without "
            "a word. Use a store with conditional writes; or, where only one process ever writes "
            "at a time, say so with StorageSettings(unsafe_use_conditional_create=False, "
            "unsafe_use_conditional_update=False) in RepositoryConfig(storage=...)",
            ErrorKind.STORAGE_CONFIG,
        )
