"""The mutable truth of a spec 2 repository as one immutable value.

Every change is a pure method: it checks the rules, appends to the operations log and returns a new
state, or raises and changes nothing.  Publishing a state by compare-and-swap is somebody else's
business.

The keyword arguments shared by all changes: `at`, the present time in microseconds since 1970;
`backup_path`, the name under which the state being replaced is kept; `limit`, how many updates one
repo object holds (``num_updates_per_repo_info_file``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from icechunk.core.clock import MAX_SKEW_US
from icechunk.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    FormatError,
    RefNotFoundError,
    SessionStateError,
)
from icechunk.core.ids import ObjectId, id_text
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.facts import RepoFacts, flag_id, when
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.update_log import UpdateLog
from icechunk.spec.repo.updates import RepoStatusValue, Update, UpdateKind

MAIN = "main"


class RepoState(RepoFacts):
    """Facts of a repository and the changes that can be made to them."""

    __slots__ = ()

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

    # ------------------------------------------------------------------ commits

    def with_commit(
        self,
        branch: str,
        expected_parent: ObjectId,
        record: SnapshotRecord,
        *,
        at: int,
        backup_path: str,
        limit: int,
    ) -> RepoState:
        """Register a snapshot and move a branch from its parent to it.

        Raises
        ------
        RefNotFoundError
            Kind ``branch-not-found``: the branch was deleted meanwhile.
        ConflictError
            Kind ``commit-conflict``: the branch is no longer at `expected_parent`.
        FormatError
            Kinds ``snapshot-timestamp`` (not later than its parent), ``duplicate-snapshot-id``.
        """
        self.require_writable()
        self.require_tip(branch, expected_parent)
        if record.parent_id != expected_parent:
            record = replace(record, parent_id=expected_parent)
        kind = u.NewCommit(branch, record.id)
        state = self._with_snapshot(record, branch)
        return state._logged(kind, at, backup_path, limit)

    def with_amend(
        self,
        branch: str,
        expected_tip: ObjectId,
        record: SnapshotRecord,
        *,
        at: int,
        backup_path: str,
        limit: int,
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
        return self._with_snapshot(record, branch)._logged(kind, at, backup_path, limit)

    def with_detached(
        self, record: SnapshotRecord, *, at: int, backup_path: str, limit: int
    ) -> RepoState:
        """Register a snapshot that no branch points to."""
        self.require_writable()
        kind = u.NewDetachedSnapshot(record.id)
        return self._with_snapshot(record, None)._logged(kind, at, backup_path, limit)

    # ------------------------------------------------------------------ branches and tags

    def with_branch(
        self, name: str, snapshot_id: ObjectId, *, at: int, backup_path: str, limit: int
    ) -> RepoState:
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
        return state._logged(u.BranchCreated(name), at, backup_path, limit)

    def without_branch(self, name: str, *, at: int, backup_path: str, limit: int) -> RepoState:
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
        return replace(self, branches=branches)._logged(kind, at, backup_path, limit)

    def with_branch_reset(
        self,
        name: str,
        snapshot_id: ObjectId,
        expected: ObjectId | None = None,
        *,
        at: int,
        backup_path: str,
        limit: int,
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
        return state._logged(u.BranchReset(name, tip), at, backup_path, limit)

    def with_tag(
        self, name: str, snapshot_id: ObjectId, *, at: int, backup_path: str, limit: int
    ) -> RepoState:
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
        return state._logged(u.TagCreated(name), at, backup_path, limit)

    def without_tag(self, name: str, *, at: int, backup_path: str, limit: int) -> RepoState:
        """Delete a tag for good.

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
        return state._logged(kind, at, backup_path, limit)

    # ------------------------------------------------------------------ settings

    def with_config(
        self, config: dict[str, Any], *, at: int, backup_path: str, limit: int
    ) -> RepoState:
        """Replace the stored configuration."""
        self.require_writable()
        state = replace(self, config=config)
        return state._logged(u.ConfigChanged(), at, backup_path, limit)

    def with_metadata(
        self, metadata: dict[str, Any], *, at: int, backup_path: str, limit: int
    ) -> RepoState:
        """Replace the repository's own metadata."""
        self.require_writable()
        state = replace(self, metadata=metadata)
        return state._logged(u.MetadataChanged(), at, backup_path, limit)

    def with_status(
        self, status: RepoStatusValue, *, at: int, backup_path: str, limit: int
    ) -> RepoState:
        """Set the status: the one change that is allowed whatever the status is."""
        state = replace(self, status=status)
        return state._logged(u.RepoStatusChanged(status), at, backup_path, limit)

    def with_flag(
        self, name: str, setting: bool | None, *, at: int, backup_path: str, limit: int
    ) -> RepoState:
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
        return state._logged(kind, at, backup_path, limit)

    # ------------------------------------------------------------------ upkeep

    def with_history_cut(
        self,
        kind: u.ExpirationRan | u.GCRan,
        removed: Collection[ObjectId],
        adopted: Mapping[ObjectId, tuple[ObjectId | None, tuple[ObjectId, ...]]],
        *,
        branches: Collection[str] = (),
        tags: Collection[str] = (),
        at: int,
        backup_path: str,
        limit: int,
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
        return state._logged(kind, at, backup_path, limit)

    # ------------------------------------------------------------------ shared parts

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

    def _with_snapshot(self, record: SnapshotRecord, branch: str | None) -> RepoState:
        """Add a snapshot, later than its parent, and point a branch to it."""
        if record.parent_id is not None:
            parent = int(self.snapshots.flushed_at[self.snapshots.row_of(record.parent_id)])
            if record.flushed_at <= parent:
                raise FormatError(
                    f"snapshot timestamp {when(record.flushed_at)} is not later than its "
                    f"parent's, {when(parent)}. Check the clocks of the machines that write.",
                    ErrorKind.SNAPSHOT_TIMESTAMP,
                )
        branches = self.branches if branch is None else self.branches.pointed(branch, record.id)
        return replace(self, snapshots=self.snapshots.insert(record), branches=branches)

    def _logged(self, kind: UpdateKind, at: int, backup_path: str, limit: int) -> RepoState:
        """Put a change on top of the operations log, at a time later than the former entry's.

        A clock that lags by up to ten minutes must not stop a change, so the entry is then dated
        one microsecond after the former one; a larger distance means that a clock is wrong.
        """
        if len(self.updates):
            former = int(self.updates.times[0])
            if former - at > MAX_SKEW_US:
                raise SessionStateError(
                    f"the clocks differ: the last change of the repository is dated "
                    f"{when(former)}, but it is {when(at)} here. Set this machine's clock, or wait "
                    "until then if the clock of the other was wrong.",
                    ErrorKind.CLOCK_SKEW,
                )
            at = max(at, former + 1)
        log, before = self.updates.pushed(kind, at, backup_path, limit)
        return replace(
            self, updates=log, updates_before=self.updates_before if before is None else before
        )
