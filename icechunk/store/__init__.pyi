"""Public names of `icechunk.store`."""

from icechunk.store.pipeline import fast_pipeline as fast_pipeline
from icechunk.store.zarr_store import IcechunkStore as IcechunkStore
