"""Tests whether the conditional writes of a storage are conditional, as commits need."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import NamedTuple

from icechunk.core.errors import ErrorKind, IcechunkError, StorageError
from icechunk.storage.base import Storage

PROBES = "probes"
"""Folder of the objects that a probe writes and removes; it holds no object of a repository."""


class Conditions(NamedTuple):
    """How a storage answers conditional writes."""

    creates_once: bool
    """A second creation of an object is refused."""
    refuses_stale: bool
    """A replacement of a version that is not the current one is refused."""
    replaces: bool
    """A replacement of the current version is carried out."""


def conditions(storage: Storage) -> Conditions:
    """Test the conditional writes of a storage on one small object.

    Parameters
    ----------
    storage : Storage
        Storage to test; the object is removed again.

    Returns
    -------
    Conditions
        How it answered.

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
    """Refuse a storage that ignores conditions: the commit of one of two writers would be lost.

    Parameters
    ----------
    storage : Storage
        Storage of the repository to create.
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
            f"unsafe storage: {storage.identity} {' and '.join(broken)}, although the "
            "request forbade it. Commits of two writers at the same time would silently overwrite "
            "each other. Use a store with conditional writes; or, where only one process ever "
            "writes at a time, declare it with StorageSettings("
            "unsafe_use_conditional_create=False, unsafe_use_conditional_update=False) in "
            "RepositoryConfig(storage=...)",
            ErrorKind.STORAGE_CONFIG,
        )
