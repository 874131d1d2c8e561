"""What the conflict errors of early versions carried as data."""

from __future__ import annotations

from typing import Any, NamedTuple


class ConflictErrorData(NamedTuple):
    """Snapshots of a lost race: the one expected, and the one found."""

    expected_parent: str | None
    actual_parent: str | None


class RebaseFailedData(NamedTuple):
    """The commit that a rebase could not pass, and the conflicts with it."""

    snapshot: str
    conflicts: list[Any]


ConflictErrorData.__module__ = RebaseFailedData.__module__ = "icechunk"
