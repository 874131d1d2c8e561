"""The registry of store kinds: everything that depends on the kind of a store is found here.

To add a kind, write a module with a `KIND` (an instance of a subclass of
`icechunk.storage.kinds.kind.StoreKind`) and add its name to `MODULES`. A program can add a kind of
its own with `register`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from icechunk.config.containers import ObjectStoreConfig
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.storage.kinds.kind import BucketKind, StoreKind

MODULES = (
    "local",
    "memory",
    "s3",
    "gcs",
    "r2",
    "tigris",
    "azure",
    "hugging_face",
    "http",
    "redirect",
    "fsspec",  # last: it opens every scheme that fsspec knows
)
"""Modules of this package, one per kind, in the order in which they are asked."""

_registered: list[StoreKind] = []


def register(kind: StoreKind) -> None:
    """Add a kind; it is asked before those of this package."""
    _registered.insert(0, kind)


def unregister(kind: StoreKind) -> None:
    """Remove a kind that `register` added."""
    _registered.remove(kind)


def kinds() -> Iterator[StoreKind]:
    """Yield all kinds. A module is imported when the iteration reaches it, not before."""
    yield from tuple(_registered)
    for name in MODULES:
        kind: StoreKind = import_module(f"{__name__}.{name}").KIND
        yield kind


def kind_of(store: ObjectStoreConfig) -> StoreKind:
    """Return the kind of a store from its configuration.

    Raises
    ------
    StorageError
        Kind ``storage-config`` when no kind has such a configuration.
    """
    for kind in kinds():
        if isinstance(store, kind.configs):
            return kind
    raise StorageError(
        f"storage configuration error: {type(store).__qualname__} is not a known kind of store; "
        "register it with icechunk.storage.kinds.register",
        ErrorKind.STORAGE_CONFIG,
    )


def kind_at(scheme: str) -> StoreKind | None:
    """Return the kind that opens URLs of a scheme."""
    return next((kind for kind in kinds() if kind.opens(scheme.lower())), None)


def wrapped(credentials: Any) -> Any:
    """Return credentials of a service as an authorisation; anything else as it is."""
    for kind in kinds():
        if isinstance(kind, BucketKind) and isinstance(credentials, kind.credentials):
            assert kind.authorisation is not None
            return kind.authorisation(credentials)
    return credentials
