"""`Repository`: create and open repositories, and check out sessions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from icechunk.config.flags import Attribution
from icechunk.config.rendering import Entry, Shown, block_lines
from icechunk.config.repository import RepositoryConfig
from icechunk.conflicts.model import ConflictSolver
from icechunk.core.runtime import twin
from icechunk.engine.context import RepoContext
from icechunk.engine.preload import preloading
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.refs.capabilities import Capability
from icechunk.repository.admin import Administration
from icechunk.repository.history import SELECTORS, History
from icechunk.repository.opening import Opening
from icechunk.repository.refs import Refs
from icechunk.repository.upkeep import Upkeep
from icechunk.session import Session
from icechunk.spec.metadata import json_object
from icechunk.spec.spec_version import SpecVersion
from icechunk.storage.base import Storage
from icechunk.store.zarr_store import IcechunkStore


class Repository(Opening, Refs, History, Administration, Upkeep, Shown):
    """Handle on one repository in one storage.

    Made by `create`, `open` or `open_or_create`; holds no state that could grow stale, so it can be
    kept, shared between threads and pickled.
    """

    __module__ = "icechunk"

    # -- what it is ------------------------------------------------------------------------------

    @property
    def storage(self) -> Storage:
        """Where the repository is."""
        return self._ctx.storage

    @property
    def config(self) -> RepositoryConfig:
        """A copy of the effective configuration; changing it changes nothing."""
        return copy.deepcopy(self._ctx.config)

    @property
    def attribution(self) -> Attribution:
        """Labels given when the repository was opened."""
        return Attribution() if self._attribution is None else self._attribution

    @property
    def spec_version(self) -> SpecVersion:
        """Format version on disk."""
        return SpecVersion(self._ctx.ref_store.spec_version)

    @property
    def authorized_virtual_container_prefixes(self) -> set[str]:
        """URL prefixes whose virtual chunks may be read."""
        return set(self._ctx.authorized)

    def set_default_commit_metadata(self, metadata: dict[str, Any]) -> None:
        """Metadata to merge under that of every commit of sessions opened from here on."""
        self._ctx = self._ctx.with_metadata(json_object(metadata))

    def default_commit_metadata(self) -> dict[str, Any]:
        """What `set_default_commit_metadata` was given."""
        return dict(self._ctx.default_metadata)

    def _path(self) -> str:
        return f"icechunk.Repository ({self.spec_version})"

    def _entries(self) -> Iterable[Entry]:
        return [Entry("storage", self._ctx.storage), Entry("config", self._ctx.config)]

    def __str__(self) -> str:
        storage = "".join(f"    {line}\n" for line in block_lines(self._ctx.storage))
        return f"<{self._path()}>\nstorage:\n{storage}config: <RepositoryConfig ...>\n"

    def __repr__(self) -> str:
        return str(self)

    def __getstate__(self) -> tuple[RepoContext, Attribution | None]:
        return self._ctx, self._attribution

    def __setstate__(self, state: tuple[RepoContext, Attribution | None]) -> None:
        Opening.__init__(self, *state)

    # -- sessions --------------------------------------------------------------------------------

    def readonly_session(
        self,
        branch: str | None = None,
        *,
        tag: str | None = None,
        snapshot_id: str | None = None,
        snapshot: str | None = None,
        as_of: datetime | None = None,
    ) -> Session:
        """Check out a state to read.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            Exactly one of them; `snapshot` is an older name of `snapshot_id`.
        as_of : datetime.datetime, optional
            With a branch: its newest snapshot written at or before this time.

        Raises
        ------
        RefNotFoundError, SnapshotNotFoundError
            For an unknown selector.
        """
        if snapshot is not None and snapshot_id is not None:
            raise ValueError(SELECTORS)
        wanted = snapshot_id if snapshot is None else snapshot
        if as_of is not None:
            if branch is None or tag is not None or wanted is not None:
                raise ValueError("as_of argument must be provided together with a branch name")
            base = self._resolve_at(branch, as_of)
        else:
            base = self._resolve(branch, tag, wanted)
        transaction = Transaction(self._ctx, base, mode=SessionMode.readonly)
        return Session(preloading(transaction), self)

    def writable_session(self, branch: str) -> Session:
        """Check out the tip of a branch to change it.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        ReadOnlyError
            Kind ``read-only-repository`` when the repository's status forbids writing.
        """
        base = self._ctx.ref_store.writable_tip(branch)
        transaction = Transaction(self._ctx, base, mode=SessionMode.writable, branch=branch)
        return Session(preloading(transaction), self)

    def rearrange_session(self, branch: str) -> Session:
        """Check out the tip of a branch to move and rename nodes, and nothing else.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        ReadOnlyError
            Kind ``read-only-repository``.
        SessionStateError
            Kind ``feature-flag-disabled`` when the flag ``move_node`` is off.
        FormatError
            Kind ``unsupported-spec-version`` for a repository of spec version 1.
        """
        ref_store = self._ctx.ref_store
        ref_store.require(Capability.MOVE_NODES)
        base = ref_store.writable_tip(branch)
        ref_store.state().require_flag("move_node", "create rearrange session")
        transaction = Transaction(self._ctx, base, mode=SessionMode.rearrange, branch=branch)
        return Session(transaction, self)

    @contextmanager
    def transaction(
        self,
        branch: str,
        *,
        message: str,
        metadata: dict[str, Any] | None = None,
        rebase_with: ConflictSolver | None = None,
        rebase_tries: int = 1_000,
    ) -> Iterator[IcechunkStore]:
        """Commit what a ``with`` block writes, or nothing when it raises.

        Yields
        ------
        IcechunkStore
            Store of a fresh session on the branch.
        """
        session = self.writable_session(branch)
        yield session.store
        session.commit(message, metadata, rebase_with=rebase_with, rebase_tries=rebase_tries)

    readonly_session_async = twin(readonly_session)
    writable_session_async = twin(writable_session)
    rearrange_session_async = twin(rearrange_session)
