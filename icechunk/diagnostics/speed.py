"""Measure how long small requests take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from icechunk.diagnostics.report import Check, failed, not_applicable, passed
from icechunk.diagnostics.scratch import ScratchArea
from icechunk.files.layout import REPO

_MOST = 9
_ENOUGH_S = 1.0
_SLOW_MS = 2000.0


def latency(area: ScratchArea) -> Check:
    """Time small writes, reads and listings, one after the other."""
    for verb, calls in _verbs(area):
        median = _median(area, calls)
        if median is not None:
            area.latency_ms[verb] = median
    if not area.latency_ms:
        return not_applicable("latency", area.bounds.why_not or "nothing to time")
    said = ", ".join(f"{verb} {_shown(ms)}" for verb, ms in area.latency_ms.items())
    if max(area.latency_ms.values()) > _SLOW_MS:
        advice = "work nearer to the storage, or commit less often"
        return failed("latency", f"{said} (medians)", advice)
    return passed("latency", f"{said} (medians)")


def _shown(ms: float) -> str:
    return f"{ms * 1000:.0f} µs" if ms < 1 else f"{ms:.3g} ms"


def _verbs(area: ScratchArea) -> Iterator[tuple[str, Callable[[int], object]]]:
    """Yield the verbs that can be timed here, each as what its n-th call does."""
    place, timed = area.place, [area.key(f"timed-{n}") for n in range(_MOST)]
    if area.why_not_written:
        storage = area.storage
        if area.tried(lambda: storage.head(REPO)).value is not None:
            yield "get", lambda n: bytes(storage.read_range(REPO, 0, 1))
    else:
        yield "put", lambda n: place.put(timed[n], b"x")
        yield "get", lambda n: place.get(timed[0])
    yield "list", lambda n: sum(1 for _ in place.list(area.prefix))


def _median(area: ScratchArea, call: Callable[[int], object]) -> float | None:
    """Return the median of some calls in milliseconds; None where they fail."""

    def timed() -> list[float]:
        times: list[float] = []
        end = time.monotonic() + _ENOUGH_S
        for n in range(_MOST):
            began = time.perf_counter()
            call(n)
            times.append((time.perf_counter() - began) * 1000)
            if time.monotonic() > end:
                break
        return times

    times = area.tried(timed).value
    return statistics.median(times) if times else None
