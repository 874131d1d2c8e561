"""What a spec 2 repository knows about itself, and the questions that can be asked about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from icechunk.core.clock import to_datetime
from icechunk.core.errors import (
    ErrorKind,
    InvalidInputError,
    ReadOnlyError,
    RefNotFoundError,
    SessionStateError,
    SnapshotNotFoundError,
)
from icechunk.spec.repo.lazy_record import LazyRecords, Walk

if TYPE_CHECKING:
    from icechunk.core.ids import ObjectId
    from icechunk.spec.flatbuffers.unknown_fields import UnknownFields
    from icechunk.spec.repo.refs import Refs
    from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
    from icechunk.spec.repo.update_log import UpdateLog
    from icechunk.spec.repo.updates import RepoStatusValue

FLAG_IDS: Mapping[str, int] = {"move_node": 3, "create_tag": 4, "delete_tag": 5}
"""Known feature flags; all are on by default."""


@dataclass(frozen=True, slots=True)
class RepoFacts:
    """Branches, tags, history, operations log and settings of a repository.

    Attributes
    ----------
    branches, tags : Refs
        What each ref points to.
    deleted_tags : frozenset of str
        Names that can never be tags again.
    snapshots : SnapshotTable
        Every snapshot known, reachable from a ref or not.
    status : RepoStatusValue
        Whether changes are accepted.
    metadata : dict
        The repository's own metadata, JSON values.
    updates : UpdateLog
        Latest changes, newest first.
    updates_before : str or None
        Name, below ``overwritten/``, of the repo object where the log goes on.
    config : dict or None
        Stored configuration in its on-disk structure, None when none was ever stored.
    flags_enabled, flags_disabled : frozenset of int
        Feature flags set explicitly, unknown ids included.
    extra : bytes or None
        Reserved field of the repo object, carried along.
    spec_version : int
        Version stored in the repo object.
    unknown : UnknownFields or None
        Fields that a newer library added, carried along.
    """

    branches: Refs
    tags: Refs
    deleted_tags: frozenset[str]
    snapshots: SnapshotTable
    status: RepoStatusValue
    updates: UpdateLog
    metadata: dict[str, Any] = field(default_factory=dict)
    updates_before: str | None = None
    config: dict[str, Any] | None = None
    flags_enabled: frozenset[int] = frozenset()
    flags_disabled: frozenset[int] = frozenset()
    extra: bytes | None = None
    spec_version: int = 2
    unknown: UnknownFields | None = None

    def branch_tip(self, name: str) -> ObjectId:
        """Snapshot a branch points to.

        Raises
        ------
        RefNotFoundError
            Kind ``ref-not-found``.
        """
        return _target(self.branches, name, "list_branches")

    def tag_target(self, name: str) -> ObjectId:
        """Snapshot a tag points to.

        Raises
        ------
        RefNotFoundError
            Kind ``ref-not-found``, deleted tags included.
        """
        return _target(self.tags, name, "list_tags")

    def snapshot(self, snapshot_id: ObjectId) -> SnapshotRecord | None:
        """What is known of a snapshot, None when it is not in the repository."""
        return self.snapshots.get(snapshot_id)

    def ancestry(self, snapshot_id: ObjectId) -> Walk:
        """Snapshots from a snapshot, itself first, back to the root of its history.

        Returns
        -------
        Walk
            It goes as far as it is asked to; a `FormatError` is raised there when the history goes
            round in a circle.

        Raises
        ------
        SnapshotNotFoundError
            There is no such snapshot.
        """
        rows = self.snapshots.lineage(self.snapshots.row_of(snapshot_id))
        return LazyRecords(self.snapshots, rows)

    def as_of(self, branch: str, at: int) -> SnapshotRecord:
        """Newest snapshot of a branch written at or before a time.

        Raises
        ------
        RefNotFoundError
            No such branch.
        SnapshotNotFoundError
            Kind ``no-snapshot-at-time``.
        """
        for row in self.snapshots.lineage(self.snapshots.row_of(self.branch_tip(branch))):
            if int(self.snapshots.flushed_at[row]) <= at:
                return self.snapshots.record(row)
        raise SnapshotNotFoundError(
            f"branch {branch} does not have a snapshots before or at {when(at)}. "
            "Ask for a later time; `Repository.ancestry` shows them.",
            ErrorKind.NO_SNAPSHOT_AT_TIME,
        )

    def flag(self, name: str) -> bool:
        """Whether a feature is on."""
        return flag_id(name) not in self.flags_disabled

    def require_writable(self, what: str | None = None) -> None:
        """Refuse when the repository's status does not allow changes.

        Parameters
        ----------
        what : str, optional
            What is refused, e.g. ``Cannot create writable session``.

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-repository``.
        """
        if not self.status.writable:
            doing = f"{what}; " if what else ""
            raise ReadOnlyError(
                f"the repository status is read-only: {doing}{self.status.describe()}. "
                "`Repository.set_status` can put it online again.",
                ErrorKind.READ_ONLY_REPOSITORY,
            )

    def require_flag(self, name: str, what: str) -> None:
        """Refuse what a feature flag turns off.

        Raises
        ------
        SessionStateError
            Kind ``feature-flag-disabled``.
        """
        if not self.flag(name):
            raise SessionStateError(
                f"{what} is disabled by a feature flag ({name}). "
                f"`Repository.set_feature_flag({name!r}, None)` allows it again.",
                ErrorKind.FEATURE_FLAG_DISABLED,
            )


def _target(refs: Refs, name: str, lister: str) -> ObjectId:
    target = refs.get(name)
    if target is None:
        raise RefNotFoundError(
            f"ref not found `{name}`. `Repository.{lister}` lists what exists.",
            ErrorKind.REF_NOT_FOUND,
        )
    return target


def flag_id(name: str) -> int:
    """Number of a feature flag.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-feature-flag``.
    """
    if name not in FLAG_IDS:
        raise InvalidInputError(
            f"invalid feature flag name: {name}. Known flags: {', '.join(FLAG_IDS)}.",
            ErrorKind.INVALID_FEATURE_FLAG,
        )
    return FLAG_IDS[name]


def when(us: int) -> str:
    """Time as messages show it."""
    text = to_datetime(us).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.removesuffix(".000000") + " UTC"
