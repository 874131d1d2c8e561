"""A kind of store that is not part of the library: objects in the memory of this process."""

from __future__ import annotations

from typing import Any

from obstore.store import MemoryStore

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import Credentials, S3Credentials
from icechunk.config.fields import converted
from icechunk.storage import Storage
from icechunk.storage.clients import Requests
from icechunk.storage.kinds.kind import BucketKind, bucket_name, displayed, joined
from icechunk.storage.objects import ObjectStorage

SHELVES: dict[tuple[str, str | None], MemoryStore] = {}
"""Stores by bucket and prefix."""


class Shelf(ObjectStoreConfig, variant="Shelf"):
    """Configuration of a shelf."""

    _tag_ = "shelf"
    _schemes_ = frozenset({"shelf"})
    opts: dict[str, str] | None = converted(lambda name, value: value, default=None)


def shelf_storage(
    *,
    bucket: str,
    prefix: str | None,
    color: str = "red",
    anonymous: bool | None = None,
    from_env: bool | None = None,
) -> Storage:
    """Keep a repository on a shelf."""
    return ObjectStorage(
        Shelf({"color": color}),
        bucket,
        prefix,
        None,
        identity=f"shelf://{joined(bucket, prefix)}",
        shown=tuple(displayed("Shelf", prefix, bucket=bucket_name(bucket), color=color)),
    )


class ShelfKind(BucketKind):
    """Shelves."""

    name = "Shelf"
    schemes = ("shelf",)
    configs = (Shelf,)
    service = "a shelf"
    credentials = S3Credentials
    authorisation = Credentials.S3
    example = "icechunk.Credentials.S3(icechunk.S3Credentials.Anonymous())"
    storage = staticmethod(shelf_storage)
    options = ("color", "anonymous")
    alias = "shelf"

    def client(
        self, store: Any, bucket: str, credentials: Any, prefix: str | None, requests: Requests
    ) -> Any:
        self.expect(credentials)
        return SHELVES.setdefault((bucket, prefix), MemoryStore())


KIND = ShelfKind()
