"""What the conflict errors of early versions carried as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConflictErrorData:
    """Snapshots of a lost race: the one expected, and the one found."""

    expected_parent: str | None
    actual_parent: str | None


@dataclass(frozen=True)
class RebaseFailedData:
    """The commit that a rebase could not pass, and the conflicts with it."""

    snapshot: str
    conflicts: list[Any]


ConflictErrorData.__module__ = RebaseFailedData.__module__ = "icechunk"
