"""A transaction: one base snapshot, the changes over it, and the checks of every change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.tree_view import TreeView
from icechunk.core.choices import Choice
from icechunk.core.errors import (
    AlreadyExistsError,
    ErrorKind,
    InvalidInputError,
    NodeNotFoundError,
    ReadOnlyError,
    SessionStateError,
    StorageError,
)
from icechunk.core.ids import ObjectId
from icechunk.core.locks import ProcessLock, guarded, held
from icechunk.core.paths import check_path
from icechunk.engine.context import RepoContext
from icechunk.engine.payload import ChunkWriter
from icechunk.engine.publication import Publication, Publishing
from icechunk.engine.reader import ArrayReader
from icechunk.engine.unchanged import BaseChunks, holds
from icechunk.files.layout import chunk_key
from icechunk.refs.capabilities import Capability
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import ChunkIndex
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.spec.snapshot.snapshot import Snapshot
from icechunk.spec.snapshot.zarr_metadata import parse_node

if TYPE_CHECKING:
    from icechunk.engine.open_merge import OpenMerge

R = TypeVar("R")

_log = logging.getLogger(__name__)


class SessionMode(Choice):
    """What a session may change."""

    __module__ = "icechunk"

    readonly = 0
    writable = 1
    rearrange = 2


class Transaction(Publishing):
    """The state that a session and its stores share.

    Reads take no lock: the base is immutable, and edits are looked up in dictionaries.  The lock
    guards the recording of changes and is never held during I/O.  A commit or rebase has the turn
    (`exclusively`) first and takes the lock within it, never the other way round.

    A new transaction reads nothing: the base snapshot is fetched when it is first needed, so that
    a process that only passes a session on needs no access to the storage.

    Parameters
    ----------
    ctx : RepoContext
        The repository handle.
    snapshot_id : ObjectId
        Base.
    mode : SessionMode
        What may be changed.
    branch : str or None
        Branch that a commit moves; None for read-only transactions and forks.
    changes : ChangeSet, optional
        What it starts with.
    base : Snapshot, optional
        The base when it is known already, or with changes of a merge laid in.
    merging : OpenMerge, optional
        The merge that the changes are, for a commit with several parents.
    """

    def __init__(
        self,
        ctx: RepoContext,
        snapshot_id: ObjectId,
        *,
        mode: SessionMode,
        branch: str | None = None,
        changes: ChangeSet | None = None,
        base: Snapshot | None = None,
        merging: OpenMerge | None = None,
    ) -> None:
        super().__init__(ctx)
        self.mode = mode
        self.branch = branch
        self.revision = 0
        self.changes = ChangeSet() if changes is None else changes
        self.merging = merging
        self.base_id = snapshot_id
        self._base: Snapshot | None = base
        self._opened_at: Snapshot | None = base
        self._tree: TreeView | None = None
        self.lock = ProcessLock(settled=True)
        self.origin: ObjectId | None = None  # of a fork: the base of the session it came from
        self.may_travel = 0  # how many `Session.allow_pickling` blocks are open
        self._sealed = 0  # revision up to which every chunk is known to be durable
        self._writer = ChunkWriter(ctx.storage, packing=ctx.settings.pack_chunks)
        self._readers: dict[str, ArrayReader] = {}
        self._base_chunks = BaseChunks(ctx.files) if ctx.settings.skip_unchanged_chunks else None

    # -- the base --------------------------------------------------------------------------------

    @property
    def base_held(self) -> bool:
        """Whether the base snapshot is in memory, so that nothing has to be fetched for it."""
        return self._base is not None

    @property
    def base(self) -> Snapshot:
        """Base snapshot; fetched on first use.

        Raises
        ------
        StorageError
            When the storage cannot be reached, or the snapshot is gone; the next use tries again.
        """
        base = self._base
        return self.fetch_base() if base is None else base

    @property
    def opened_at(self) -> Snapshot:
        """First base of this transaction: the common state of both sides of a conflict."""
        if self._opened_at is None:
            self.fetch_base()
        assert self._opened_at is not None
        return self._opened_at

    @property
    def tree(self) -> TreeView:
        """The hierarchy as the session sees it."""
        tree = self._tree
        if tree is None:
            self.fetch_base()
            tree = held(self.lock, self._make_tree)
        return tree

    def _make_tree(self) -> TreeView:
        if self._tree is None:
            self._tree = TreeView(self.base.nodes, self.changes)
        return self._tree

    def fetch_base(self) -> Snapshot:
        """The base snapshot, fetched if it is not in memory; see `base`."""
        if self._base is not None:
            return self._base
        return held(self.lock, self._start_from, self.ctx.files.snapshot(self.base_id))

    def _start_from(self, first: Snapshot) -> Snapshot:
        # Another thread may have been first, and have moved the base since.
        if self._base is None:
            self._base = self._opened_at = first
        return self._base

    # -- reading ---------------------------------------------------------------------------------

    def node(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path as the session sees it, or None."""
        return self.tree.get(path)

    def reader(self, path: str) -> ArrayReader | None:
        """Reader of the array at an absolute path, None when there is no array."""
        reader = self._readers.get(path)
        if reader is None:
            node = self.tree.get(path)
            if node is None or node.array is None:
                return None
            reader = ArrayReader(node, self.base, self.changes, self.ctx.files)
            self._readers[path] = reader
        return reader

    def array_reader(self, path: str) -> ArrayReader:
        """Reader of the array at an absolute path.

        Raises
        ------
        NodeNotFoundError
            Kind ``node-not-found``.
        InvalidInputError
            Kind ``not-an-array`` for a group, ``invalid-path`` for a malformed path.
        """
        reader = self.reader(check_path(path))
        if reader is None:
            if self.tree.get(path) is not None:
                raise InvalidInputError(
                    f"there is not an array at `{path}`: it is a group", ErrorKind.NOT_AN_ARRAY
                )
            raise missing_node(path)
        return reader

    # -- writing ---------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise unless data may be written now.

        Called before the lock is taken, where it may wait, and again with the lock held.
        """
        if self._unclear and self.lock.is_mine and not self._committing:
            # Interrupted between both calls.  To look now would take the turn with the lock held;
            # a commit in another thread takes them in the other order, and both would wait forever.
            raise SessionStateError(
                "a commit of this session was interrupted, and whether it was carried out is not "
                "known yet. Write again: the session looks first then",
                ErrorKind.NOT_ALLOWED,
            )
        self.settle()
        if self.mode is SessionMode.readonly:
            raise ReadOnlyError(
                "Read only sessions cannot modify the repository; open one with "
                "`Repository.writable_session`",
                ErrorKind.READ_ONLY_SESSION,
            )
        if self.mode is SessionMode.rearrange:
            raise SessionStateError(
                "This session was created to rearrange the hierarchy, other write operations "
                "cannot be executed. Use `Repository.writable_session` to write data",
                ErrorKind.REARRANGE_SESSION_ONLY,
            )
        self._check_not_committing()

    def _check_not_committing(self) -> None:
        if self._committing:
            raise SessionStateError(
                "this session is being committed and takes no writes until that is done",
                ErrorKind.NOT_ALLOWED,
            )

    def set_metadata(self, path: str, document: bytes) -> None:
        """Create or replace the node at an absolute path by its ``zarr.json``."""
        self.check_writable()
        check_path(path)
        rectilinear = Capability.RECTILINEAR_GRIDS in self.ctx.ref_store.capabilities
        array = parse_node(document, rectilinear=rectilinear, foreign_keys=False)
        self.fetch_base()  # not with the lock held
        with self.lock:
            self.check_writable()
            node = self.tree.get(path)
            if node is None:
                self.changes.add(path, document, array)
            elif node.is_array != (array is not None):
                raise AlreadyExistsError(
                    f"node already exists at `{path}` as "
                    f"{'an array' if node.is_array else 'a group'}; delete it first",
                    ErrorKind.NODE_ALREADY_EXISTS,
                )
            elif node.user_data == document:
                return
            else:
                self.changes.update(node, document, array)
            self._readers.pop(path, None)
            self.revision += 1

    def delete_node(self, path: str) -> None:
        """Remove the node at an absolute path and everything below; a missing one is fine."""
        self.settle()
        self.fetch_base()  # not with the lock held
        with self.lock:
            node = self.tree.get(path)
            doomed = self.tree.below(path)
            if node is not None:
                doomed.append(node)
            if not doomed:
                return
            self.check_writable()
            for one in doomed:
                self.changes.remove(one)
                self._readers.pop(one.path, None)
            self.revision += 1

    def writable_reader(self, path: str, coords: ChunkIndex) -> ArrayReader:
        """Reader of an array that a chunk may be written to.

        Raises
        ------
        NodeNotFoundError
            When there is no node.
        InvalidInputError
            Kind ``invalid-chunk-index`` for coordinates off the array's chunk grid.
        """
        self.check_writable()
        reader = self.array_reader(path)
        if not reader.in_grid(coords):
            assert reader.node.array is not None
            raise InvalidInputError(
                f"invalid chunk index: coordinates ChunkIndices({list(coords)}) are not valid for "
                f"array at {path}, whose chunk grid is {list(reader.node.array.num_chunks)}",
                ErrorKind.INVALID_CHUNK_INDEX,
            )
        return reader

    def set_chunk(self, path: str, coords: ChunkIndex, data: bytes | memoryview) -> None:
        """Write a chunk: a small one into the manifest, others to the storage at once."""
        reader = self.writable_reader(path, coords)
        length = len(data)
        if length == 0:
            raise InvalidInputError(
                f"zero-length chunk: the chunk {list(coords)} of {path} has no bytes; "
                "delete the chunk instead",
                ErrorKind.ZERO_LENGTH_CHUNK,
            )
        if self.compares and self._repeats(reader, coords, data):
            return
        if length <= self.ctx.settings.inline_threshold:
            with self.lock:
                self.check_writable()
                self.changes.edits(reader.node).set_inline(coords, data)
                self.revision += 1
            return
        object_id, offset = self._writer.write(data)
        with self.lock:
            self.check_writable()
            self.changes.objects.add(object_id)
            self.changes.edits(reader.node).set_native(coords, object_id, offset, length)
            self.revision += 1

    def set_references(self, node: NodeSnapshot, table: ChunkTable) -> None:
        """Record a table of references of an array; its tombstones are deletions."""
        if not len(table):
            return
        self.settle()
        with self.lock:
            self.check_writable()
            self.changes.edits(node).extend(table)
            self.revision += 1

    def delete_chunk(self, path: str, coords: ChunkIndex) -> None:
        """Remove a chunk; coordinates off the grid are ignored."""
        reader = self.reader(path)
        if reader is None or not reader.in_grid(coords):
            return
        self.check_writable()
        if self.compares and self._repeats(reader, coords, None):
            return
        with self.lock:
            self.check_writable()
            self.changes.edits(reader.node).delete(coords)
            self.revision += 1

    @property
    def compares(self) -> bool:
        """Whether writes are compared with the base first, which may take a while."""
        return self._base_chunks is not None

    def _repeats(
        self, reader: ArrayReader, coords: ChunkIndex, data: bytes | memoryview | None
    ) -> bool:
        """Drop a write that equals the chunk of the base (None deletes); whether it did."""
        assert self._base_chunks is not None
        base = self.base
        held = self._base_chunks.find(reader, base, self.changes, coords)
        if held is not None if data is None else not holds(self.ctx.storage, held, data):
            return False
        with self.lock:
            self.check_writable()
            if self.base is not base or self._readers.get(reader.node.path) is not reader:
                return False  # rebased or resized meanwhile: record it as it is written
            if self.changes.forget(reader.node.id, coords):
                self.revision += 1
        return True

    def move(self, source: str, target: str) -> None:
        """Move the node at an absolute path, with everything below, to another.

        Raises
        ------
        ReadOnlyError, SessionStateError
            Kinds ``read-only-session`` and ``non-rearrange-session``.
        InvalidInputError, NodeNotFoundError, AlreadyExistsError, SessionStateError
            See `icechunk.changes.moves.check_move`.
        """
        if self.mode is not SessionMode.rearrange:
            self.check_writable()
            raise SessionStateError(
                "To move nodes in the hierarchy you need to create a rearrange session: commit or "
                "abandon this one and call `Repository.rearrange_session`",
                ErrorKind.NON_REARRANGE_SESSION,
            )
        self.fetch_base()  # not with the lock held

        def go_on() -> None:
            self._check_not_committing()
            moves = self.changes.moves.then(self.tree.base, source, target)
            self.become(self.base, replace(self.changes, moves=moves))

        held(self.lock, go_on)

    # -- life ------------------------------------------------------------------------------------

    def copied(self) -> tuple[int, ChangeSet]:
        """A copy of the changes, and the revision it was made at."""
        return held(self.lock, lambda: (self.revision, self.changes.copy()))

    def replace_changes(self, changes: ChangeSet, **more: Any) -> None:
        """Continue with other changes, and other attributes, over the same base."""
        held(self.lock, lambda: self.become(self._base, changes, **more))

    def move_base(self, snapshot_id: ObjectId, changes: ChangeSet | None = None) -> None:
        """Replace the base, and the changes where some are given."""
        self.fetch_base()  # the first base must be known before another takes its place
        base = self.ctx.files.snapshot(snapshot_id)

        def go_on() -> None:
            mine = self.changes if changes is None else changes
            # Nodes that other commits made below a moved group move with it.
            self.become(base, replace(mine, moves=mine.moves.again(base.nodes)))

        held(self.lock, go_on)

    def become(self, base: Snapshot | None, changes: ChangeSet, **more: Any) -> None:
        """Change to another state, with the lock held.

        All attributes are replaced by one call into C, so that neither an interrupt nor a reader
        in another thread sees a mixture of both states.
        """
        vars(self).update(
            _base=base,
            base_id=self.base_id if base is None else base.id,
            changes=changes,
            _tree=None if base is None else TreeView(base.nodes, changes),
            _readers={},
            revision=self.revision + 1,
            **more,
        )

    def exclusively(self, action: Callable[[], R]) -> R:
        """Run a commit or rebase; other threads' writes are refused meanwhile.

        Waits while another thread does the same; may be nested within one thread.
        """
        return held(self._turn, self._in_turn, action)

    def _in_turn(self, action: Callable[[], R]) -> R:
        outer = self._committing
        return guarded(
            partial(self._without_writers, outer, action),
            partial(setattr, self, "_committing", outer),
        )

    def _without_writers(self, nested: bool, action: Callable[[], R]) -> R:
        held(self.lock, setattr, self, "_committing", True)
        if not nested:
            self.learn()
        self._writer.close()
        return action()

    def _adopt(self, publication: Publication) -> None:
        """Become read-only at a snapshot that was published."""
        base = self.ctx.files.snapshot(publication.id)
        ending: dict[str, Any] = {
            "mode": SessionMode.readonly,
            "branch": None,
            "merging": None,
            "published": publication,
            "_attempts": {},
            "_unclear": False,
        }
        held(self.lock, self.become, base, ChangeSet(), **ending)

    def discard_files(self, keys: Iterable[str]) -> None:
        """Delete the files of a failed commit, but not the session's chunks: a retry needs them."""
        chunks = {chunk_key(object_id) for object_id in self.changes.objects}
        try:
            self.ctx.storage.delete([key for key in keys if key not in chunks])
        except StorageError:
            _log.warning("files of an abandoned commit stay until garbage collection")

    def seal(self) -> None:
        """Sync every chunk written so far, before references to them leave the process.

        An unpickled copy without writes of its own does not access the storage.
        """
        self._writer.close()
        revision, changes = self.copied()
        if revision != self._sealed:
            self.ctx.storage.sync([chunk_key(object_id) for object_id in changes.objects])
            self._sealed = revision


def missing_node(path: str) -> NodeNotFoundError:
    """The error for a path without a node."""
    return NodeNotFoundError(
        f"node not found at `{path}`: existing node not found; list the store or open its root "
        "group to see what there is",
        ErrorKind.NODE_NOT_FOUND,
    )
