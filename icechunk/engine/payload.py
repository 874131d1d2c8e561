"""Chunk bytes in and out: inline from memory, native from objects and packs, virtual from afar."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest

from icechunk.assets.layout import chunk_key
from icechunk.assets.virtual_object import VirtualObject
from icechunk.engine.context import RepoContext
from icechunk.ground.errors import ErrorKind, InternalError, InvalidInputError
from icechunk.ground.ids import ObjectId, new_object_id
from icechunk.ground.locks import ProcessLock
from icechunk.ground.runtime import process_generation
from icechunk.model.chunk_table import NATIVE, VIRTUAL, Location
from icechunk.storage.base import Storage

if TYPE_CHECKING:
    from icechunk.storage.base import Pack

INLINE_READ_LIMIT = 128 * 1024
"""Largest read, in bytes, done on an event loop when the storage answers in microseconds.

Above it a thread pays for itself (measured: 64 KiB takes 10 µs in place and 60 µs in a thread,
1 MiB takes 460 µs and 220 µs).
"""


_key_of = lru_cache(maxsize=4096)(chunk_key)  # a pack is asked for once per chunk in it


def byte_span(request: ByteRequest | None, length: int) -> tuple[int, int]:
    """Offset and size of a byte request within a chunk of `length` bytes.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-byte-range`` when the request reaches beyond the chunk.
    TypeError
        For anything that is not a Zarr byte request.
    """
    if request is None:
        return 0, length
    if isinstance(request, RangeByteRequest):
        start, end = request.start, request.end
    elif isinstance(request, OffsetByteRequest):
        start, end = request.offset, length
    elif isinstance(request, SuffixByteRequest):
        start, end = length - request.suffix, length
    else:
        raise TypeError(f"Unexpected byte_range, got {request!r}.")
    if not 0 <= start <= end <= length:
        raise InvalidInputError(
            f"byte range {request} is out of bounds for chunk of length {length}",
            ErrorKind.INVALID_BYTE_RANGE,
        )
    return start, end - start


def clip_span(request: ByteRequest | None, length: int) -> slice:
    """Slice of a metadata document for a byte request, clipped as Zarr's own stores do."""
    if request is None:
        return slice(0, length)
    if isinstance(request, RangeByteRequest):
        return slice(request.start, request.end)
    if isinstance(request, OffsetByteRequest):
        return slice(request.offset, length)
    if isinstance(request, SuffixByteRequest):
        return slice(max(length - request.suffix, 0), length)
    raise TypeError(f"Unexpected byte_range, got {request!r}.")


def place(
    location: Location, request: ByteRequest | None
) -> bytes | memoryview | tuple[str, int, int]:
    """Bytes of an inline chunk, or the object, offset and size to read for a native one."""
    start, size = (0, location.length) if request is None else byte_span(request, location.length)
    if location.kind == NATIVE:
        assert location.id is not None
        return _key_of(location.id), location.offset + start, size
    assert location.inline is not None
    return location.inline[start : start + size]


def read(storage: Storage, location: Location, request: ByteRequest | None) -> bytes | memoryview:
    """Bytes of a chunk that the repository holds itself, or of a part of it."""
    where = place(location, request)
    return storage.read_range(*where) if isinstance(where, tuple) else where


def fetch(ctx: RepoContext, location: Location, request: ByteRequest | None) -> bytes | memoryview:
    """Bytes of any chunk, or of a part of it."""
    if location.kind != VIRTUAL:
        return read(ctx.storage, location, request)
    start, size = byte_span(request, location.length)
    found = ctx.virtual.object(str(location.url))
    return found.read(location, location.offset + start, size) if size else b""


async def read_virtual(
    ctx: RepoContext, location: Location, request: ByteRequest | None
) -> bytes | memoryview:
    """Bytes of a virtual chunk, or of a part of it; on the event loop where that takes no time."""
    start, size = byte_span(request, location.length)
    found = ctx.virtual.object(str(location.url))
    if not size:
        return b""
    if found.near and size <= INLINE_READ_LIMIT:
        return found.read(location, location.offset + start, size)
    if found.joins:
        return await _joined(found, location, location.offset + start, size)
    return await found.read_async(location, location.offset + start, size)


JOINED_LIMIT = 1024 * 1024
"""Largest request, in bytes, that reads neighbouring ranges: beyond, several at once are faster."""


_GAP = 16 * 1024  # bytes between two ranges that are read for nothing rather than asked around
_PART = 12 * 1024 * 1024
"""Bytes of one request of several that read a large chunk; one connection has its limits."""
_TURNS = 64  # of the event loop, at most, while more are asked for in every one


class _Wish(NamedTuple):
    """A range that somebody waits for."""

    offset: int
    size: int
    place: Location
    answer: asyncio.Future[bytes | memoryview]


_Wishes = dict[VirtualObject, list[_Wish]]
_wishes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Wishes] = WeakKeyDictionary()
_sending: set[asyncio.Task[None]] = set()


async def _joined(
    found: VirtualObject, place: Location, offset: int, size: int
) -> bytes | memoryview:
    """Read a range, together with its neighbours if they are asked for at the same moment.

    Zarr asks for several chunks at once. A single read waits for one turn of the event loop.
    """
    loop = asyncio.get_running_loop()
    waiting = _wishes.setdefault(loop, {})
    wish = _Wish(offset, size, place, loop.create_future())
    if found in waiting:
        waiting[found].append(wish)
    else:
        waiting[found] = [wish]
        # A task of its own: who asked first may be cancelled.
        task = loop.create_task(_send(found, waiting))
        _sending.add(task)
        task.add_done_callback(_sending.discard)
    return await wish.answer


