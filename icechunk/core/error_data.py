"""Data of conflict errors, as early versions of the library expose it."""

from __future__ import annotations

from typing import Any, NamedTuple


class ConflictErrorData(NamedTuple):
    """Snapshots of a conflicting commit: the expected and the actual tip of the branch."""

    expected_parent: str | None
    actual_parent: str | None


class RebaseFailedData(NamedTuple):
    """The commit at which a rebase stopped, and the conflicts with it."""

    snapshot: str
    conflicts: list[Any]


ConflictErrorData.__module__ = RebaseFailedData.__module__ = "icechunk"
