"""Public names of the operations log and of upkeep."""

from icechunk.model.gc_summary import GCSummary
from icechunk.model.operations import Update, UpdateType

__all__ = ["GCSummary", "Update", "UpdateType"]
