"""Experiments that show what a storage supports, and whether commits are safe there (layer 8)."""

from __future__ import annotations

from icechunk.diagnostics.examine import doctor
from icechunk.diagnostics.report import Check, Outcome, StorageReport

__all__ = ["Check", "Outcome", "StorageReport", "doctor"]
