"""Floor 7: what a storage can do, found out by trying, and whether commits are safe there."""

from __future__ import annotations

from icechunk.diagnostics.examine import doctor
from icechunk.diagnostics.report import Check, Outcome, StorageReport

__all__ = ["Check", "Outcome", "StorageReport", "doctor"]
