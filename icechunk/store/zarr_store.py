"""`IcechunkStore`: a session as a Zarr v3 store, with Zarr's asynchronous and synchronous methods.

Reads that need no fetching run on the event loop. Everything that may wait for a storage runs on a
worker thread, except requests to storages that are asynchronous themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import SyncMixin

from icechunk.config.fields import expect
from icechunk.config.rendering import Entry, Label, Shown
from icechunk.core.errors import (
    ErrorKind,
    IcechunkError,
    InvalidInputError,
    ReadOnlyError,
    SessionStateError,
)
from icechunk.core.ids import id_text
from icechunk.core.runtime import offload, twin
from icechunk.core.streams import AsyncCloseableIterator
from icechunk.engine.payload import INLINE_READ_LIMIT, clip_span, fetch, place, read_virtual
from icechunk.engine.reader import BASE_NOT_HELD, NotHeld
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.spec.manifest.chunk_table import VIRTUAL, Location
from icechunk.store import listing
from icechunk.store.bytes_store import PyStore
from icechunk.store.keys import is_v2, split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.config.virtual import VirtualChunkSpec
    from icechunk.store.chunk_batches import Batch
    from icechunk.store.virtual_refs import Rejected


def _raw(value: Buffer) -> memoryview:
    """A buffer's bytes without a copy where it is contiguous."""
    array = value.as_numpy_array()
    return memoryview(np.ascontiguousarray(array).view(np.uint8).data)


class HasTransaction(Protocol):
    """What a store needs of a session."""

    _transaction: Transaction

    @property
    def read_only(self) -> bool:
        """Whether the session refuses writes."""
        ...


