"""One commit, as the public API shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from icechunk.ground.clock import to_datetime
from icechunk.ground.ids import id_text
from icechunk.model.snapshot_table import SnapshotRecord


@dataclass(frozen=True, eq=True, repr=False)
class SnapshotInfo:
    """A commit.

    Attributes
    ----------
    id : str
        20 characters.
    parent_id : str or None
        None for the first snapshot.
    written_at : datetime.datetime
        UTC.
    message : str
        What was done and why.
    metadata : dict
        JSON values given at commit time.
    """

    id: str
    parent_id: str | None
    written_at: datetime
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, record: SnapshotRecord) -> SnapshotInfo:
        """The public form of a record."""
        return cls(
            id_text(record.id),
            None if record.parent_id is None else id_text(record.parent_id),
            to_datetime(record.flushed_at),
            record.message,
            dict(record.metadata),
        )

    def __str__(self) -> str:
        return "\n".join(
            [
                "<icechunk.SnapshotInfo>",
                f"id: {self.id}",
                f"parent_id: {self.parent_id}",
                f"written_at: {self.written_at:%Y-%m-%d %H:%M:%S.%f} UTC",
                f"message: {self.message}",
                f"metadata: {self.metadata}",
            ]
        )

    __repr__ = __str__


SnapshotInfo.__module__ = "icechunk"
