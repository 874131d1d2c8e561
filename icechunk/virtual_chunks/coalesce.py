"""Joins ranges of one object that are requested at the same moment."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from weakref import WeakKeyDictionary

from icechunk.spec.manifest.chunk_table import Location
from icechunk.virtual_chunks.source import VirtualObject

JOINED_LIMIT = 1024 * 1024
"""Most bytes of a request for neighbouring ranges: above, parallel requests are faster."""

_GAP = (
    16 * 1024
)  # bytes between two ranges up to which reading them costs less than a second request
_PART = 12 * 1024 * 1024
"""Bytes of each of several parallel requests for a large chunk: one connection is slower."""
_TURNS = 64  # of the event loop, at most, while each brings further requests


class _RangeRequest(NamedTuple):
    """A range that a reader waits for."""

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
    """Read a range, in one request with its neighbours if they are requested at the same moment.

    Zarr requests several chunks at once. A single read waits for one turn of the event loop.

    Parameters
    ----------
    found : VirtualObject
        The object.
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
        # A task of its own: the first reader may be cancelled, the others still wait.
        task = loop.create_task(_send(found, waiting))
        _sending.add(task)
        task.add_done_callback(_sending.discard)
    return await request.answer


async def _send(found: VirtualObject, waiting: _RangeRequests) -> None:
    """Collect requests until one turn of the loop brings no further one, then send them."""
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
    """Return ranges in groups of neighbours."""
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

    Its end is read first: a damaged reference may have any size, and must fail before memory is
    reserved.
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
