"""Floor 7: a session as a Zarr v3 store."""

from icechunk.store.zarr_store import IcechunkStore

__all__ = ["IcechunkStore"]
