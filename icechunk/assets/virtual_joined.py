"""Ranges of one object that are asked for at the same moment share requests."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from weakref import WeakKeyDictionary

from icechunk.assets.virtual_object import VirtualObject
from icechunk.model.chunk_table import Location

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


async def read_joined(
    found: VirtualObject, place: Location, offset: int, size: int
) -> bytes | memoryview:
    """Read a range, together with its neighbours if they are asked for at the same moment.

    Zarr asks for several chunks at once. A single read waits for one turn of the event loop.

    Parameters
    ----------
    found : VirtualObject
        What to read from.
    place : Location
        The chunk, with its checksum.
    offset, size : int
        Bytes of the object.
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
