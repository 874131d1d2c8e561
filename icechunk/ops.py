"""Public names of the operations log and of maintenance."""

from icechunk.maintenance.gc_summary import GCSummary
from icechunk.spec.repo.operations import Update, UpdateType

__all__ = ["GCSummary", "Update", "UpdateType"]
