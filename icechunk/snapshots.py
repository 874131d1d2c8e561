"""Public names of commits and their differences."""

from icechunk.model.diff import Diff
from icechunk.model.snapshot_info import SnapshotInfo

__all__ = ["Diff", "SnapshotInfo"]
