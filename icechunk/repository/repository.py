"""`Repository`: the public handle on one repository in one storage.

Its methods are thin: the work is done by functions of `engine`, `maintenance`, `refs` and the other
modules of this package. Modules that few programs need are imported by the methods that use them,
since every import delays the start of every program.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from icechunk.config.flags import Attribution, FeatureFlag, feature_flags
from icechunk.config.rendering import Entry, Shown, block_lines
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import resolve
from icechunk.config.serde import from_plain, to_plain
from icechunk.core.clock import from_datetime
from icechunk.core.ids import id_text, parse_object_id
from icechunk.core.runtime import on_front, twin
from icechunk.core.streams import AsyncCloseableIterator
from icechunk.engine.context import RepoContext
from icechunk.engine.preload import preloading
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.capabilities import Capability
from icechunk.refs.open import detect, open_ref_store
from icechunk.refs.stash_names import is_stash
from icechunk.repository import history as histories
from icechunk.repository import opening
from icechunk.repository.unanswered import Unanswered
from icechunk.session import Session
from icechunk.spec.metadata import json_object
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.repo.status import RepoStatus
from icechunk.spec.spec_version import SpecVersion
from icechunk.storage.base import Storage
from icechunk.store.zarr_store import IcechunkStore

if TYPE_CHECKING:
    from typing import Self

    from icechunk.conflicts.decision import Decision
    from icechunk.conflicts.model import Conflict, ConflictSolver
    from icechunk.core.ids import ObjectId
    from icechunk.display.graph import AncestryGraph
    from icechunk.maintenance.gc_summary import GCSummary
    from icechunk.maintenance.storage_stats import ChunkStorageStats, PackUsage
    from icechunk.merging.bisect import Bisection
    from icechunk.merging.blame import Blame
    from icechunk.merging.result import MergeResult
    from icechunk.merging.stash import StashInfo
    from icechunk.merging.undo import Undo
    from icechunk.repository.commit_table import CommitTable
    from icechunk.repository.transaction_log import TransactionLogInfo
    from icechunk.spec.manifest.file_info import ManifestFileInfo
    from icechunk.spec.repo.operations import Update
    from icechunk.spec.repo.snapshot_table import SnapshotRecord
    from icechunk.spec.transaction_log.diff import Diff

_COMPRESSED = 512 * 1024 * 1024
_DECODED = 4 * 1024 * 1024 * 1024


class Repository(Shown):
    """Handle on one repository in one storage.

    Made by `create`, `open` or `open_or_create`. It caches nothing that can become outdated, so it
    can be kept, shared between threads and pickled.
    """

    __module__ = "icechunk"

    def __init__(self, repository: RepoContext, attribution: Attribution | None = None) -> None:
        self._ctx = repository
        self._attribution = attribution
        self._unanswered = Unanswered()

    def __getstate__(self) -> tuple[RepoContext, Attribution | None]:
        return self._ctx, self._attribution

    def __setstate__(self, state: tuple[RepoContext, Attribution | None]) -> None:
        Repository.__init__(self, *state)

    @property
    def _repository(self) -> Self:
        """What the reference library calls its native handle."""
        return self

    def _info(self, record: SnapshotRecord) -> SnapshotInfo:
        return SnapshotInfo.of(record, partial(histories.manifest_files, self._ctx))

    def _drop_cached_files(self) -> None:
        """Continue with empty caches, since cached files may have been deleted or changed."""
        ctx = self._ctx
        files = RepositoryFiles(ctx.storage, ctx.settings, ctx.files.dialect)
        self._ctx = replace(ctx, files=files, ref_store=ctx.ref_store.under(files, ctx.settings))

    # -- create and open -------------------------------------------------------------------------

    if not TYPE_CHECKING:

        @classmethod
        @overload  # what tools that read signatures may know from early versions
        def create(cls, storage, config=None, virtual_chunk_credentials=None): ...

    @classmethod
    def create(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        spec_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Create a repository in an empty storage location.

        Parameters
        ----------
        storage : Storage
            Location, e.g. ``icechunk.local_filesystem_storage(path)``.
        config : RepositoryConfig, optional
            Configuration, stored with the repository.
        authorize_virtual_chunk_access : dict, optional
            Credentials by URL prefix of the virtual chunk containers that may be read.
        spec_version : int, optional
            Format version to write, 2 by default; use 1 when icechunk 1.x reads the repository too.
        check_clean_root : bool
            Refuse a location that is not empty.
        attribution : Attribution, optional
            Labels for access logs of object stores.
        virtual_chunk_credentials : mapping, optional
            Older form of `authorize_virtual_chunk_access`, by name of the container.

        Raises
        ------
        InvalidInputError
            Kind ``parent-directory-not-clean``.
        ConflictError
            Kind ``repo-info-updated`` when another process created a repository here first.

        Examples
        --------
        >>> import icechunk
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> repo.list_branches()
        {'main'}
        """
        ctx = opening.create(
            storage,
            config,
            authorize_virtual_chunk_access,
            spec_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials,
        )
        return cls(ctx, attribution)

    if not TYPE_CHECKING:

        @classmethod
        @overload  # what tools that read signatures may know from early versions
        def open(cls, storage, config=None, virtual_chunk_credentials=None): ...

    @classmethod
    def open(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open an existing repository.

        Parameters
        ----------
        storage : Storage
            Location of the repository.
        config : RepositoryConfig, optional
            Overrides the stored configuration field by field, for this handle only.
        authorize_virtual_chunk_access : dict, optional
            Credentials by URL prefix of the virtual chunk containers that may be read.
        attribution : Attribution, optional
            Labels for access logs of object stores.
        virtual_chunk_credentials : mapping, optional
            Older form of `authorize_virtual_chunk_access`, by name of the container.

        Raises
        ------
        RepositoryNotFoundError
            When the storage holds no repository.
        FormatError
            When its files are damaged or have an unknown version.

        Notes
        -----
        A malicious metadata file of a few kilobytes can decompress to 2 GiB, the maximum of the
        format. The environment variable ``ICECHUNK_MAX_METADATA_BYTES`` caps the decompressed size
        of one metadata file; larger files are refused. Decoding a hierarchy takes up to 25 times
        that many bytes of memory, decoding other files about twice as many.
        """
        ctx = opening.open_existing(
            storage,
            config,
            authorize_virtual_chunk_access,
            attribution,
            virtual_chunk_credentials,
        )
        return cls(ctx, attribution)

    if not TYPE_CHECKING:

        @classmethod
        @overload  # what tools that read signatures may know from early versions
        def open_or_create(cls, storage, config=None, virtual_chunk_credentials=None): ...

    @classmethod
    def open_or_create(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        create_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open the repository in a storage, or create one; see `open` and `create`."""
        opening.check_arguments(storage, config, attribution)
        opening.version_to_write(create_version)
        if detect(storage) is not None:
            return cls.open(
                storage,
                config,
                authorize_virtual_chunk_access,
                attribution,
                virtual_chunk_credentials=virtual_chunk_credentials,
            )
        return cls.create(
            storage,
            config,
            authorize_virtual_chunk_access,
            create_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    @staticmethod
    def exists(storage: Storage, storage_settings: Any = None) -> bool:
        """Whether a storage holds a repository."""
        opening.check_storage(storage)
        return detect(storage) is not None

    @staticmethod
    def fetch_spec_version(storage: Storage, storage_settings: Any = None) -> SpecVersion | None:
        """Format version of the repository in a storage; None when it holds no repository."""
        opening.check_storage(storage)
        version = detect(storage)
        return None if version is None else SpecVersion(version)

    @staticmethod
    def fetch_config(storage: Storage) -> RepositoryConfig | None:
        """Stored configuration; None when none was saved.

        Raises
        ------
        RepositoryNotFoundError
            When the storage holds no repository.
        """
        opening.check_storage(storage)
        plain = open_ref_store(storage, resolve(None)).config()
        return None if plain is None else from_plain(plain)

    def save_config(self) -> None:
        """Store this handle's configuration with the repository."""
        self._ctx.ref_store.save_config(to_plain(self._ctx.config))

    def reopen(
        self,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open another handle on the same storage with other settings.

        Parameters
        ----------
        config : RepositoryConfig, optional
            Overrides the stored configuration field by field.
        authorize_virtual_chunk_access : dict, optional
            Credentials by URL prefix of the virtual chunk containers that may be read; those of
            this handle by default.
        """
        again = type(self).open(
            self._ctx.storage, config, authorize_virtual_chunk_access, self._attribution
        )
        if authorize_virtual_chunk_access is None:
            again._ctx = replace(again._ctx, authorized=self._ctx.authorized)
        return again

    @staticmethod
    async def exists_async(storage: Storage, storage_settings: Any = None) -> bool:
        """Whether a storage holds a repository."""
        return await on_front(Repository.exists, storage, storage_settings)

    @staticmethod
    async def fetch_spec_version_async(
        storage: Storage, storage_settings: Any = None
    ) -> SpecVersion | None:
        """Format version of the repository in a storage; None when it holds no repository."""
        return await on_front(Repository.fetch_spec_version, storage, storage_settings)

    @staticmethod
    async def fetch_config_async(storage: Storage) -> RepositoryConfig | None:
        """Stored configuration; None when none was saved."""
        return await on_front(Repository.fetch_config, storage)

    @classmethod
    async def create_async(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        spec_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Create a repository; see `create`."""
        return await on_front(
            cls.create,
            storage,
            config,
            authorize_virtual_chunk_access,
            spec_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    @classmethod
    async def open_async(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open an existing repository; see `open`."""
        return await on_front(
            cls.open,
            storage,
            config,
            authorize_virtual_chunk_access,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    @classmethod
    async def open_or_create_async(
        cls,
        storage: Storage,
        config: RepositoryConfig | None = None,
        authorize_virtual_chunk_access: Mapping[str, Any] | None = None,
        create_version: SpecVersion | int | None = None,
        check_clean_root: bool = True,
        attribution: Attribution | None = None,
        *,
        virtual_chunk_credentials: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open the repository in a storage, or create one; see `open_or_create`."""
        return await on_front(
            cls.open_or_create,
            storage,
            config,
            authorize_virtual_chunk_access,
            create_version,
            check_clean_root,
            attribution,
            virtual_chunk_credentials=virtual_chunk_credentials,
        )

    reopen_async = twin(reopen)
    save_config_async = twin(save_config)

    # -- properties ------------------------------------------------------------------------------

    @property
    def storage(self) -> Storage:
        """Storage that holds the repository."""
        return self._ctx.storage

    @property
    def config(self) -> RepositoryConfig:
        """A copy of the effective configuration; changing it has no effect on this handle."""
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
        """Set the metadata that later sessions add to every commit; their own keys win."""
        self._ctx = self._ctx.with_metadata(json_object(metadata))

    def default_commit_metadata(self) -> dict[str, Any]:
        """Metadata set by `set_default_commit_metadata`."""
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
        """Open a read-only session on a branch, tag or snapshot.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            Exactly one of them; `snapshot` is an older name of `snapshot_id`.
        as_of : datetime.datetime, optional
            Together with `branch`: use its newest snapshot written at or before this time.

        Raises
        ------
        RefNotFoundError, SnapshotNotFoundError
            When the branch, tag or snapshot does not exist.
        """
        if snapshot is not None and snapshot_id is not None:
            raise ValueError(histories.SELECTORS)
        given = snapshot_id if snapshot is None else snapshot
        if as_of is not None:
            if branch is None or tag is not None or given is not None:
                raise ValueError("as_of argument must be provided together with a branch name")
            base = histories.resolve_at(self._ctx, branch, as_of)
        else:
            base = histories.resolve(self._ctx, branch, tag, given)
        transaction = Transaction(self._ctx, base, mode=SessionMode.readonly)
        return Session(preloading(transaction), self)

    def writable_session(self, branch: str) -> Session:
        """Open a session on the tip of a branch to write data and commit it.

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
        """Open a session on the tip of a branch to move and rename nodes, without writing data.

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
        """Commit what a ``with`` block writes; commit nothing when the block raises.

        Parameters
        ----------
        branch : str
            Branch to commit to.
        message, metadata, rebase_with, rebase_tries
            See `Session.commit`.

        Yields
        ------
        IcechunkStore
            Store of a new session on the branch.
        """
        session = self.writable_session(branch)
        yield session.store
        session.commit(message, metadata, rebase_with=rebase_with, rebase_tries=rebase_tries)

    readonly_session_async = twin(readonly_session)
    writable_session_async = twin(writable_session)
    rearrange_session_async = twin(rearrange_session)

    # -- branches and tags -----------------------------------------------------------------------
    #
    # An interrupt may arrive after the repository was changed. A change that is called again on the
    # same handle with the same arguments then succeeds without a second change (`Unanswered`).

    def list_branches(self) -> set[str]:
        """Names of all branches, those that hold stashes left out."""
        return {name for name in self._ctx.ref_store.branches() if not is_stash(name)}

    def lookup_branch(self, branch: str) -> str:
        """Id of the snapshot at the tip of a branch.

        Raises
        ------
        RefNotFoundError
            When there is no such branch.
        """
        return id_text(self._ctx.ref_store.branch_tip(branch))

    def create_branch(self, branch: str, snapshot_id: str) -> None:
        """Create a branch at a snapshot.

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
            Reset only if the branch points to this snapshot now.

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
        """Delete a branch; its snapshots stay until garbage collection.

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
        """Create a tag at a snapshot; a tag never moves.

        Raises
        ------
        AlreadyExistsError
            Kind ``tag-already-exists``; kind ``tag-previously-deleted``, since the name of a
            deleted tag cannot be used again.
        """
        ref_store, target = self._ctx.ref_store, parse_object_id(snapshot_id)
        self._unanswered.make(
            ("create_tag", tag, snapshot_id),
            lambda: ref_store.create_tag(tag, target),
            lambda: ref_store.tags().get(tag) == target,
        )

    def delete_tag(self, tag: str) -> None:
        """Delete a tag; its name cannot be used again.

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

    # -- history ---------------------------------------------------------------------------------

    def ancestry(
        self,
        *,
        branch: str | None = None,
        tag: str | None = None,
        snapshot_id: str | None = None,
        snapshot: str | None = None,
    ) -> histories.AncestryIterator:
        """A snapshot and its ancestors, newest first.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            Exactly one of them; `snapshot` is an older name of `snapshot_id`.

        Returns
        -------
        AncestryIterator of SnapshotInfo
            For ``for``, ``async for`` and indexing.

        Raises
        ------
        RefNotFoundError, SnapshotNotFoundError
            At the call, when the branch, tag or snapshot does not exist.
        """
        ref_store = self._ctx.ref_store
        if branch is not None and tag is None and snapshot_id is None and snapshot is None:
            records = ref_store.branch_ancestry(branch)
        else:
            start = histories.resolve(self._ctx, branch, tag, snapshot_id, snapshot)
            records = ref_store.ancestry(start)
        return histories.AncestryIterator(records, partial(histories.manifest_files, self._ctx))

    def async_ancestry(
        self,
        *,
        branch: str | None = None,
        tag: str | None = None,
        snapshot_id: str | None = None,
    ) -> histories.AncestryIterator:
        """Same as `ancestry`, for ``async for``."""
        return self.ancestry(branch=branch, tag=tag, snapshot_id=snapshot_id)

    def ancestry_graph(
        self,
        *,
        branch: str | None = None,
        tag: str | None = None,
        snapshot_id: str | None = None,
        plain: bool = False,
    ) -> AncestryGraph:
        """Draw the history, newest commits first, a column per branch.

        Parameters
        ----------
        branch, tag, snapshot_id : str
            At most one of them: draw only its ancestry. By default, draw every commit that
            branches and tags reach.
        plain : bool
            Print without terminal colours.

        Returns
        -------
        AncestryGraph
            ``print`` shows it as text, notebooks as a picture.
        """
        return histories.ancestry_graph(self._ctx, branch, tag, snapshot_id, plain=plain)

    def lookup_snapshot(self, snapshot_id: str) -> SnapshotInfo:
        """Id, parent, time, message and metadata of one snapshot.

        Raises
        ------
        SnapshotNotFoundError
            When there is no such snapshot.
        """
        record = self._ctx.ref_store.snapshot(parse_object_id(snapshot_id))
        return self._info(record)

    def diff(
        self,
        *,
        from_branch: str | None = None,
        from_tag: str | None = None,
        from_snapshot_id: str | None = None,
        from_snapshot: str | None = None,
        to_branch: str | None = None,
        to_tag: str | None = None,
        to_snapshot_id: str | None = None,
        to_snapshot: str | None = None,
        any_states: bool = False,
    ) -> Diff:
        """Difference of two states by path.

        Parameters
        ----------
        from_branch, from_tag, from_snapshot_id : str
            The older state; exactly one of them.
        to_branch, to_tag, to_snapshot_id : str
            The newer state; exactly one of them.
        from_snapshot, to_snapshot : str
            Older names of `from_snapshot_id` and `to_snapshot_id`.
        any_states : bool
            Compare any two states by their content, also when the first is not an ancestor of
            the second.

        Raises
        ------
        InvalidInputError
            Kind ``bad-snapshot-chain-for-diff`` when the older state is not a proper ancestor
            of the newer one and `any_states` is not set.
        """
        from icechunk.engine.diffing import diff

        before = histories.resolve(
            self._ctx, from_branch, from_tag, from_snapshot_id, from_snapshot
        )
        after = histories.resolve(self._ctx, to_branch, to_tag, to_snapshot_id, to_snapshot)
        return diff(self._ctx, before, after, any_states=any_states)

    def history(self) -> dict[str, Any]:
        """Branches, tags and every commit they and merges reach, read at one instant.

        Returns
        -------
        dict
            ``branches`` and ``tags`` (dict of name to snapshot id) and ``commits`` (list of
            `SnapshotInfo`, newest first).
        """
        branches, tags, records = histories.commits(self._ctx)
        return {
            "branches": {name: id_text(target) for name, target in branches.items()},
            "tags": {name: id_text(target) for name, target in tags.items()},
            "commits": [self._info(record) for record in records],
        }

    def transaction_log(self, snapshot_id: str) -> TransactionLogInfo:
        """Nodes and chunks that a commit touched, by node id.

        Where expiration removed ancestors of the snapshot, what they touched is included. `diff`
        reports changes by path instead; `inspect_transaction_log` shows the file as JSON.

        Parameters
        ----------
        snapshot_id : str
            The commit.

        Raises
        ------
        StorageError
            Kind ``object-not-found``, also for the first snapshot of a repository of format 1.

        Examples
        --------
        >>> import icechunk, zarr
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> with repo.transaction("main", message="ones") as store:
        ...     zarr.create_array(store, name="a", shape=(4,), chunks=(2,), dtype="i4")[:2] = 1
        >>> log = repo.transaction_log(repo.lookup_branch("main"))
        >>> [array] = log.new_arrays
        >>> log.updated_chunks[array].tolist()
        [[0]]
        """
        from icechunk.repository.transaction_log import transaction_log

        return transaction_log(self._ctx, parse_object_id(snapshot_id))

    def commit_table(self, snapshot_id: str | None = None) -> CommitTable:
        """All commits, branches and tags as columns, read at one instant.

        Parameters
        ----------
        snapshot_id : str, optional
            Must be among the commits. A repository of format 1 lists only what branches and tags
            reach; the ancestry of this snapshot is added there.

        Raises
        ------
        SnapshotNotFoundError
            When there is no such snapshot.

        Examples
        --------
        >>> import icechunk
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> table = repo.commit_table()
        >>> row = table.find(table.branches["main"])
        >>> table[row].message
        'Repository initialized'
        """
        from icechunk.repository.commit_table import commit_table

        start = None if snapshot_id is None else parse_object_id(snapshot_id)
        return commit_table(self._ctx, start, partial(histories.manifest_files, self._ctx))

    def rebase_conflicts(self, branch: str, onto: str) -> list[Conflict]:
        """Conflicts that a rebase of a branch onto another would meet; nothing is changed.

        The commits since the last common ancestor are taken together on either side.
        `Session.conflicts` does the same for the uncommitted changes of a session.

        Parameters
        ----------
        branch, onto : str
            Names of branches.

        Returns
        -------
        list of Conflict
            Empty when the rebase would pass.

        Raises
        ------
        RefNotFoundError
            For an unknown branch.
        InvalidInputError
            Kind ``not-allowed`` when the branches have no common ancestor.
        SessionStateError
            Kind ``rebase-tx-log-pruned`` when the log of an expired commit is gone.

        Examples
        --------
        >>> import icechunk, zarr
        >>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> repo.create_branch("mine", repo.lookup_branch("main"))
        >>> for branch in ("main", "mine"):
        ...     with repo.transaction(branch, message="add a") as store:
        ...         array = zarr.create_array(store, name="a", shape=(4,), dtype="i4")
        >>> [conflict.path for conflict in repo.rebase_conflicts("mine", "main")]
        ['/', '/a']
        """
        from icechunk.engine.branch_rebase import rebase_conflicts

        ref_store = self._ctx.ref_store
        return rebase_conflicts(self._ctx, ref_store.branch_tip(branch), ref_store.branch_tip(onto))

    ancestry_graph_async = twin(ancestry_graph)
    lookup_snapshot_async = twin(lookup_snapshot)
    diff_async = twin(diff)
    transaction_log_async = twin(transaction_log)
    commit_table_async = twin(commit_table)
    rebase_conflicts_async = twin(rebase_conflicts)

    # -- merges ----------------------------------------------------------------------------------

    def merge(
        self,
        source: str | Sequence[str],
        into: str = "main",
        *,
        message: str | None = None,
        metadata: dict[str, Any] | None = None,
        fast_forward: str = "auto",
        squash: bool = False,
        prefer: str | None = None,
        decisions: Iterable[Decision | Mapping[str, Any]] = (),
        cells: str = "never",
        tolerance: Mapping[str, float] | None = None,
        allow_unrelated: bool = False,
        dry_run: bool = False,
        rebase_tries: int = 1000,
    ) -> MergeResult:
        """Merge branches, tags or snapshots into a branch.

        What both sides changed since their merge base is compared node by node (by id), key by key
        and chunk by chunk; equal changes do not conflict. Nothing is changed when conflicts are
        left. Chunks are not copied. Open sessions are not touched.

        Parameters
        ----------
        source : str or sequence of str
            Branch, tag or snapshot id; several are merged into one commit.
        into : str
            Branch that the result becomes the tip of.
        message : str, optional
            Message of the merge commit; "Merge branch 'f' into main" by default.
        metadata : dict, optional
            Metadata of the merge commit.
        fast_forward : {"auto", "never", "only"}
            ``"auto"`` moves the branch without a commit where it has no commits of its own;
            ``"never"`` always makes a commit; ``"only"`` raises where a commit is needed.
        squash : bool
            Do not record the source as a parent.
        prefer : {"source", "target"}, optional
            The side to take where both changed the same thing and no decision covers it.
        decisions : iterable of Decision or mapping
            Decisions about single conflicts; ``"ours"`` is the source, ``"theirs"`` the target.
        cells : {"never", "auto"}
            ``"auto"`` merges chunks that both sides wrote cell by cell, compared by bit pattern;
            `prefer` is about the cells then that both changed to different values. Such chunks are
            read and written; a virtual one becomes a chunk of the repository.
        tolerance : mapping, optional
            ``{"abs": 1e-6, "rel": 1e-9}``: of cells that both changed, those that are as near each
            other as this keep the value of the target.
        allow_unrelated : bool
            Allow histories that have no commit in common.
        dry_run : bool
            Change nothing, and return what a merge would do, conflicts included.
        rebase_tries : int
            How often to merge again when other writers move the branch meanwhile.

        Returns
        -------
        MergeResult
            `outcome` is ``"merged"``, ``"fast-forward"`` or ``"up-to-date"``; of a dry run also
            ``"conflicts"``.

        Raises
        ------
        MergeConflictError
            Conflicts are left; nothing was changed.
        RefNotFoundError
            There is no such branch, tag or snapshot.
        InvalidInputError
            Kinds ``unrelated-histories`` and ``fast-forward-only``.

        Examples
        --------
        >>> repo.merge("feature", dry_run=True).conflicts  # doctest: +SKIP
        []
        >>> repo.merge("feature", into="main").outcome  # doctest: +SKIP
        'merged'
        """
        from icechunk.merging.merge import MergeOptions, merge
        from icechunk.merging.revisions import find_source
        from icechunk.merging.verdicts import decisions_of

        names = [source] if isinstance(source, str) else list(source)
        options = MergeOptions(
            fast_forward=fast_forward,
            squash=squash,
            prefer=prefer,
            decisions=decisions_of(decisions),
            cells=cells,
            tolerance=tolerance,
            allow_unrelated=allow_unrelated,
            dry_run=dry_run,
            tries=rebase_tries,
        )
        sources = [find_source(self._ctx, name) for name in names]
        return merge(self._ctx, sources, into, options, message, metadata)

    def merge_session(
        self,
        source: str | Sequence[str],
        into: str = "main",
        *,
        prefer: str | None = None,
        decisions: Iterable[Decision | Mapping[str, Any]] = (),
        cells: str = "never",
        tolerance: Mapping[str, float] | None = None,
        allow_unrelated: bool = False,
    ) -> Session:
        """Open a writable session on a branch that holds a merge as its uncommitted changes.

        Look at the result, decide with `Session.solve` what `Session.conflicts` lists, write to it
        where needed, and `Session.commit`; others see nothing before. Where conflicts are open the
        session has the branch's content. A branch that moves meanwhile, a stash and another process
        (the session can be pickled) keep the decisions.

        Parameters
        ----------
        source : str or sequence of str
            Branch, tag or snapshot id; several are merged into one commit. What it names now is
            merged, also when a branch moves later.
        into : str
            Branch that the result becomes the tip of.
        prefer : {"source", "target"}, optional
            The side to take where both changed the same thing and no decision is about it.
        decisions : iterable of Decision or mapping
            Decisions about single conflicts.
        cells : {"never", "auto"}
            ``"auto"`` merges chunks that both sides wrote cell by cell, see `merge`.
        tolerance : mapping, optional
            How near cells that both changed count as equal, see `merge`.
        allow_unrelated : bool
            Also merge histories that have no commit in common.

        Returns
        -------
        Session
            `Session.merging` says what it merges.

        Raises
        ------
        RefNotFoundError
            There is no such branch, tag or snapshot.
        InvalidInputError
            Kind ``unrelated-histories``.
        SessionStateError
            Kind ``no-changes-to-commit`` when everything is merged already.

        Examples
        --------
        >>> session = repo.merge_session("feature", into="main")  # doctest: +SKIP
        >>> session.solve(prefer="source")  # doctest: +SKIP
        >>> session.commit("Merge branch 'feature' into main")  # doctest: +SKIP
        """
        from icechunk.merging.merge import MergeOptions
        from icechunk.merging.merge_session import open_merge
        from icechunk.merging.revisions import find_source
        from icechunk.merging.verdicts import decisions_of

        names = [source] if isinstance(source, str) else list(source)
        options = MergeOptions(
            prefer=prefer,
            decisions=decisions_of(decisions),
            cells=cells,
            tolerance=tolerance,
            allow_unrelated=allow_unrelated,
        )
        sources = [find_source(self._ctx, name) for name in names]
        return Session(open_merge(self._ctx, sources, into, options), self)

    def merge_base(self, a: str, b: str) -> str | None:
        """Best common ancestor of two states, merges included.

        Parameters
        ----------
        a, b : str
            Branches, tags or snapshot ids.

        Returns
        -------
        str or None
            Snapshot id, the newest where there are several; None for unrelated histories.
        """
        from icechunk.merging.graph import CommitGraph
        from icechunk.merging.revisions import find_snapshot

        ids = find_snapshot(self._ctx, a), find_snapshot(self._ctx, b)
        bases = CommitGraph(self._ctx.ref_store).merge_bases(*ids)
        return id_text(bases[0]) if bases else None

    def cherry_pick(
        self,
        snapshots: str | Sequence[str],
        onto: str = "main",
        *,
        message: str | None = None,
        metadata: dict[str, Any] | None = None,
        prefer: str | None = None,
        decisions: Iterable[Decision | Mapping[str, Any]] = (),
        cells: str = "never",
        tolerance: Mapping[str, float] | None = None,
        dry_run: bool = False,
    ) -> list[MergeResult]:
        """Apply the changes of single commits to a branch.

        Parameters
        ----------
        snapshots : str or sequence of str
            Commits (snapshot ids, or branches or tags for their tips), in the order to apply.
        onto : str
            The branch.
        message : str, optional
            Message of the new commit, for a single one; that of the picked commit by default.
        metadata : dict, optional
            Metadata of the new commits.
        prefer, decisions, cells, tolerance
            As in `merge`; the source is the picked commit.
        dry_run : bool
            Change nothing, and return what would be done.

        Returns
        -------
        list of MergeResult
            One per commit; ``"up-to-date"`` where the branch has its changes already.

        Raises
        ------
        MergeConflictError
            Conflicts are left; nothing was changed.
        InvalidInputError
            For the first commit of a repository, or one whose parent expired.
        """
        from icechunk.merging.merge import MergeOptions
        from icechunk.merging.picks import picks, replay
        from icechunk.merging.verdicts import decisions_of

        options = MergeOptions(
            prefer=prefer,
            decisions=decisions_of(decisions),
            cells=cells,
            tolerance=tolerance,
            dry_run=dry_run,
        )
        steps = picks(self._ctx, self._snapshots(snapshots))
        return replay(self._ctx, steps, onto, options, message, metadata)

    def revert(
        self,
        snapshots: str | Sequence[str],
        on: str = "main",
        *,
        parent: int = 1,
        message: str | None = None,
        metadata: dict[str, Any] | None = None,
        prefer: str | None = None,
        decisions: Iterable[Decision | Mapping[str, Any]] = (),
        cells: str = "never",
        tolerance: Mapping[str, float] | None = None,
        dry_run: bool = False,
    ) -> list[MergeResult]:
        """Undo the changes of single commits by new commits on a branch.

        Parameters
        ----------
        snapshots : str or sequence of str
            Commits, in the order to undo: the newest first.
        on : str
            The branch.
        parent : int
            For a merge commit: the parent to go back to, from 1.
        message, metadata, prefer, decisions, cells, tolerance, dry_run
            As in `cherry_pick`; the source is the state before the commit.

        Returns
        -------
        list of MergeResult
            One per commit; ``"up-to-date"`` where nothing of its changes is left.

        Raises
        ------
        MergeConflictError
            Conflicts are left; nothing was changed.
        InvalidInputError
            For the first commit of a repository, or one whose parent expired.
        """
        from icechunk.merging.merge import MergeOptions
        from icechunk.merging.picks import replay, reversals
        from icechunk.merging.verdicts import decisions_of

        options = MergeOptions(
            prefer=prefer,
            decisions=decisions_of(decisions),
            cells=cells,
            tolerance=tolerance,
            dry_run=dry_run,
        )
        steps = reversals(self._ctx, self._snapshots(snapshots), parent)
        return replay(self._ctx, steps, on, options, message, metadata)

    def squash(
        self,
        branch: str,
        since: str,
        message: str,
        *,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """Replace the commits of a branch after one of its ancestors by a single commit.

        Parameters
        ----------
        branch : str
            The branch.
        since : str
            Branch, tag or snapshot id of the ancestor, which stays.
        message : str
            Message of the new commit.
        metadata : dict, optional
            Metadata of the new commit.

        Returns
        -------
        str
            Id of the new tip, whose tree is that of the former tip.

        Raises
        ------
        InvalidInputError
            `since` is not an ancestor of the branch, or is its tip.
        ConflictError
            The branch moved meanwhile; nothing was changed.
        """
        from icechunk.merging.restore import squash
        from icechunk.merging.revisions import find_snapshot

        ancestor = find_snapshot(self._ctx, since)
        return id_text(squash(self._ctx, branch, ancestor, message, metadata))

    def _snapshots(self, names: str | Sequence[str]) -> list[ObjectId]:
        from icechunk.merging.revisions import find_snapshot

        return [
            find_snapshot(self._ctx, name)
            for name in ([names] if isinstance(names, str) else names)
        ]

    def stashes(self) -> list[StashInfo]:
        """Stashes of all sessions, newest first; see `Session.stash`."""
        from icechunk.merging.stash import stashes

        return stashes(self._ctx)

    def drop_stash(self, stash: int | str = 0) -> StashInfo:
        """Remove a stash; its snapshot stays until garbage collection.

        Parameters
        ----------
        stash : int or str
            Its number, 0 for the newest, or the id of its snapshot.

        Raises
        ------
        RefNotFoundError
            Kind ``ref-not-found``.
        """
        from icechunk.merging.stash import drop_stash

        return drop_stash(self._ctx, stash)

    def blame(
        self, path: str, region: Sequence[slice | int] | None = None, *, ref: str = "main"
    ) -> Blame:
        """Find the commit that wrote each chunk of an array last.

        Reads transaction logs, not chunks. Merges and moves are followed.

        Parameters
        ----------
        path : str
            The array.
        region : sequence of slice or int, optional
            Elements of the array, one item per axis or fewer; all by default.
        ref : str
            Branch, tag or snapshot id to start from.

        Returns
        -------
        Blame
            Chunks and commits as columns; ``print`` shows a table.

        Raises
        ------
        NodeNotFoundError
            There is no such node.
        InvalidInputError
            Kinds ``not-an-array`` and ``invalid-region``.
        """
        from icechunk.merging.blame import blame
        from icechunk.merging.revisions import find_snapshot

        return blame(self._ctx, find_snapshot(self._ctx, ref), path, region)

    def bisect(self, good: str, bad: str, test: Callable[[Session], bool | None]) -> Bisection:
        """Find the commit that made a test fail, by binary search over the commits.

        Parameters
        ----------
        good, bad : str
            Branches, tags or snapshot ids of a state where the test passes and one where it fails.
        test : callable
            Takes a read-only session; returns True when the state is good, False when it is bad,
            None when it cannot be tested.

        Returns
        -------
        Bisection
            `first_bad` has the commit; several when those between them cannot be tested.

        Raises
        ------
        InvalidInputError
            The good state does not come before the bad one.
        """
        from icechunk.merging.bisect import run, start
        from icechunk.merging.graph import CommitGraph
        from icechunk.merging.revisions import find_snapshot

        graph = CommitGraph(self._ctx.ref_store)
        begun = start(graph, find_snapshot(self._ctx, good), find_snapshot(self._ctx, bad))
        return run(graph, begun, lambda one: test(self.readonly_session(snapshot_id=one)))

    def undo(self, *, dry_run: bool = False) -> Undo:
        """Undo the newest commit, amend, merge, reset, or change of a branch or tag.

        Undoing is an operation itself, so a second call restores what the first undid. Garbage
        collections, expirations and snapshots without a branch are skipped.

        Parameters
        ----------
        dry_run : bool
            Change nothing, and return what would be done.

        Returns
        -------
        Undo
            The operation and what undoing it does, in words.

        Raises
        ------
        SessionStateError
            Kind ``not-allowed``: the newest operation cannot be undone, or the repository changed
            since.
        FormatError
            Kind ``unsupported-spec-version`` in format version 1, which has no operations log.
        """
        from icechunk.merging.undo import undo

        return undo(self._ctx, dry_run=dry_run)

    undo_async = twin(undo)
    merge_async = twin(merge)
    merge_session_async = twin(merge_session)
    merge_base_async = twin(merge_base)
    cherry_pick_async = twin(cherry_pick)
    revert_async = twin(revert)
    squash_async = twin(squash)
    stashes_async = twin(stashes)
    drop_stash_async = twin(drop_stash)
    blame_async = twin(blame)
    bisect_async = twin(bisect)

    # -- metadata, status and feature flags (format version 2) -----------------------------------

    def get_metadata(self) -> dict[str, Any]:
        """Metadata of the repository itself."""
        return json_object(self._ctx.ref_store.state().metadata)

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of the metadata of the repository itself."""
        return self.get_metadata()

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Replace the metadata of the repository itself.

        Parameters
        ----------
        metadata : dict
            JSON values.
        """
        given = json_object(metadata)
        self._ctx.ref_store.update(lambda state, stamp: state.with_metadata(given, stamp))

    def update_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Set some keys of the metadata of the repository itself; other keys stay.

        Parameters
        ----------
        metadata : dict
            JSON values; nested dicts are replaced, not merged.

        Returns
        -------
        dict
            All metadata after the change.
        """
        given = json_object(metadata)
        state = self._ctx.ref_store.update(
            lambda state, stamp: state.with_metadata({**state.metadata, **given}, stamp)
        )
        return json_object(state.metadata)

    def get_status(self) -> RepoStatus:
        """Whether the repository may be changed."""
        return RepoStatus.of(self._ctx.ref_store.state().status)

    @property
    def status(self) -> RepoStatus:
        """Whether the repository may be changed."""
        return self.get_status()

    def set_status(self, status: RepoStatus) -> None:
        """Allow or forbid changes by any writer.

        Parameters
        ----------
        status : RepoStatus
            E.g. ``RepoStatus(RepoAvailability.read_only, limited_availability_reason="audit")``.
        """
        if not isinstance(status, RepoStatus):
            raise TypeError(f"'{type(status).__name__}' object is not an instance of 'RepoStatus'")
        stored = status.stored()
        self._ctx.ref_store.update(lambda state, stamp: state.with_status(stored, stamp))

    def feature_flags(self) -> list[FeatureFlag]:
        """Features that can be switched on and off, sorted by name."""
        state = self._ctx.ref_store.state()
        flags = feature_flags(state.flags_enabled, state.flags_disabled)
        return sorted(flags, key=lambda flag: flag.name)

    def enabled_feature_flags(self) -> list[FeatureFlag]:
        """Features that are switched on."""
        return [flag for flag in self.feature_flags() if flag.enabled]

    def disabled_feature_flags(self) -> list[FeatureFlag]:
        """Features that are switched off."""
        return [flag for flag in self.feature_flags() if not flag.enabled]

    def set_feature_flag(self, name: str, setting: bool | None) -> None:
        """Switch a feature on or off for every user of the repository.

        Parameters
        ----------
        name : str
            ``move_node``, ``create_tag`` or ``delete_tag``.
        setting : bool or None
            None restores the default.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-feature-flag``.
        """
        if setting is not None and not isinstance(setting, bool):
            raise TypeError(f"'{type(setting).__name__}' object is not an instance of 'bool'")
        self._ctx.ref_store.update(lambda state, stamp: state.with_flag(name, setting, stamp))

    def ops_log(self) -> AsyncCloseableIterator[Update]:
        """Operations log: every change of the repository, newest first.

        Returns
        -------
        AsyncCloseableIterator of Update
            For ``for`` and ``async for``.
        """
        from icechunk.engine.operations import operations
        from icechunk.spec.repo.operations import Update

        return AsyncCloseableIterator(map(Update.of, operations(self._ctx)))

    def ops_log_async(self) -> AsyncCloseableIterator[Update]:
        """Operations log for ``async for``; see `ops_log`."""
        return self.ops_log()

    get_metadata_async = twin(get_metadata)
    set_metadata_async = twin(set_metadata)
    update_metadata_async = twin(update_metadata)
    get_status_async = twin(get_status)
    set_status_async = twin(set_status)
    feature_flags_async = twin(feature_flags)
    enabled_feature_flags_async = twin(enabled_feature_flags)
    disabled_feature_flags_async = twin(disabled_feature_flags)
    set_feature_flag_async = twin(set_feature_flag)

    # -- maintenance -----------------------------------------------------------------------------

    def expire_snapshots(
        self,
        older_than: datetime,
        *,
        delete_expired_branches: bool = False,
        delete_expired_tags: bool = False,
    ) -> set[str]:
        """Remove old snapshots from all histories.

        Files are deleted by `garbage_collect`, not here. Snapshots that branches or tags point to
        stay, and so does the first snapshot of each history.

        Parameters
        ----------
        older_than : datetime.datetime
            Exclusive cut-off, with a time zone.
        delete_expired_branches, delete_expired_tags : bool
            Delete the branches or tags that point to an older snapshot; ``main`` always stays.

        Returns
        -------
        set of str
            Ids of the snapshots that expired.

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-repository``.
        """
        from icechunk.maintenance.expiration import expire_snapshots
        from icechunk.maintenance.limits import truth
        from icechunk.spec.columns.id_columns import column, texts_of

        expired = expire_snapshots(
            self._ctx,
            from_datetime(older_than),
            delete_branches=truth("delete_expired_branches", delete_expired_branches),
            delete_tags=truth("delete_expired_tags", delete_expired_tags),
        )
        self._drop_cached_files()
        return set(texts_of(column(expired)))

    def garbage_collect(
        self,
        delete_object_older_than: datetime,
        *,
        dry_run: bool = False,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
        max_concurrent_deletes: int = 10,
        max_consecutive_delete_failures: int = 50,
        max_concurrent_listings: int | None = None,
    ) -> GCSummary:
        """Delete objects that no branch, tag or young snapshot refers to.

        Choose a cut-off before the start of the oldest session that still writes: the commit of a
        session whose chunks were deleted fails.

        Parameters
        ----------
        delete_object_older_than : datetime.datetime
            Exclusive cut-off, with a time zone; younger objects stay.
        dry_run : bool
            Count what would be deleted without deleting it.
        max_snapshots_in_memory, max_concurrent_manifest_fetches : int
            Maximum number of files read at once.
        max_consecutive_delete_failures : int
            Stop after this many failed deletes in a row.
        max_compressed_manifest_mem_bytes, max_decoded_manifest_mem_bytes : int
            Maximum size of the manifests read at once, compressed and decoded; a larger manifest
            is read alone.
        max_concurrent_deletes, max_concurrent_listings : int
            Accepted for compatibility; the storage decides.

        Returns
        -------
        GCSummary
            Number and size of the deleted objects.

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-repository``.
        StorageError
            Kind ``gc-deletes-failing``; kind ``object-not-found`` when a file that is needed is
            missing, before anything is changed.
        """
        from icechunk.maintenance.garbage_collection import garbage_collect
        from icechunk.maintenance.limits import Limits, failures, positive, truth

        limits = Limits.checked(
            max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches,
        )
        positive("max_concurrent_deletes", max_concurrent_deletes)
        if max_concurrent_listings is not None:
            positive("max_concurrent_listings", max_concurrent_listings)
        summary = garbage_collect(
            self._ctx,
            from_datetime(delete_object_older_than),
            dry_run=truth("dry_run", dry_run),
            limits=limits,
            max_consecutive_failures=failures(max_consecutive_delete_failures),
        )
        self._drop_cached_files()
        return summary

    def rewrite_manifests(
        self,
        message: str,
        *,
        branch: str,
        metadata: dict[str, Any] | None = None,
        commit_method: str = "new_commit",
    ) -> str:
        """Rewrite all manifests of a branch under the present configuration, and commit.

        Parameters
        ----------
        message : str
            Message of the commit.
        branch : str
            Branch to rewrite and commit to.
        metadata : dict, optional
            Metadata of the commit; the splitting rules are added under ``__icechunk``.
        commit_method : str
            ``"new_commit"``, or ``"amend"`` to replace the tip.

        Returns
        -------
        str
            Id of the new tip.

        Raises
        ------
        ValueError
            For another `commit_method`.
        FormatError
            Kind ``unsupported-spec-version`` for an amend in format version 1.
        """
        from icechunk.maintenance.rewrite import rewrite_manifests

        if commit_method not in ("new_commit", "amend"):
            raise ValueError(
                f"Invalid commit method: {commit_method!r}. Expected 'new_commit' or 'amend'."
            )
        amend = commit_method == "amend"
        return id_text(rewrite_manifests(self._ctx, branch, message, metadata, amend=amend))

    def chunk_storage_stats(
        self,
        *,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
    ) -> ChunkStorageStats:
        """Total size of the chunks that branches, tags and their histories refer to.

        Parameters
        ----------
        max_snapshots_in_memory, max_concurrent_manifest_fetches : int
            Maximum number of files read at once.
        max_compressed_manifest_mem_bytes, max_decoded_manifest_mem_bytes : int
            Maximum size of the manifests read at once, compressed and decoded; a larger manifest
            is read alone.

        Returns
        -------
        ChunkStorageStats
            Sizes in bytes of native, virtual and inline chunks. A native or virtual chunk counts
            once, however many snapshots share it.
        """
        from icechunk.maintenance.limits import Limits
        from icechunk.maintenance.stats import chunk_storage_stats

        limits = Limits.checked(
            max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches,
        )
        return chunk_storage_stats(self._ctx, limits)

    def total_chunks_storage(
        self,
        *,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
    ) -> int:
        """Total size of the native chunks in bytes; deprecated.

        .. deprecated:: 1.1
            Use `chunk_storage_stats`.
        """
        _warn_of_total("total_chunks_storage", "chunk_storage_stats")
        return self.chunk_storage_stats(
            max_snapshots_in_memory=max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes=max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes=max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches=max_concurrent_manifest_fetches,
        ).native_bytes

    async def total_chunks_storage_async(
        self,
        *,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
    ) -> int:
        """Total size of the native chunks in bytes; deprecated.

        .. deprecated:: 1.1
            Use `chunk_storage_stats_async`.
        """
        _warn_of_total("total_chunks_storage_async", "chunk_storage_stats_async")
        stats = await self.chunk_storage_stats_async(
            max_snapshots_in_memory=max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes=max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes=max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches=max_concurrent_manifest_fetches,
        )
        return stats.native_bytes

    def pack_usage(self) -> PackUsage:
        """Size of the objects that hold chunks in use, and how much of it is in use.

        Returns
        -------
        PackUsage
            `dead_bytes` cannot be freed by garbage collection, since a chunk in use shares the
            object.
        """
        from icechunk.maintenance.stats import pack_usage

        return pack_usage(self._ctx)

    # -- content of the metadata files -----------------------------------------------------------

    def list_manifest_files(self, snapshot_id: str) -> list[ManifestFileInfo]:
        """Manifests of a snapshot: id, size and number of references.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        return histories.manifest_files(self._ctx, snapshot_id)

    def manifest_files(self, snapshot_id: str) -> list[ManifestFileInfo]:
        """Manifests of a snapshot; older name of `list_manifest_files`."""
        return self.list_manifest_files(snapshot_id)

    @overload
    def inspect_snapshot(self, snapshot_id: str) -> dict[str, Any]: ...

    @overload
    def inspect_snapshot(self, snapshot_id: str, pretty: bool) -> str: ...

    def inspect_snapshot(
        self, snapshot_id: str, pretty: bool | None = None
    ) -> dict[str, Any] | str:
        """Content of a snapshot file.

        Parameters
        ----------
        snapshot_id : str
            Id of the snapshot.
        pretty : bool, optional
            Return JSON text instead of a dictionary, as icechunk 1.x did; indented when True.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        from icechunk.maintenance.inspect import inspect_snapshot

        content = inspect_snapshot(self._ctx, parse_object_id(snapshot_id))
        if pretty is None:
            return content
        return json.dumps(content, indent=2 if pretty else None, ensure_ascii=False)

    def inspect_repo_info(self) -> dict[str, Any]:
        """Content of the ``repo`` object.

        Raises
        ------
        FormatError
            Kind ``unsupported-spec-version`` in format version 1.
        """
        from icechunk.maintenance.inspect import inspect_repo_info

        return inspect_repo_info(self._ctx)

    def inspect_manifest(self, manifest_id: str) -> dict[str, Any]:
        """Number of inline, native and virtual references in a manifest.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        from icechunk.maintenance.inspect import inspect_manifest

        return inspect_manifest(self._ctx, parse_object_id(manifest_id))

    def inspect_transaction_log(self, snapshot_id: str) -> dict[str, Any]:
        """Content of a transaction log: nodes and chunks that a commit touched.

        Where expiration removed ancestors of the snapshot, their changes are included, and
        ``synthetic_composite`` lists them: ``merged_pruned_ancestor_tx_logs``, and
        ``missing_tx_logs`` where the log was garbage collected.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        from icechunk.maintenance.inspect import inspect_transaction_log

        return inspect_transaction_log(self._ctx, parse_object_id(snapshot_id))

    expire_snapshots_async = twin(expire_snapshots)
    garbage_collect_async = twin(garbage_collect)
    rewrite_manifests_async = twin(rewrite_manifests)
    chunk_storage_stats_async = twin(chunk_storage_stats)
    pack_usage_async = twin(pack_usage)
    list_manifest_files_async = twin(list_manifest_files)
    manifest_files_async = twin(manifest_files)
    inspect_snapshot_async = twin(inspect_snapshot)
    inspect_repo_info_async = twin(inspect_repo_info)
    inspect_manifest_async = twin(inspect_manifest)
    inspect_transaction_log_async = twin(inspect_transaction_log)


def _warn_of_total(name: str, better: str) -> None:
    """Warn the caller of a deprecated method."""
    warnings.warn(
        f"The `{name}` method has been deprecated in favor of `{better}`, which also counts inline "
        "and virtual chunks",
        DeprecationWarning,
        stacklevel=3,
    )
