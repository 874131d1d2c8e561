"""One manifest of a snapshot, as the public API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from icechunk.config.rendering import Entry, Label, Shown
from icechunk.core.ids import id_text
from icechunk.spec.snapshot.snapshot import ManifestInfo


@dataclass(frozen=True, slots=True, repr=False)
class ManifestFileInfo(Shown):
    """A manifest that a snapshot refers to.

    Attributes
    ----------
    id : str
        20 characters.
    size_bytes : int
        Size of the file.
    num_chunk_refs : int
        References to chunks in it.
    """

    id: str
    size_bytes: int
    num_chunk_refs: int

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, info: ManifestInfo) -> ManifestFileInfo:
        """The public form of an entry of a snapshot's list."""
        return cls(id_text(info.id), info.size_bytes, info.num_chunk_refs)

    def _path(self) -> str:
        return "icechunk.snapshots.ManifestFileInfo"

    def _entries(self) -> Iterable[Entry]:
        return [
            Entry("id", Label(self.id)),
            Entry("size_bytes", self.size_bytes),
            Entry("num_chunk_refs", self.num_chunk_refs),
        ]

    def __repr__(self) -> str:
        return str(self)


ManifestFileInfo.__module__ = "icechunk"
