"""Public names of commits and their differences."""

from icechunk.display.graph import AncestryGraph
from icechunk.model.diff import Diff
from icechunk.model.manifest_file_info import ManifestFileInfo
from icechunk.model.snapshot_info import SnapshotInfo

__all__ = ["AncestryGraph", "Diff", "ManifestFileInfo", "SnapshotInfo"]
