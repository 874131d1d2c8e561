"""Interface to the mutable part of a repository: a `RefStore` for each spec version."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from icechunk.config.resolve import Settings
from icechunk.core.ids import ObjectId
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.capabilities import Capability, refuse
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp

Transition = Callable[[RepoState, Stamp], RepoState]
"""A pure change of the repository's state."""


class RefStore(ABC):
    """Branches, tags, ancestry and configuration of one repository.

    Every method reads the storage: a changed object is seen by the next call.
    """

    spec_version: int
    capabilities: frozenset[Capability] = frozenset()

    def require(self, capability: Capability) -> None:
        """Refuse what the repository's spec version does not have.

        Raises
        ------
        FormatError
            Kind ``unsupported-spec-version``.
        """
        if capability not in self.capabilities:
            refuse(capability)

    def state(self) -> RepoState:
        """Everything that the repo object holds.

        Raises
        ------
        FormatError
            Kind ``unsupported-spec-version`` where there is none (spec 1).
        """
        refuse(Capability.REPO_OBJECT)

    def update(self, transition: Transition) -> RepoState:
        """Apply a pure change to what the repo object holds.

        Raises
        ------
        FormatError
            Kind ``unsupported-spec-version`` where there is none (spec 1).
        """
        refuse(Capability.REPO_OBJECT)

    @abstractmethod
    def under(self, files: RepositoryFiles, settings: Settings) -> RefStore:
        """The same ref store with other settings and caches; it keeps the state it has read."""

    @abstractmethod
    def branches(self) -> Mapping[str, ObjectId]:
        """Tip of every branch."""

    @abstractmethod
    def tags(self) -> Mapping[str, ObjectId]:
        """Target of every tag."""

    @abstractmethod
    def branch_tip(self, name: str) -> ObjectId:
        """Tip of a branch; `RefNotFoundError` when there is none."""

    @abstractmethod
    def writable_tip(self, name: str) -> ObjectId:
        """Tip of a branch that may be written to; `ReadOnlyError` when the status forbids it."""

    @abstractmethod
    def require_tip(self, branch: str, expected: ObjectId) -> None:
        """Refuse what `commit` would refuse because of where the branch is now.

        Raises
        ------
        ConflictError, RefNotFoundError
            As `commit`.
        """

    @abstractmethod
    def tag_target(self, name: str) -> ObjectId:
        """Target of a tag; `RefNotFoundError` when there is none."""

    @abstractmethod
    def snapshot(self, snapshot_id: ObjectId) -> SnapshotRecord:
        """Record of a snapshot; `SnapshotNotFoundError` when there is none."""

    @abstractmethod
    def ancestry(self, snapshot_id: ObjectId) -> Iterable[SnapshotRecord]:
        """A snapshot and its ancestors, newest first."""

    @abstractmethod
    def commits(
        self,
    ) -> tuple[Mapping[str, ObjectId], Mapping[str, ObjectId], list[SnapshotRecord]]:
        """Branches, tags and every snapshot they reach, newest first, of one state."""

    @abstractmethod
    def branch_ancestry(self, name: str) -> Iterable[SnapshotRecord]:
        """The tip of a branch and its ancestors, newest first, of one state."""

    @abstractmethod
    def commit(self, branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        """Move a branch from `expected` to a new snapshot.

        Raises
        ------
        ConflictError
            Kind ``commit-conflict`` when the branch points elsewhere by now; in spec 1 also, with
            `actual_parent` None, when it is gone.
        RefNotFoundError
            Kind ``branch-not-found``, in spec 2, when the branch is gone.
        """

    def amend(self, branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        """Replace the tip of a branch by a snapshot with the same parent."""
        refuse(Capability.AMEND)

    @abstractmethod
    def detach(self, record: SnapshotRecord) -> None:
        """Register a snapshot that no branch points to."""

    @abstractmethod
    def has_published(self, branch: str | None, record: SnapshotRecord) -> bool:
        """Whether `commit`, `amend` or (without a branch) `detach` of a snapshot was carried out.

        Also when others have committed since.
        """

    @abstractmethod
    def create_branch(self, name: str, target: ObjectId) -> None:
        """Create a branch."""

    @abstractmethod
    def reset_branch(self, name: str, target: ObjectId, expected: ObjectId | None) -> None:
        """Point a branch to any snapshot, if it still points to `expected` (when given)."""

    @abstractmethod
    def delete_branch(self, name: str) -> None:
        """Delete a branch."""

    @abstractmethod
    def create_tag(self, name: str, target: ObjectId) -> None:
        """Create a tag."""

    @abstractmethod
    def delete_tag(self, name: str) -> None:
        """Delete a tag; its name cannot be used again."""

    @abstractmethod
    def config(self) -> dict[str, Any] | None:
        """Stored configuration in its plain form, None when there is none."""

    @abstractmethod
    def save_config(self, config: dict[str, Any]) -> None:
        """Replace the stored configuration.

        Raises
        ------
        ConflictError
            Kind ``config-updated``, spec 1 only: it changed since this ref store read it.
        """