class IcechunkStore(Store, SyncMixin, Shown):
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
        # On one line, since Zarr shows it in the repr of groups and arrays.
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
        """Store on the same session with another read-only flag; it is not open yet (Zarr)."""
        view = type(self)(self._session, read_only)
        view._is_open = False
        return view

    # -- reading ---------------------------------------------------------------------------------

    def _locate(self, key: str) -> bytes | Location | NotHeld | None:
        """Metadata bytes or chunk location of a key, None for no such key; nothing is fetched."""
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

    def _fetch_location(self, key: str) -> bytes | Location | None:
        """Like `_locate`, but fetch the snapshot and the manifests that this takes."""
        # More than one may be missing, and what was fetched can leave the cache at once.
        while isinstance(found := self._locate(key), NotHeld):
            if found is BASE_NOT_HELD:
                self._transaction.fetch_base()
            elif reader := self._transaction.reader(split(key)[0]):
                reader.load(found.part, decode=found.decode)
        return found

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
            if isinstance(found, NotHeld):
                found = await offload(self._fetch_location, key)
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
            found = self._fetch_location(key)
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
        """Whether Zarr may read a batch of chunks in one thread, as it may where calls are fast."""
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
        """Whether a key exists."""
        found = self._locate(key)
        if isinstance(found, NotHeld):
            found = await offload(self._fetch_location, key)
        return found is not None

    async def getsize(self, key: str) -> int:
        """Stored size of a key in bytes.

        Raises
        ------
        FileNotFoundError
            When there is no such key.
        """
        found = self._locate(key)
        if isinstance(found, NotHeld):
            found = await offload(self._fetch_location, key)
        if found is None:
            raise FileNotFoundError(key)
        return len(found) if isinstance(found, bytes) else found.length

    async def getsize_prefix(self, prefix: str) -> int:
        """Stored size of all keys below a prefix in bytes."""
        return await offload(listing.size_below, self._transaction, prefix)

    async def is_empty(self, prefix: str) -> bool:
        """Whether no key is at or below a prefix."""
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
            For a malformed key or document, coordinates outside the chunk grid, an empty chunk.
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
        """Write a key unless it exists."""
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
        """Delete a key; a key that does not exist is ignored."""
        if self._transaction.compares or not self._transaction.base_held:
            await offload(self.delete_sync, key)
        else:
            self.delete_sync(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete a node and everything below it."""
        self._check_store_writable()
        await offload(listing.delete_below, self._transaction, prefix)

    async def clear(self) -> None:
        """Delete all nodes of the session; committed snapshots are not changed."""
        self.sync_clear()

    def sync_clear(self) -> None:
        """`clear`, blocking."""
        if self._transaction.node("/") is not None or self._transaction.tree.below("/"):
            self._check_deletable()
            self._transaction.delete_node("/")

    # -- listing ---------------------------------------------------------------------------------

    def list(self) -> AsyncCloseableIterator[str]:
        """All keys, those of metadata first."""
        return AsyncCloseableIterator(listing.keys_below(self._transaction, ""))

    def list_prefix(self, prefix: str) -> AsyncCloseableIterator[str]:
        """All keys at and below a node, relative to the root of the store.

        Raises
        ------
        InvalidInputError
            Kind ``bad-key-prefix``, on iteration, for a prefix that names no node.
        """
        return AsyncCloseableIterator(listing.keys_below(self._transaction, prefix))

    def list_dir(self, prefix: str) -> AsyncCloseableIterator[str]:
        """Names directly below a path; none for a path that does not exist.

        An array always has the name ``c``, whether or not a chunk was written.
        """
        return AsyncCloseableIterator(listing.names_in(self._transaction, prefix))

    # -- virtual references ----------------------------------------------------------------------

    def set_virtual_ref(
        self,
        key: str,
        location: str,
        *,
        offset: int,
        length: int,
        checksum: str | datetime | None = None,
        validate_container: bool = True,
    ) -> None:
        """Let a chunk refer to a byte range of an object outside the repository.

        Parameters
        ----------
        key : str
            Zarr key of the chunk, e.g. ``temperature/c/0/1``.
        location : str
            URL of the object; characters with a meaning in URLs must be percent-encoded.
        offset, length : int
            Byte range in the object.
        checksum : str or datetime.datetime, optional
            ETag that the object must have when it is read, or a time, with a time zone, after which
            it must not have changed. The format stores whole seconds, so times are rounded down.
            For a local file written in that same second, its ETag (inode, modification time in
            microseconds, size) is stored instead, so that a later change in the same second is
            detected, as far as the clock of the file system resolves it (a few milliseconds on
            Linux). Web servers and most object stores report whole seconds; pass an ETag where that
            is too coarse.
        validate_container : bool
            Refuse locations outside the virtual chunk containers of the configuration.

        Raises
        ------
        InvalidInputError
            Kinds ``invalid-virtual-ref``, ``no-container-for-virtual-chunk``,
            ``invalid-chunk-index``, ``zero-length-chunk``, ``invalid-key``, ``not-an-array``.
        NodeNotFoundError
            When there is no such array.
        SessionStateError
            Kind ``not-allowed`` for the key of a metadata document.
        """
        from icechunk.store.virtual_refs import set_virtual_ref

        self._check_store_writable()
        set_virtual_ref(
            self._transaction, key, location, offset, length, checksum, validate_container
        )

    def set_virtual_refs(
        self,
        array_path: str,
        chunks: Sequence[VirtualChunkSpec],
        *,
        validate_containers: bool = True,
    ) -> Rejected | None:
        """Let many chunks of an array refer to byte ranges of objects outside the repository.

        Parameters
        ----------
        array_path : str
            Path of the array, with or without a leading slash.
        chunks : sequence of VirtualChunkSpec
            References to write; the last one for a chunk is kept.
        validate_containers : bool
            Skip references outside the virtual chunk containers of the configuration.

        Returns
        -------
        list of tuple of int, or None
            Chunk coordinates that were skipped because no container covers their URL; None when
            all references were written.

        Raises
        ------
        InvalidInputError, NodeNotFoundError
            See `set_virtual_ref`; nothing is written then.
        """
        from icechunk.store.virtual_refs import set_virtual_refs

        self._check_store_writable()
        return set_virtual_refs(self._transaction, array_path, chunks, validate_containers)

    def set_virtual_refs_arr(
        self,
        array_path: str,
        chunk_grid_shape: Sequence[int],
        locations: Sequence[str] | NDArray[Any],
        offsets: NDArray[np.uint64],
        lengths: NDArray[np.uint64],
        *,
        validate_containers: bool = True,
        arr_offset: Sequence[int] | None = None,
        checksum: str | datetime | None = None,
    ) -> Rejected | None:
        """Let a box of chunks refer to byte ranges of objects, given as columns.

        Parameters
        ----------
        array_path : str
            Path of the array, with or without a leading slash.
        chunk_grid_shape : sequence of int
            Number of chunks of the box along each axis; the columns are in C order.
        locations : list of str, or ndarray
            URLs; an empty URL leaves its chunk unchanged. An ndarray of text (fixed or variable
            width), bytes or objects is read without a Python string per element.
        offsets, lengths : ndarray of uint64, shape (n,)
            Byte ranges in the objects.
        validate_containers : bool
            Skip references outside the virtual chunk containers of the configuration.
        arr_offset : sequence of int, optional
            Chunk coordinates of the first corner of the box.
        checksum : str or datetime.datetime, optional
            Checksum of all objects, see `set_virtual_ref`.

        Returns
        -------
        list of tuple of int, or None
            Chunk coordinates that were skipped because no container covers their URL; None when
            all references were written.

        Raises
        ------
        ValueError
            When the columns differ in length, or do not fit the shape.
        TypeError
            When offsets or lengths are not one-dimensional arrays of uint64.
        InvalidInputError, NodeNotFoundError
            See `set_virtual_ref`; nothing is written then.
        """
        from icechunk.store.virtual_refs import set_virtual_refs_arr

        self._check_store_writable()
        return set_virtual_refs_arr(
            self._transaction,
            array_path,
            chunk_grid_shape,
            locations,
            offsets,
            lengths,
            validate_containers,
            arr_offset,
            checksum,
        )

    def array_chunk_iterator(
        self, array_path: str, batch_size: int = 100_000
    ) -> AsyncCloseableIterator[Batch]:
        """Chunk references of an array in batches, uncommitted ones included, in row-major order.

        Parameters
        ----------
        array_path : str
            Path of the array, with or without a leading slash.
        batch_size : int
            Maximum number of chunks in a batch; at least 1.

        Returns
        -------
        AsyncCloseableIterator of tuple
            For ``for`` and ``async for``; empty when there is no array. Each batch of n chunks has
            coordinates, uint32 of shape ``(n, d)``; kinds, uint8 of shape ``(n,)``, the numbers of
            `ChunkType`; locations, list of str (URL of a virtual chunk, object id of a native
            chunk, empty for an inline chunk); offsets and lengths in bytes, uint64 of shape
            ``(n,)``; the bytes of inline chunks, dict by row of the batch.
        """
        from icechunk.store.chunk_batches import batches

        expect("array_path", array_path, str)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        path = f"/{array_path.lstrip('/')}"
        return AsyncCloseableIterator(batches(self._transaction, path, batch_size))

    set_virtual_ref_async = twin(set_virtual_ref)
    set_virtual_refs_async = twin(set_virtual_refs)
    set_virtual_refs_arr_async = twin(set_virtual_refs_arr)

    # -- capabilities ----------------------------------------------------------------------------

    @property
    def supports_writes(self) -> bool:
        """Always true; the session decides whether writes are allowed."""
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
        """Always false, since chunks are immutable."""
        return False

    @property
    def supports_consolidated_metadata(self) -> bool:
        """Always false, since a snapshot holds all metadata in one file."""
        return False
