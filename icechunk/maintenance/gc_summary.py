"""What a garbage collection removed, as the public API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from icechunk.config.rendering import Entry, Shown


@dataclass(slots=True, repr=False)
class GCSummary(Shown):
    """Counters of one garbage collection; of a dry run, what it would have done.

    Attributes
    ----------
    bytes_deleted : int
        Size of everything deleted.
    chunks_deleted : int
        Chunk objects; several chunks that share an object count once.
    manifests_deleted, snapshots_deleted, attributes_deleted, transaction_logs_deleted : int
        Files of each kind.
    objects_failed_to_delete : int
        Objects that the storage did not delete.
    throttled_batches : int
        Requests to delete that had to be repeated because the storage asked for patience.
    delete_errors : list of str
        What went wrong.
    skipped_phases : list of str
        Kinds of objects left alone because objects that may refer to them could not be deleted:
        ``transaction_logs``, ``manifests``, ``chunks``.
    """

    bytes_deleted: int = 0
    chunks_deleted: int = 0
    manifests_deleted: int = 0
    snapshots_deleted: int = 0
    attributes_deleted: int = 0
    transaction_logs_deleted: int = 0
    objects_failed_to_delete: int = 0
    throttled_batches: int = 0
    delete_errors: list[str] = field(default_factory=list)
    skipped_phases: list[str] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def _path(self) -> str:
        return "icechunk.ops.GCSummary"

    def _entries(self) -> Iterable[Entry]:
        return [Entry(name, getattr(self, name)) for name in self.__dataclass_fields__]

    def __repr__(self) -> str:
        return str(self)


GCSummary.__module__ = "icechunk"
