"""Ranges of one object that are asked for at the same moment share requests."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from weakref import WeakKeyDictionary

from icechunk.spec.manifest.chunk_table import Location
from icechunk.virtual_chunks.source import VirtualObject

JOINED_LIMIT = 1024 * 1024
"""Largest request, in bytes, that reads neighbouring ranges: beyond, several at once are faster."""


_GAP = 16 * 1024  # bytes between two ranges that are read for nothing rather than asked around
_PART = 12 * 1024 * 1024
"""Bytes of one request of several that read a large chunk; one connection has its limits."""
_TURNS = 64  # of the event loop, at most, while more are asked for in every one


class _RangeRequest(NamedTuple):
    """A range that somebody waits for."""

    offset: int
    size: int
    place: Location
    answer: asyncio.Future[bytes | memoryview]


_RangeRequests = dict[VirtualObject, list[_RangeRequest]]
_pending: WeakKeyDictionary[asyncio.AbstractEventLoop, _RangeRequests] = WeakKeyDictionary()
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
    waiting = _pending.setdefault(loop, {})
    request = _RangeRequest(offset, size, place, loop.create_future())
    if found in waiting:
        waiting[found].append(request)
    else:
        waiting[found] = [request]
        # A task of its own: who asked first may be cancelled.
        task = loop.create_task(_send(found, waiting))
        _sending.add(task)
        task.add_done_callback(_sending.discard)
    return await request.answer


async def _send(found: VirtualObject, waiting: _RangeRequests) -> None:
    """Serve what is asked for until the loop goes round once without a new wish."""
    requests = waiting[found]
    for _ in range(_TURNS):
        known = len(requests)
        await asyncio.sleep(0)
        if len(requests) == known:
            break
    del waiting[found]
    await asyncio.gather(*(_serve(found, run) for run in _runs(requests)))


class _Run:
    """Ranges that share a request."""

    def __init__(self, request: _RangeRequest) -> None:
        self.requests = [request]
        self.begin, self.end = request.offset, request.offset + request.size

    def takes(self, request: _RangeRequest) -> bool:
        """Add a range that begins no earlier than the last one, if it is a neighbour."""
        end = max(self.end, request.offset + request.size)
        if (
            request.offset > self.end + _GAP
            or end - self.begin > JOINED_LIMIT
            or request.place[-2:] != self.requests[0].place[-2:]  # other checksums
        ):
            return False
        self.requests.append(request)
        self.end = end
        return True


def _runs(requests: list[_RangeRequest]) -> list[_Run]:
    """Ranges in groups of neighbours."""
    runs: list[_Run] = []
    for request in sorted(requests, key=lambda request: request.offset):
        if not runs or not runs[-1].takes(request):
            runs.append(_Run(request))
    return runs


async def _serve(found: VirtualObject, run: _Run) -> None:
    """Read a group in one request; when that fails, one by one, so that each gets its own error."""
    requests = run.requests
    try:
        data = memoryview(await _fetched(found, requests[0].place, run.begin, run.end - run.begin))
        parts = [data[request.offset - run.begin :][: request.size] for request in requests]
    except Exception as error:
        if len(requests) == 1:
            _answer(requests[0], error)
        else:
            await asyncio.gather(*(_serve(found, _Run(request)) for request in requests))
        return
    for request, part in zip(requests, parts, strict=True):
        _answer(request, part)


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


def _answer(request: _RangeRequest, outcome: bytes | memoryview | Exception) -> None:
    if request.answer.done():  # cancelled
        return
    if isinstance(outcome, Exception):
        request.answer.set_exception(outcome)
    else:
        request.answer.set_result(outcome)