async def _send(found: VirtualObject, waiting: _Wishes) -> None:
    """Serve what is asked for until the loop goes round once without a new wish."""
    wishes = waiting[found]
    for _ in range(_TURNS):
        known = len(wishes)
        await asyncio.sleep(0)
        if len(wishes) == known:
            break
    del waiting[found]
    await asyncio.gather(*(_serve(found, run) for run in _runs(wishes)))


class _Run:
    """Ranges that share a request."""

    def __init__(self, wish: _Wish) -> None:
        self.wishes = [wish]
        self.begin, self.end = wish.offset, wish.offset + wish.size

    def takes(self, wish: _Wish) -> bool:
        """Add a range that begins no earlier than the last one, if it is a neighbour."""
        end = max(self.end, wish.offset + wish.size)
        if (
            wish.offset > self.end + _GAP
            or end - self.begin > JOINED_LIMIT
            or wish.place[-2:] != self.wishes[0].place[-2:]  # other checksums
        ):
            return False
        self.wishes.append(wish)
        self.end = end
        return True


def _runs(wishes: list[_Wish]) -> list[_Run]:
    """Ranges in groups of neighbours."""
    runs: list[_Run] = []
    for wish in sorted(wishes, key=lambda wish: wish.offset):
        if not runs or not runs[-1].takes(wish):
            runs.append(_Run(wish))
    return runs


async def _serve(found: VirtualObject, run: _Run) -> None:
    """Read a group in one request; when that fails, one by one, so that each gets its own error."""
    wishes = run.wishes
    try:
        data = memoryview(await _fetched(found, wishes[0].place, run.begin, run.end - run.begin))
        parts = [data[wish.offset - run.begin :][: wish.size] for wish in wishes]
    except Exception as error:
        if len(wishes) == 1:
            _answer(wishes[0], error)
        else:
            await asyncio.gather(*(_serve(found, _Run(wish)) for wish in wishes))
        return
    for wish, part in zip(wishes, parts, strict=True):
        _answer(wish, part)


async def _fetched(
    found: VirtualObject, place: Location, offset: int, size: int
) -> bytes | memoryview:
    """Read a range, a large one by several requests at once.

    Its end comes first: a damaged reference may ask for anything, and gets no memory for it.
    """
    if size < 2 * _PART:
        return await found.read_async(place, offset, size)
    rest = size - _PART
    tail = await found.read_async(place, offset + rest, _PART)
    target = memoryview(bytearray(size))
    target[rest:] = tail

    async def part(start: int) -> None:
        end = min(start + _PART, rest)
        target[start:end] = await found.read_async(place, offset + start, end - start)

    await asyncio.gather(*map(part, range(0, rest, _PART)))
    return target


def _answer(wish: _Wish, outcome: bytes | memoryview | Exception) -> None:
    if wish.answer.done():  # cancelled
        return
    if isinstance(outcome, Exception):
        wish.answer.set_exception(outcome)
    else:
        wish.answer.set_result(outcome)


def read_into(ctx: RepoContext, location: Location, start: int, target: memoryview) -> None:
    """Fill writable memory with the bytes of a chunk from `start` on."""
    if location.kind == NATIVE and location.id is not None:
        ctx.storage.read_into(_key_of(location.id), location.offset + start, target)
    elif location.kind == VIRTUAL:
        found = ctx.virtual.object(str(location.url))
        found.read_into(location, location.offset + start, target)
    else:
        target[:] = read(ctx.storage, location, RangeByteRequest(start, start + len(target)))


def is_near(ctx: RepoContext, location: Location) -> bool:
    """Whether a chunk is read in microseconds where those of the repository's own storage are."""
    return location.kind != VIRTUAL or ctx.virtual.object(str(location.url)).near


class ChunkWriter:
    """Writes chunks of one session: several to a pack where the storage can append.

    Parameters
    ----------
    storage : Storage
        Where the objects go.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = ProcessLock()
        self._pack: Pack | None = None
        self._pack_id: ObjectId | None = None
        self._pack_size = 0
        self._generation = process_generation()

    def write(self, data: bytes | memoryview) -> tuple[ObjectId, int]:
        """Store a chunk; returns its object and its offset there."""
        length = len(data)
        target = self._storage.pack_target_bytes
        if length * 4 <= target:
            pack, pack_id = self._open(length, target)
            if pack is not None:
                return pack_id, pack.append(data)
        object_id = new_object_id()
        self._storage.put(chunk_key(object_id), data)
        return object_id, 0

    def _open(self, length: int, target: int) -> tuple[Pack | None, ObjectId]:
        """Pack to append to, a fresh one when the present one is full or another process's."""
        with self._lock:
            if self._generation != process_generation():
                self._pack, self._generation = None, process_generation()
            if self._pack is not None and self._pack_size + length > target:
                self._pack.close()
                self._pack = None
            if self._pack is None:
                self._pack_id = new_object_id()
                self._pack = self._storage.open_pack(chunk_key(self._pack_id))
                self._pack_size = 0
            self._pack_size += length
            if self._pack_id is None:
                raise InternalError("a pack without an id", ErrorKind.CONCURRENCY)
            return self._pack, self._pack_id

    def close(self) -> None:
        """Finish the present pack; the next write starts another."""
        with self._lock:
            if self._pack is not None and self._generation == process_generation():
                self._pack.close()
            self._pack = None
