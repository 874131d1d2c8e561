"""Branches and tags of a repository."""

from __future__ import annotations

from icechunk.core.ids import id_text, parse_object_id
from icechunk.core.runtime import twin
from icechunk.engine.context import RepoContext
from icechunk.repository.unanswered import Unanswered


class Refs:
    """Names for snapshots: branches move, tags do not.

    A call that was interrupted or cancelled may be repeated: when it had made its change already,
    the same call on the same handle does nothing.
    """

    _ctx: RepoContext
    _unanswered: Unanswered

    def list_branches(self) -> set[str]:
        """Names of all branches."""
        return set(self._ctx.ref_store.branches())

    def lookup_branch(self, branch: str) -> str:
        """Id of the snapshot that a branch points to.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        """
        return id_text(self._ctx.ref_store.branch_tip(branch))

    def create_branch(self, branch: str, snapshot_id: str) -> None:
        """Make a branch at a snapshot.

        Raises
        ------
        AlreadyExistsError
            Kind ``branch-already-exists``.
        SnapshotNotFoundError
            When there is no such snapshot.
        """
        ref_store, target = self._ctx.ref_store, parse_object_id(snapshot_id)
        self._unanswered.make(
            ("create_branch", branch, snapshot_id),
            lambda: ref_store.create_branch(branch, target),
            lambda: ref_store.branches().get(branch) == target,
        )

    def reset_branch(
        self, branch: str, snapshot_id: str, *, from_snapshot_id: str | None = None
    ) -> None:
        """Point a branch to any snapshot.

        Parameters
        ----------
        branch, snapshot_id : str
            The branch and its new tip.
        from_snapshot_id : str, optional
            Only if the branch points there at this moment.

        Raises
        ------
        ConflictError
            The branch points elsewhere than `from_snapshot_id`.
        """
        expected = None if from_snapshot_id is None else parse_object_id(from_snapshot_id)
        ref_store, target = self._ctx.ref_store, parse_object_id(snapshot_id)
        self._unanswered.make(
            ("reset_branch", branch, snapshot_id, str(from_snapshot_id)),
            lambda: ref_store.reset_branch(branch, target, expected),
            lambda: ref_store.branches().get(branch) == target,
        )

    def delete_branch(self, branch: str) -> None:
        """Remove a branch; its snapshots stay until garbage collection.

        Raises
        ------
        SessionStateError
            Kind ``cannot-delete-main``.
        RefNotFoundError
            When there is no such branch.
        """
        ref_store = self._ctx.ref_store
        self._unanswered.make(
            ("delete_branch", branch),
            lambda: ref_store.delete_branch(branch),
            lambda: branch not in ref_store.branches(),
        )

    def list_tags(self) -> set[str]:
        """Names of all tags."""
        return set(self._ctx.ref_store.tags())

    def lookup_tag(self, tag: str) -> str:
        """Id of the snapshot that a tag points to.

        Raises
        ------
        RefNotFoundError
            When there is no such tag.
        """
        return id_text(self._ctx.ref_store.tag_target(tag))

    def create_tag(self, tag: str, snapshot_id: str) -> None:
        """Give a snapshot a name that never changes.

        Raises
        ------
        AlreadyExistsError
            Kinds ``tag-already-exists``, and ``tag-previously-deleted``: names are not reused.
        """
        ref_store, target = self._ctx.ref_store, parse_object_id(snapshot_id)
        self._unanswered.make(
            ("create_tag", tag, snapshot_id),
            lambda: ref_store.create_tag(tag, target),
            lambda: ref_store.tags().get(tag) == target,
        )

    def delete_tag(self, tag: str) -> None:
        """Remove a tag; its name can never be used again.

        Raises
        ------
        RefNotFoundError
            When there is no such tag.
        """
        ref_store = self._ctx.ref_store
        self._unanswered.make(
            ("delete_tag", tag),
            lambda: ref_store.delete_tag(tag),
            lambda: tag not in ref_store.tags(),
        )

    list_branches_async = twin(list_branches)
    lookup_branch_async = twin(lookup_branch)
    create_branch_async = twin(create_branch)
    reset_branch_async = twin(reset_branch)
    delete_branch_async = twin(delete_branch)
    list_tags_async = twin(list_tags)
    lookup_tag_async = twin(lookup_tag)
    create_tag_async = twin(create_tag)
    delete_tag_async = twin(delete_tag)
