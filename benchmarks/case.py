"""What a benchmark case is, and what one run of it reports."""

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
#: Rust-backed library · zarr: zarr's LocalStore, no versions · floor: plain files, the least the
#: operating system asks for the same bytes
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
        How many operations were measured.
    peak_rss
        Bytes, the process's high-water mark at the end of the run.
    extra
        Further seconds worth knowing, by name.
    """

    wall: float
    cpu: float
    operations: int
    peak_rss: int = 0
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A thing to measure.

    Attributes
    ----------
    name, title
        The word for ``--case`` and the heading of its table.
    state
        What is warm, what is synced: without it a figure says nothing.
    place
        "memory" (tmpfs: the cost of the code) or "disk" (what a person feels).
    size
        Number of chunks or references at full scale.
    goal
        How many times faster than the reference it shall be; None where there is no comparison.
    limit
        Seconds of wall time per operation that ours may take at most.
    implementations
        Who takes part.
    prepare
        (implementation, folder, size): runs once, not measured; None where there is nothing to do.
    seed
        (folder, size): runs once, not measured, by ours; everybody gets a copy of the folder.
    measure
        The same arguments as `prepare`: runs once per round, in a process of its own.
    clock
        Which seconds goal and limit are about: "cpu" where other work would disturb "wall".
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
    """Return the largest memory this process has held, in bytes."""
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
