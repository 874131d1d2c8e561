"""Public names of small types."""

from __future__ import annotations

from typing import Literal

from icechunk.spec.spec_version import SpecVersion

CommitMethod = Literal["new_commit", "amend"]


def spec_version() -> SpecVersion:
    """Version of the on-disk format that new repositories get."""
    return SpecVersion.current()


def supported_spec_versions() -> list[SpecVersion]:
    """Versions of the on-disk format that this library reads and writes, newest first."""
    return [SpecVersion.v2, SpecVersion.v1]


__all__ = ["CommitMethod", "SpecVersion", "spec_version", "supported_spec_versions"]
