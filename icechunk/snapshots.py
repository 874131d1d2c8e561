"""Public names of commits and their differences."""

from icechunk.display.graph import AncestryGraph
from icechunk.spec.manifest.file_info import ManifestFileInfo
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.transaction_log.diff import Diff

__all__ = ["AncestryGraph", "Diff", "ManifestFileInfo", "SnapshotInfo"]
