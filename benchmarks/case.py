"""Benchmark cases, and the samples that their runs report."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: ours: this project · ours-fast: with its own codec pipeline switched on · reference: the
#: Rust-backed library · zarr: zarr's LocalStore, no versions · floor: plain files of the same
#: bytes, as a lower limit
Implementation = Literal["ours", "ours-fast", "reference", "zarr", "floor"]

CHUNK_ITEMS = 16_384  #: float32 values per chunk
CHUNK_BYTES = CHUNK_ITEMS * 4  #: 64 KiB


@dataclass(frozen=True)
class Sample:
    """One measured run in one process.

    Attributes
    ----------
    wall, cpu
        Seconds per operation; CPU is user and system time of all threads of the process.
    operations
        Number of operations measured.
    peak_rss
        Largest memory of the process during the run, in bytes.
    extra
        Further measured seconds, by name.
    """

    wall: float
    cpu: float
    operations: int
    peak_rss: int = 0
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A benchmark.

    Attributes
    ----------
    name, title
        Name for ``--case``, and heading of its table.
    state
        What is cached and what is synced, which a figure depends on.
    place
        "memory" (tmpfs: the cost of the code) or "disk" (the time that users wait).
    size
        Number of chunks or references at full scale.
    goal
        Required speed relative to the reference; None without a comparison.
    limit
        Largest wall time per operation of this project, in seconds.
    implementations
        Implementations that are measured.
    prepare
        (implementation, folder, size): runs once, not measured; None if nothing is to be prepared.
    seed
        (folder, size): runs once, not measured, by this project; each implementation gets a copy
        of the folder.
    measure
        The same arguments as `prepare`: runs once per round, in a process of its own.
    clock
        Time that goal and limit refer to: "cpu" if other work would disturb "wall".
    """

    name: str
    title: str
    state: str
    place: Literal["memory", "disk"]
    size: int
    implementations: Sequence[Implementation]
    measure: Callable[[Implementation, Path, int], Sample]
    prepare: Callable[[Implementation, Path, int], None] | None = None
    seed: Callable[[Path, int], None] | None = None
    goal: float | None = None
    limit: float | None = None
    clock: Literal["wall", "cpu"] = "wall"


class Stopwatch:
    """Wall and CPU seconds of a block."""

    wall: float = 0.0
    cpu: float = 0.0

    def sample(self, operations: int = 1, **extra: float) -> Sample:
        return Sample(self.wall / operations, self.cpu / operations, operations, extra=extra)


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure the block."""
    watch = Stopwatch()
    cpu, wall = time.process_time(), time.perf_counter()
    yield watch
    watch.wall = time.perf_counter() - wall
    watch.cpu = time.process_time() - cpu


def peak_rss() -> int:
    """Return the largest memory of this process, in bytes."""
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
