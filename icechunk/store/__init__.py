"""A session as a Zarr v3 store, and a faster codec pipeline for local stores."""

from icechunk.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
