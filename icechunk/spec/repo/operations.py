"""The operations log as the public API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from icechunk.config.fields import instance_of
from icechunk.config.rendering import Entry, Label, Shown, scalar_text
from icechunk.config.values import Variant
from icechunk.core.clock import to_datetime
from icechunk.core.ids import id_text
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.status import RepoStatus


class UpdateType(Variant, path="icechunk.ops.UpdateType"):
    """What a change of the repository was: one of the variants, which `match` can distinguish."""

    RepoInitialized: TypeAlias = "_RepoInitialized"
    RepoMigrated: TypeAlias = "_RepoMigrated"
    RepoStatusChanged: TypeAlias = "_RepoStatusChanged"
    ConfigChanged: TypeAlias = "_ConfigChanged"
    MetadataChanged: TypeAlias = "_MetadataChanged"
    FeatureFlagChanged: TypeAlias = "_FeatureFlagChanged"
    TagCreated: TypeAlias = "_TagCreated"
    TagDeleted: TypeAlias = "_TagDeleted"
    BranchCreated: TypeAlias = "_BranchCreated"
    BranchDeleted: TypeAlias = "_BranchDeleted"
    BranchReset: TypeAlias = "_BranchReset"
    NewCommit: TypeAlias = "_NewCommit"
    CommitAmended: TypeAlias = "_CommitAmended"
    NewDetachedSnapshot: TypeAlias = "_NewDetachedSnapshot"
    GCRan: TypeAlias = "_GCRan"
    ExpirationRan: TypeAlias = "_ExpirationRan"
    Unknown: TypeAlias = "_Unknown"

    _one_line_ = True

    def __repr__(self) -> str:
        inside = ", ".join(f"{n}={scalar_text(getattr(self, n))}" for n in self._rules_)
        return f"{self._call_}({inside})"


class _RepoInitialized(UpdateType, variant="RepoInitialized", by_name=True):
    """The repository was created."""


class _RepoMigrated(UpdateType, variant="RepoMigrated", by_name=True):
    """The repository was upgraded to another spec version."""

    from_version: int = instance_of(int)
    to_version: int = instance_of(int)


class _RepoStatusChanged(UpdateType, variant="RepoStatusChanged", by_name=True):
    """The availability was set."""

    status: RepoStatus = instance_of(RepoStatus)


class _ConfigChanged(UpdateType, variant="ConfigChanged", by_name=True):
    """The stored configuration was replaced."""


class _MetadataChanged(UpdateType, variant="MetadataChanged", by_name=True):
    """The repository's own metadata was replaced."""


class _FeatureFlagChanged(UpdateType, variant="FeatureFlagChanged", by_name=True):
    """A feature flag was set, or (None) returned to its default."""

    id: int = instance_of(int)
    new_value: bool | None = instance_of(bool, default=None)


class _TagCreated(UpdateType, variant="TagCreated", by_name=True):
    """A tag was created."""

    name: str = instance_of(str)


class _TagDeleted(UpdateType, variant="TagDeleted", by_name=True):
    """A tag was deleted."""

    name: str = instance_of(str)
    previous_snap_id: str = instance_of(str)


class _BranchCreated(UpdateType, variant="BranchCreated", by_name=True):
    """A branch was created."""

    name: str = instance_of(str)


class _BranchDeleted(UpdateType, variant="BranchDeleted", by_name=True):
    """A branch was deleted."""

    name: str = instance_of(str)
    previous_snap_id: str = instance_of(str)


class _BranchReset(UpdateType, variant="BranchReset", by_name=True):
    """A branch was pointed to another snapshot."""

    name: str = instance_of(str)
    previous_snap_id: str = instance_of(str)


class _NewCommit(UpdateType, variant="NewCommit", by_name=True):
    """A commit became the tip of a branch."""

    branch: str = instance_of(str)
    new_snap_id: str = instance_of(str)


class _CommitAmended(UpdateType, variant="CommitAmended", by_name=True):
    """The tip of a branch was replaced by an amended commit."""

    branch: str = instance_of(str)
    previous_snap_id: str = instance_of(str)
    new_snap_id: str = instance_of(str)


class _NewDetachedSnapshot(UpdateType, variant="NewDetachedSnapshot", by_name=True):
    """A snapshot without a branch was written."""

    new_snap_id: str = instance_of(str)


class _GCRan(UpdateType, variant="GCRan", by_name=True):
    """Garbage was collected."""


class _ExpirationRan(UpdateType, variant="ExpirationRan", by_name=True):
    """Old snapshots were expired."""


class _Unknown(UpdateType, variant="Unknown", by_name=True):
    """A kind of change that a newer library recorded."""

    tag: int = instance_of(int)


def public_kind(kind: u.UpdateKind) -> UpdateType:
    """The public form of what a change was."""
    if isinstance(kind, u.UnknownUpdate):
        return _Unknown(kind.tag)
    variant: Any = getattr(UpdateType, type(kind).__name__)
    return variant(*(_public(getattr(kind, name)) for name in variant._rules_))  # type: ignore[no-any-return]


def _public(value: Any) -> Any:
    if isinstance(value, u.RepoStatusValue):
        return RepoStatus.of(value)
    return id_text(value) if isinstance(value, bytes) else value


@dataclass(frozen=True, slots=True, repr=False)
class Update(Shown):
    """One change of a repository.

    Attributes
    ----------
    kind : UpdateType
        What changed.
    updated_at : datetime.datetime
        When, UTC.
    backup_path : str or None
        Name, below ``overwritten/``, of the repo object as this change left it; None for the
        newest change, which made the present one.
    """

    kind: UpdateType
    updated_at: datetime
    backup_path: str | None = None

    @classmethod
    def of(cls, update: u.Update) -> Update:
        """The public form of an entry of the log."""
        return cls(public_kind(update.kind), to_datetime(update.updated_at), update.backup_path)

    def _path(self) -> str:
        return "icechunk.ops.Update"

    def _entries(self) -> Iterable[Entry]:
        backup = self.backup_path
        return [
            Entry("kind", self.kind),
            Entry("updated_at", self.updated_at),
            Entry("backup_path", None if backup is None else Label(backup)),
        ]

    def __repr__(self) -> str:
        return str(self)


Update.__module__ = "icechunk"
