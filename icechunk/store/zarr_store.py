"""`IcechunkStore`: Zarr's store interface, asynchronous and synchronous, over one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal, Protocol

import numpy as np
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import SyncMixin

from icechunk.config.rendering import Entry, Label, Shown
from icechunk.core.errors import (
    ErrorKind,
    IcechunkError,
    InvalidInputError,
    ReadOnlyError,
    SessionStateError,
)
from icechunk.core.ids import id_text
from icechunk.core.runtime import offload
from icechunk.core.streams import AsyncCloseableIterator
from icechunk.engine.payload import INLINE_READ_LIMIT, clip_span, fetch, place, read_virtual
from icechunk.engine.reader import BASE_NOT_HELD, NotHeld
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.spec.manifest.chunk_table import VIRTUAL, Location
from icechunk.store import listing
from icechunk.store.bytes_store import PyStore
from icechunk.store.chunk_batches import ChunkBatches
from icechunk.store.keys import is_v2, split
from icechunk.store.virtual_refs import VirtualReferences


def _raw(value: Buffer) -> memoryview:
    """A buffer's bytes without a copy where it is contiguous."""
    array = value.as_numpy_array()
    return memoryview(np.ascontiguousarray(array).view(np.uint8).data)


class HasTransaction(Protocol):
    """What a store needs of a session."""

    _transaction: Transaction

    @property
    def read_only(self) -> bool:
        """Whether the session takes no writes."""
        ...


