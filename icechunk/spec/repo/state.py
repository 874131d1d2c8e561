"""The state of a spec 2 repository, which the ``repo`` object holds, as one immutable value.

Every change is a pure method: it checks the rules, appends to the operations log and returns a new
state, or raises and changes nothing.  `icechunk/refs/v2.py` publishes states by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from icechunk.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    FormatError,
    ReadOnlyError,
    RefNotFoundError,
    SessionStateError,
    SnapshotNotFoundError,
)
from icechunk.core.ids import ObjectId, id_text
from icechunk.spec.flatbuffers.unknown_fields import UnknownFields
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.feature_flags import flag_id
from icechunk.spec.repo.lazy_record import LazyRecords, Walk
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.update_log import Stamp, UpdateLog, when
from icechunk.spec.repo.updates import RepoStatusValue, Update, UpdateKind

MAIN = "main"


@dataclass(frozen=True, slots=True)
class RepoState:
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
        Name, below ``overwritten/``, of the repo object in which the log continues.
    config : dict or None
        Stored configuration in its on-disk structure, None when none was stored.
    flags_enabled, flags_disabled : frozenset of int
        Feature flags set explicitly, unknown ids included.
    extra : bytes or None
        Reserved field of the repo object, kept as it is.
    spec_version : int
        Version stored in the repo object.
    unknown : UnknownFields or None
        Fields that a newer library added, kept as they are.
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

    @classmethod
    def initial(cls, snapshot: SnapshotRecord, config: dict[str, Any] | None, at: int) -> RepoState:
        """State of a repository that was just created: `main` at its first snapshot."""
        return cls(
            branches=Refs({MAIN: snapshot.id}),
            tags=Refs({}),
            deleted_tags=frozenset(),
            snapshots=SnapshotTable.from_records([snapshot]),
            status=RepoStatusValue(u.ONLINE, snapshot.flushed_at),
            updates=UpdateLog.from_updates([Update(u.RepoInitialized(), at)]),
            config=config,
        )

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

        The walk goes as far as it is iterated, and raises `FormatError` when it meets a circle.

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

        `what` begins the message, e.g. ``Cannot create writable session``.

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

    def with_commit(
        self,
        branch: str,
        expected_parent: ObjectId,
        record: SnapshotRecord,
        stamp: Stamp,
    ) -> RepoState:
        """Register a snapshot and move a branch from its parent to it.

        Raises
        ------
        RefNotFoundError, ConflictError
            As `require_tip`.
        FormatError
            Kinds ``snapshot-timestamp`` (not later than its parent), ``duplicate-snapshot-id``.
        """
        self.require_writable()
        self.require_tip(branch, expected_parent)
        if record.parent_id != expected_parent:
            record = replace(record, parent_id=expected_parent)
        return self._with_snapshot(record, branch, u.NewCommit(branch, record.id), stamp)

    def with_amend(
        self,
        branch: str,
        expected_tip: ObjectId,
        record: SnapshotRecord,
        stamp: Stamp,
    ) -> RepoState:
        """Replace the tip of a branch; the former tip stays known, without a ref.

        The new snapshot gets the parent and the pruned ancestors of the former tip, whatever
        `record` says.

        Raises
        ------
        SessionStateError
            Kind ``no-amend-for-initial-commit``.
        RefNotFoundError, ConflictError, FormatError
            As `with_commit`.
        """
        self.require_writable()
        self.require_tip(branch, expected_tip)
        row = self.snapshots.row_of(expected_tip)
        parent = self.snapshots.parent_of(row)
        if parent is None:
            raise SessionStateError(
                "the first commit in the repository cannot be an amend, create a new commit "
                "instead: call `Session.commit`.",
                ErrorKind.NO_AMEND_FOR_INITIAL_COMMIT,
            )
        record = replace(record, parent_id=parent, pruned=self.snapshots.pruned_of(row))
        kind = u.CommitAmended(branch, expected_tip, record.id)
        return self._with_snapshot(record, branch, kind, stamp)

    def with_detached(self, record: SnapshotRecord, stamp: Stamp) -> RepoState:
        """Register a snapshot that no branch points to."""
        self.require_writable()
        return self._with_snapshot(record, None, u.NewDetachedSnapshot(record.id), stamp)

    def with_branch(self, name: str, snapshot_id: ObjectId, stamp: Stamp) -> RepoState:
        """Create a branch.

        Raises
        ------
        SnapshotNotFoundError
            The target is not in the repository.
        AlreadyExistsError
            Kind ``branch-already-exists``.
        """
        self.require_writable()
        self.snapshots.row_of(snapshot_id)
        if name in self.branches:
            raise AlreadyExistsError(
                f"branch already exists `{name} -> {id_text(self.branches[name])}`. "
                "`Repository.reset_branch` moves it.",
                ErrorKind.BRANCH_ALREADY_EXISTS,
            )
        state = replace(self, branches=self.branches.pointed(name, snapshot_id))
        return state._logged(u.BranchCreated(name), stamp)

    def without_branch(self, name: str, stamp: Stamp) -> RepoState:
        """Delete a branch.

        Raises
        ------
        SessionStateError
            Kind ``cannot-delete-main``.
        RefNotFoundError
            Kind ``ref-not-found``.
        """
        if name == MAIN:
            raise SessionStateError(
                "main branch cannot be deleted; `Repository.reset_branch` can move it.",
                ErrorKind.CANNOT_DELETE_MAIN,
            )
        self.require_writable()
        kind = u.BranchDeleted(name, self.branch_tip(name))
        branches = self.branches.without(frozenset({name}))
        return replace(self, branches=branches)._logged(kind, stamp)

    def with_branch_reset(
        self,
        name: str,
        snapshot_id: ObjectId,
        stamp: Stamp,
        expected: ObjectId | None = None,
    ) -> RepoState:
        """Move a branch to any snapshot, optionally only from an expected one.

        Raises
        ------
        RefNotFoundError, SnapshotNotFoundError
            No such branch, or target.
        ConflictError
            Kind ``branch-update-conflict``: the branch is not at `expected`.
        """
        self.require_writable()
        tip = self.branch_tip(name)
        if expected is not None and expected != tip:
            wanted, found = id_text(expected), id_text(tip)
            raise ConflictError(
                wanted,
                found,
                f"branch update conflict: `(Some({wanted})) != (Some({found}))`. "
                "Look at the branch again before you move it.",
                ErrorKind.BRANCH_UPDATE_CONFLICT,
            )
        self.snapshots.row_of(snapshot_id)
        state = replace(self, branches=self.branches.pointed(name, snapshot_id))
        return state._logged(u.BranchReset(name, tip), stamp)

    def with_tag(self, name: str, snapshot_id: ObjectId, stamp: Stamp) -> RepoState:
        """Create a tag.

        Raises
        ------
        SnapshotNotFoundError
            The target is not in the repository.
        AlreadyExistsError
            Kinds ``tag-already-exists`` and ``tag-previously-deleted``.
        SessionStateError
            Kind ``feature-flag-disabled``.
        """
        self.require_writable()
        self.require_flag("create_tag", "tag creation")
        self.snapshots.row_of(snapshot_id)
        if name in self.tags:
            raise AlreadyExistsError(
                f"tag already exists, tags are immutable: `{name}`. Choose another name.",
                ErrorKind.TAG_ALREADY_EXISTS,
            )
        if name in self.deleted_tags:
            raise AlreadyExistsError(
                f"icechunk does not allow tag reuse and tag was already deleted `{name}`. "
                "Choose another name.",
                ErrorKind.TAG_PREVIOUSLY_DELETED,
            )
        state = replace(self, tags=self.tags.pointed(name, snapshot_id))
        return state._logged(u.TagCreated(name), stamp)

    def without_tag(self, name: str, stamp: Stamp) -> RepoState:
        """Delete a tag; its name cannot be used again.

        Raises
        ------
        RefNotFoundError
            Kind ``ref-not-found``.
        SessionStateError
            Kind ``feature-flag-disabled``.
        """
        self.require_writable()
        self.require_flag("delete_tag", "tag delete")
        kind = u.TagDeleted(name, self.tag_target(name))
        tags = self.tags.without(frozenset({name}))
        state = replace(self, tags=tags, deleted_tags=self.deleted_tags | {name})
        return state._logged(kind, stamp)

    def with_config(self, config: dict[str, Any], stamp: Stamp) -> RepoState:
        """Replace the stored configuration."""
        self.require_writable()
        state = replace(self, config=config)
        return state._logged(u.ConfigChanged(), stamp)

    def with_metadata(self, metadata: dict[str, Any], stamp: Stamp) -> RepoState:
        """Replace the repository's own metadata."""
        self.require_writable()
        state = replace(self, metadata=metadata)
        return state._logged(u.MetadataChanged(), stamp)

    def with_status(self, status: RepoStatusValue, stamp: Stamp) -> RepoState:
        """Set the status: the one change that is allowed whatever the status is."""
        state = replace(self, status=status)
        return state._logged(u.RepoStatusChanged(status), stamp)

    def with_flag(self, name: str, setting: bool | None, stamp: Stamp) -> RepoState:
        """Set a feature flag, or (None) return it to its default.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-feature-flag``.
        """
        number = frozenset({flag_id(name)})
        self.require_writable()
        on, off = self.flags_enabled - number, self.flags_disabled - number
        if setting is not None:
            on, off = (on | number, off) if setting else (on, off | number)
        state = replace(self, flags_enabled=on, flags_disabled=off)
        kind = u.FeatureFlagChanged(flag_id(name), setting)
        return state._logged(kind, stamp)

    def with_history_cut(
        self,
        kind: u.ExpirationRan | u.GCRan,
        removed: Collection[ObjectId],
        adopted: Mapping[ObjectId, tuple[ObjectId | None, tuple[ObjectId, ...]]],
        stamp: Stamp,
        *,
        branches: Collection[str] = (),
        tags: Collection[str] = (),
    ) -> RepoState:
        """Drop snapshots, and refs with them, as expiration and garbage collection decided.

        Parameters
        ----------
        kind : ExpirationRan or GCRan
            What goes into the log, also when nothing is dropped.
        removed : collection of ObjectId
            Snapshots that leave the list.
        adopted : mapping of ObjectId to (parent id or None, pruned ids)
            New parent and complete new list of pruned ancestors of survivors.
        branches, tags : collection of str
            Refs to delete; the tags' names are used up.

        Raises
        ------
        FormatError
            When a ref or a survivor would point to a dropped snapshot.
        """
        what = "Cannot expire" if isinstance(kind, u.ExpirationRan) else "Cannot garbage collect"
        self.require_writable(what)
        kept_branches = self.branches.without(frozenset(branches))
        kept_tags = self.tags.without(frozenset(tags))
        gone = frozenset(removed)
        for name, target in (*kept_branches.items(), *kept_tags.items()):
            if target in gone:
                raise FormatError(
                    f"ref `{name}` points to snapshot `{id_text(target)}`, which would be dropped. "
                    "Plan the removal again.",
                    ErrorKind.SERIALIZATION,
                )
        state = replace(
            self,
            branches=kept_branches,
            tags=kept_tags,
            deleted_tags=self.deleted_tags | (frozenset(tags) & self.tags.keys()),
            snapshots=self.snapshots.without(gone, adopted),
        )
        return state._logged(kind, stamp)

    def require_tip(self, branch: str, expected: ObjectId) -> None:
        """Refuse unless the branch exists and points where the session started.

        Raises
        ------
        RefNotFoundError
            Kind ``branch-not-found``.
        ConflictError
            Kind ``commit-conflict``.
        """
        tip = self.branches.get(branch)
        if tip is None:
            raise RefNotFoundError(
                f"branch not found `{branch}`: it was deleted after the session started. "
                "Create it again, or flush the session to keep its changes.",
                ErrorKind.BRANCH_NOT_FOUND,
            )
        if tip != expected:
            raise ConflictError(id_text(expected), id_text(tip))

    def _with_snapshot(
        self, record: SnapshotRecord, branch: str | None, kind: UpdateKind, stamp: Stamp
    ) -> RepoState:
        """Add a snapshot, later than its parent, point a branch to it, and log the change."""
        if record.parent_id is not None:
            parent = int(self.snapshots.flushed_at[self.snapshots.row_of(record.parent_id)])
            if record.flushed_at <= parent:
                raise FormatError(
                    f"snapshot timestamp {when(record.flushed_at)} is not later than its "
                    f"parent's, {when(parent)}. Check the clocks of the machines that write.",
                    ErrorKind.SNAPSHOT_TIMESTAMP,
                )
        branches = self.branches if branch is None else self.branches.pointed(branch, record.id)
        snapshots = self.snapshots.insert(record)
        return self._logged(kind, stamp, snapshots=snapshots, branches=branches)

    def _logged(self, kind: UpdateKind, stamp: Stamp, **changed: Any) -> RepoState:
        """Change some attributes, and put the change on top of the operations log."""
        log, before = self.updates.pushed(kind, stamp)
        before = self.updates_before if before is None else before
        return replace(self, updates=log, updates_before=before, **changed)


def _target(refs: Refs, name: str, lister: str) -> ObjectId:
    target = refs.get(name)
    if target is None:
        raise RefNotFoundError(
            f"ref not found `{name}`. `Repository.{lister}` lists what exists.",
            ErrorKind.REF_NOT_FOUND,
        )
    return target
