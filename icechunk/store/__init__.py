"""A session as a Zarr v3 store, and a faster codec pipeline for local stores."""

from icechunk.store.pipeline import fast_pipeline
from icechunk.store.zarr_store import IcechunkStore

__all__ = ["IcechunkStore", "fast_pipeline"]