class IcechunkStore(VirtualReferences, ChunkBatches, Store, SyncMixin, Shown):
    """Zarr v3 store of a session; made by `Session.store`.

    Writes are visible to this session at once and to others after a commit.

    Parameters
    ----------
    store : Session
        The session to read from and write to.
    read_only : bool, optional
        Refuse writes; the session's own state by default.
    """

    __module__ = "icechunk"

    def __init__(
        self, store: Any, read_only: bool | None = None, *args: Any, **kwargs: Any
    ) -> None:
        session: HasTransaction = store
        super().__init__(read_only=session.read_only if read_only is None else read_only)
        self._session = session
        self._transaction = session._transaction
        self._is_open = True

    @property
    def session(self) -> Any:
        """The session that this store reads and writes."""
        return self._session

    @property
    def _store(self) -> PyStore:
        return PyStore(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IcechunkStore) and self._transaction is other._transaction

    __hash__ = None  # type: ignore[assignment]

    def _path(self) -> str:
        return "icechunk.IcechunkStore"

    def _entries(self) -> Iterable[Entry]:
        branch = self._transaction.branch
        snapshot_id = Label(id_text(self._transaction.base_id))
        return [
            Entry("read_only", self._read_only),
            Entry("snapshot_id", snapshot_id),
            Entry("branch", None if branch is None else Label(branch)),
        ]

    def __repr__(self) -> str:
        return Shown.__str__(self)

    def __str__(self) -> str:
        # On one line: Zarr puts it into the displays of groups and arrays.
        transaction = self._transaction
        where = f"{transaction.branch} @ " if transaction.branch else ""
        return f"<icechunk.IcechunkStore {where}{id_text(transaction.base_id)}>"

    def __getstate__(self) -> tuple[Any, bool]:
        return self._session, self._read_only

    def __setstate__(self, state: tuple[Any, bool]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        transaction = self._transaction
        token = id(transaction) if transaction.mode is SessionMode.writable else 0
        return (
            "icechunk",
            transaction.ctx.storage.identity,
            transaction.base_id,
            transaction.revision,
            token,
        )

    def with_read_only(self, read_only: bool = False) -> IcechunkStore:
        """Another view of the same session with another read-only flag; not open yet."""
        view = type(self)(self._session, read_only)
        view._is_open = False
        return view

    # -- reading ---------------------------------------------------------------------------------

    def _locate(self, key: str) -> bytes | Location | NotHeld | None:
        """Metadata bytes or place of a key; None where there is nothing."""
        if not (self._transaction.base_held or self._transaction.ctx.storage.blocking_ok):
            return BASE_NOT_HELD
        try:
            path, coords = split(key)
        except InvalidInputError:
            if is_v2(key):
                return None
            raise
        if coords is None:
            node = self._transaction.node(path)
            return None if node is None else node.sound_data
        reader = self._transaction.reader(path)
        return None if reader is None else reader.locate(coords)

    def _load(self, key: str, missing: NotHeld) -> None:
        if missing is BASE_NOT_HELD:
            self._transaction.fetch_base()
            return
        reader = self._transaction.reader(split(key)[0])
        if reader is not None:
            reader.load(missing.part, decode=missing.decode)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of a key, or of a part of it; None when there is no such key.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-key``, or ``invalid-byte-range`` for a request beyond a chunk's end.
        """
        try:
            found = self._locate(key)
            while isinstance(found, NotHeld):
                await offload(self._load, key, found)
                found = self._locate(key)
            if found is None:
                return None
            if isinstance(found, bytes):
                return prototype.buffer.from_bytes(found[clip_span(byte_range, len(found))])
            if found.kind == VIRTUAL:
                data = await read_virtual(self._transaction.ctx, found, byte_range)
                return prototype.buffer.from_bytes(data)
            where = place(found, byte_range)
            if not isinstance(where, tuple):
                return prototype.buffer.from_bytes(where)
            storage = self._transaction.ctx.storage
            if storage.blocking_ok and where[2] <= INLINE_READ_LIMIT:
                return prototype.buffer.from_bytes(storage.read_range(*where))
            return prototype.buffer.from_bytes(await storage.read_range_async(*where))
        except IcechunkError as error:
            error.during(f"reading `{key}`")
            raise

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """`get` without an event loop (Zarr's synchronous store protocol)."""
        if prototype is None:
            prototype = default_buffer_prototype()
        try:
            found = self._locate(key)
            while isinstance(found, NotHeld):
                self._load(key, found)
                found = self._locate(key)
            if found is None:
                return None
            if isinstance(found, bytes):
                return prototype.buffer.from_bytes(found[clip_span(byte_range, len(found))])
            data = fetch(self._transaction.ctx, found, byte_range)
            return prototype.buffer.from_bytes(data)
        except IcechunkError as error:
            error.during(f"reading `{key}`")
            raise

    @property
    def _supports_sync_io(self) -> bool:
        """Whether Zarr may run a batch of chunks in one thread: only if calls take microseconds."""
        ctx = self._transaction.ctx
        return ctx.storage.blocking_ok and ctx.virtual.near

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Bytes of several keys or parts of keys, in order."""
        gate = asyncio.Semaphore(self._transaction.ctx.settings.get_partial_values_concurrency)

        async def part(key: str, request: ByteRequest | None) -> Buffer | None:
            async with gate:
                return await self.get(key, prototype, request)

        return list(await asyncio.gather(*(part(key, request) for key, request in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether a key holds something."""
        found = self._locate(key)
        while isinstance(found, NotHeld):
            await offload(self._load, key, found)
            found = self._locate(key)
        return found is not None

    async def getsize(self, key: str) -> int:
        """Stored bytes of a key.

        Raises
        ------
        FileNotFoundError
            When there is no such key.
        """
        found = self._locate(key)
        while isinstance(found, NotHeld):
            await offload(self._load, key, found)
            found = self._locate(key)
        if found is None:
            raise FileNotFoundError(key)
        return len(found) if isinstance(found, bytes) else found.length

    async def getsize_prefix(self, prefix: str) -> int:
        """Stored bytes of everything below a prefix."""
        return await offload(listing.size_below, self._transaction, prefix)

    async def is_empty(self, prefix: str) -> bool:
        """Whether nothing is at or below a prefix."""
        return await offload(listing.is_empty, self._transaction, prefix)

    # -- writing ---------------------------------------------------------------------------------

    def _check_store_writable(self) -> None:
        if self._read_only or self._transaction.mode is SessionMode.readonly:
            raise ReadOnlyError(
                "cannot write to read-only store; write through the store of a session made by "
                "`Repository.writable_session`",
                ErrorKind.READ_ONLY_STORE,
            )

    def _check_deletable(self) -> None:
        if self._read_only:
            raise ReadOnlyError(
                "Read only sessions cannot modify the repository; delete through the store of a "
                "session made by `Repository.writable_session`",
                ErrorKind.READ_ONLY_SESSION,
            )

    def set_sync(self, key: str, value: Buffer) -> None:
        """`set` without an event loop (Zarr's synchronous store protocol)."""
        if not isinstance(value, Buffer):
            raise TypeError(
                f"IcechunkStore.set(): `value` must be a Buffer instance. Got an instance of "
                f"{type(value)} instead."
            )
        self._check_store_writable()
        try:
            path, coords = split(key)
        except InvalidInputError:
            if not is_v2(key):
                raise
            raise SessionStateError(
                f"store method `set` is not implemented by Icechunk for Zarr v2 keys such as "
                f"`{key}`; create Zarr v3 groups and arrays (`zarr_format=3`)",
                ErrorKind.UNIMPLEMENTED,
            ) from None
        try:
            if coords is None:
                self._transaction.set_metadata(path, value.to_bytes())
            else:
                self._transaction.set_chunk(path, coords, _raw(value))
        except IcechunkError as error:
            error.during(f"writing `{key}`")
            raise

    async def set(self, key: str, value: Buffer) -> None:
        """Write a metadata document or a chunk.

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-store``.
        InvalidInputError
            For a malformed key or document, coordinates off the grid, an empty chunk.
        NodeNotFoundError
            For a chunk of an array that does not exist.
        """
        transaction = self._transaction
        quick = transaction.ctx.storage.blocking_ok and not transaction.compares
        if isinstance(value, Buffer) and (not quick or len(value) > INLINE_READ_LIMIT):
            await offload(self.set_sync, key, value)
        else:
            self.set_sync(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a key unless it holds something."""
        if not await self.exists(key):
            await self.set(key, value)

    async def set_partial_values(self, key_start_values: Iterable[Any]) -> None:
        """Not supported: chunks are written whole.

        Raises
        ------
        SessionStateError
            Always, kind ``unimplemented``.
        """
        raise SessionStateError(
            "store method `set_partial_values` is not implemented by Icechunk; write whole chunks",
            ErrorKind.UNIMPLEMENTED,
        )

    def delete_sync(self, key: str) -> None:
        """`delete` without an event loop (Zarr's synchronous store protocol)."""
        try:
            path, coords = split(key)
        except InvalidInputError:
            if is_v2(key):
                return
            raise
        if coords is not None:
            reader = self._transaction.reader(path)
            if reader is not None and reader.in_grid(coords):
                self._check_deletable()
                self._transaction.delete_chunk(path, coords)
        elif self._transaction.node(path) is not None:
            self._check_deletable()
            self._transaction.delete_node(path)

    async def delete(self, key: str) -> None:
        """Remove a key; deleting what does not exist, or cannot, does nothing."""
        if self._transaction.compares or not self._transaction.base_held:
            await offload(self.delete_sync, key)
        else:
            self.delete_sync(key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove a node and everything below it."""
        self._check_store_writable()
        await offload(listing.delete_below, self._transaction, prefix)

    async def clear(self) -> None:
        """Remove everything in the session; history is untouched."""
        self.sync_clear()

    def sync_clear(self) -> None:
        """`clear`, blocking."""
        if self._transaction.node("/") is not None or self._transaction.tree.below("/"):
            self._check_deletable()
            self._transaction.delete_node("/")

    # -- listing ---------------------------------------------------------------------------------

    def list(self) -> AsyncCloseableIterator[str]:
        """Every key; metadata first."""
        return AsyncCloseableIterator(listing.keys_below(self._transaction, ""))

    def list_prefix(self, prefix: str) -> AsyncCloseableIterator[str]:
        """Every key at and below a node, from the root.

        Raises
        ------
        InvalidInputError
            Kind ``bad-key-prefix``, on iteration, for a prefix that names no node.
        """
        return AsyncCloseableIterator(listing.keys_below(self._transaction, prefix))

    def list_dir(self, prefix: str) -> AsyncCloseableIterator[str]:
        """Names directly below a path; nothing for one that does not exist.

        Those of an array hold ``c``, whether or not a chunk was written.
        """
        return AsyncCloseableIterator(listing.names_in(self._transaction, prefix))

    # -- capabilities ----------------------------------------------------------------------------

    @property
    def supports_writes(self) -> bool:
        """Always true: whether writes are allowed is the session's matter."""
        return True

    @property
    def supports_deletes(self) -> bool:
        """Always true."""
        return True

    @property
    def supports_listing(self) -> bool:
        """Always true."""
        return True

    @property
    def supports_partial_writes(self) -> Literal[False]:
        """Never: chunks are immutable."""
        return False

    @property
    def supports_consolidated_metadata(self) -> bool:
        """Never: a snapshot holds all metadata in one file already."""
        return False
