"""One commit, as the public API shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from icechunk.config.rendering import Entry, Label, Shown
from icechunk.core.clock import to_datetime
from icechunk.core.ids import id_text
from icechunk.spec.manifest.file_info import ManifestFileInfo
from icechunk.spec.repo.lazy_record import Walk
from icechunk.spec.repo.lineage import further_parents, lineage_of
from icechunk.spec.repo.snapshot_table import SnapshotRecord


class Listing:
    """Commits that are listed together, and which attributes were asked of them so far."""

    __slots__ = ("asked", "find_manifests", "records")

    def __init__(
        self,
        records: Walk,
        find_manifests: Callable[[str], list[ManifestFileInfo]] | None,
    ) -> None:
        self.records = records
        self.find_manifests = find_manifests
        self.asked: set[str] = set()


@dataclass(frozen=True, eq=True, repr=False)
class SnapshotInfo(Shown):
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
    _find_manifests: Callable[[str], list[ManifestFileInfo]] | None = field(
        default=None, compare=False
    )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(
        cls,
        record: SnapshotRecord,
        find_manifests: Callable[[str], list[ManifestFileInfo]] | None = None,
    ) -> SnapshotInfo:
        """The public form of a record; `find_manifests` lists the manifests of a snapshot id.

        Each attribute is made when it is first asked for.
        """
        info = object.__new__(cls)
        content = info.__dict__
        records = Walk((record,))
        records.reach(1)
        content["_listing"] = Listing(records, find_manifests)
        content["_at"] = 0
        return info

    def __getattr__(self, name: str) -> Any:
        content = self.__dict__
        listing, reading = content.get("_listing"), _FROM_RECORD.get(name)
        if reading is None or listing is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}")
        listing.asked.add(name)
        source, make = reading
        value = content[name] = make(listing.records.value(content["_at"], source))
        return value

    @property
    def parents(self) -> list[str]:
        """Ids of all parents: `parent_id` first, then the others of a merge.

        A further parent is not in the repository any more when it expired after its branch was
        deleted.
        """
        first = [] if self.parent_id is None else [self.parent_id]
        return first + [id_text(one) for one in further_parents(self.metadata)]

    @property
    def lineage(self) -> dict[str, Any] | None:
        """What a merge, cherry-pick, revert, squash or stash recorded; None for other commits.

        ``kind``, ``parents``, and where they apply ``base`` (the merge base), ``source`` (its name)
        and ``of`` (ids of the commits that were picked, reverted or squashed).
        """
        lineage = lineage_of(self.metadata)
        return None if lineage is None else lineage.to_dict()

    @property
    def manifests(self) -> list[ManifestFileInfo]:
        """Manifests of the snapshot, read when asked for; `Repository.list_manifest_files`.

        Empty where the commit was not read from a repository, as after unpickling.
        """
        listing = self.__dict__.get("_listing")
        find = self._find_manifests if listing is None else listing.find_manifests
        return [] if find is None else find(self.id)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.id, self.parent_id, self.written_at, self.message, self.metadata

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        names = ("id", "parent_id", "written_at", "message", "metadata")
        vars(self).update(zip(names, state, strict=True), _find_manifests=None)

    def _path(self) -> str:
        return "icechunk.snapshots.SnapshotInfo"

    def _entries(self) -> Iterable[Entry]:
        parent = self.parent_id
        return [
            Entry("id", Label(self.id)),
            Entry("parent_id", None if parent is None else Label(parent)),
            Entry("written_at", self.written_at),
            Entry("message", Label(self.message)),
            Entry("metadata", Label(json.dumps(self.metadata, ensure_ascii=False, default=str))),
        ]

    def __repr__(self) -> str:
        return str(self)


def _parent(raw: bytes | None) -> str | None:
    return None if raw is None else id_text(raw)


_FROM_RECORD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "id": ("id", id_text),
    "parent_id": ("parent_id", _parent),
    "written_at": ("flushed_at", to_datetime),
    "message": ("message", str),
    "metadata": ("metadata", dict),
}
"""Attribute of the record, and what is made of it."""

SnapshotInfo.__module__ = "icechunk"
