"""Find dask blocks that would write to the same Zarr chunk, before anything is written.

Zarr reads a chunk that a write covers in part, changes it and stores it again.  Two writers that do
so at the same time lose one of the two changes.  With shards the shard is what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.pool import ThreadPool
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import dask.array as da
import numpy as np
from dask import config
from dask.base import get_scheduler

from icechunk.core.errors import ErrorKind, InvalidInputError

if TYPE_CHECKING:
    import zarr

Numbers = np.ndarray[Any, np.dtype[np.int64]]

_SHOWN_EDGES = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """How the blocks of a source lie along one axis of its target.

    Attributes
    ----------
    source : int or None
        Axis of the source; None where the region is one index.
    first, last : ndarray of int64
        First and last cell of each block that is not empty, in order.
    step : int
        Distance of neighbouring cells.
    """

    source: int | None
    first: Numbers
    last: Numbers
    step: int


@dataclass(frozen=True)
class Part:
    """What one source writes of its target."""

    number: int
    target: zarr.Array[Any]
    region: tuple[slice | int, ...]
    axes: tuple[Axis, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return any(not len(axis.first) for axis in self.axes)

    @cached_property
    def grid(self) -> tuple[int | Numbers, ...]:
        """Of every axis: size of the chunks (or shards), or where each begins if they differ."""
        # The grid of an array with shards is that of the shards: the chunks are their codec's.
        regular = getattr(self.target.metadata.chunk_grid, "chunk_shape", None)
        if regular is not None:
            return tuple(max(int(size), 1) for size in regular)
        sizes = cast(Any, self.target).write_chunk_sizes
        return tuple(np.cumsum((0, *along[:-1]), dtype=np.int64) for along in sizes)

    def chunks_of(self, axis: int, cells: Numbers) -> Numbers:
        """Position of the chunk (or shard) that each cell lies in, along one axis."""
        grid = self.grid[axis]
        return cells // grid if isinstance(grid, int) else np.searchsorted(grid, cells, "right") - 1

    def starts_of(self, axis: int, chunks: Numbers) -> Numbers:
        """First cell of chunks (or shards) by their position along one axis."""
        grid = self.grid[axis]
        return chunks * grid if isinstance(grid, int) else grid[chunks]

    @cached_property
    def divided(self) -> dict[int, int]:
        """Axes along which two blocks share a chunk, each with the first block that does."""
        found = {}
        for number, axis in enumerate(self.axes):
            starts = self.chunks_of(number, axis.first)
            shared = self.chunks_of(number, axis.last)[:-1] >= starts[1:]
            if shared.any():
                found[number] = int(shared.argmax())
        return {} if self.is_empty else found

    def reaches(self, other: Part) -> bool:
        """Whether both write to one chunk."""
        return all(
            ours[0] <= theirs[1] and theirs[0] <= ours[1]
            for ours, theirs in zip(self.box, other.box, strict=True)
        )

    def overlaps(self, other: Part) -> bool:
        """Whether both write to one cell, as far as can be said without looking at each."""
        return all(
            ours.step == theirs.step == 1
            and ours.first[0] <= theirs.last[-1]
            and theirs.first[0] <= ours.last[-1]
            for ours, theirs in zip(self.axes, other.axes, strict=True)
        )

    @cached_property
    def box(self) -> list[tuple[int, int]]:
        return [
            (
                int(self.chunks_of(number, axis.first[:1])[0]),
                int(self.chunks_of(number, axis.last[-1:])[0]),
            )
            for number, axis in enumerate(self.axes)
        ]


def parts_of(
    sources: Sequence[Any], targets: Sequence[zarr.Array[Any]], regions: Sequence[Any] | None
) -> list[Part]:
    """What each source writes.

    Raises
    ------
    InvalidInputError
        When numbers, kinds or shapes do not fit together.
    """
    if isinstance(regions, tuple) or regions is None:
        regions = [regions] * len(sources)
    if not len(sources) == len(targets) == len(regions):
        raise InvalidInputError(
            f"Different number of sources [{len(sources)}], targets [{len(targets)}] and regions "
            f"[{len(regions)}]: pass one target, and one region if any, per source",
            ErrorKind.INVALID_REGION,
        )
    return [
        _part(number, source, target, region)
        for number, (source, target, region) in enumerate(
            zip(sources, targets, regions, strict=True)
        )
    ]


def _part(number: int, source: Any, target: zarr.Array[Any], region: Any) -> Part:
    if not isinstance(source, da.Array):
        raise InvalidInputError(
            f"All sources must be dask array objects, and source {number} is a "
            f"{type(source).__name__}: write it with `target[...] = source`",
            ErrorKind.INVALID_REGION,
        )
    if any(np.isnan(size) for size in source.shape):
        raise InvalidInputError(
            f"the sizes of the blocks of source {number} (for {_name(target)}) are not known; "
            "call its `compute_chunk_sizes()` first",
            ErrorKind.INVALID_REGION,
        )
    given = region
    if given is None:
        # As dask does: a smaller source goes to the corner where all indices are 0.
        region = tuple(slice(0, size) for size in source.shape)
    elif not isinstance(region, tuple):
        region = (region,)
    region += (slice(None),) * (target.ndim - len(region))
    fits = len(region) == target.ndim and all(
        isinstance(where, Integral) or (isinstance(where, slice) and (where.step or 1) > 0)
        for where in region
    )
    if not fits:
        raise InvalidInputError(
            f"the region {given!r} does not fit {_name(target)}, which has {target.ndim} "
            "dimensions: give one slice with a positive step, or one index, per dimension",
            ErrorKind.INVALID_REGION,
        )
    axes, bounds = _laid_out(source, target, region)
    expected = tuple(
        len(range(*where.indices(size)))
        for where, size in zip(region, target.shape, strict=True)
        if isinstance(where, slice)
    )
    if axes is None or expected != source.shape:
        raise InvalidInputError(
            f"source {number} has the shape {source.shape}, and the part of {_name(target)} "
            f"(shape {target.shape}) that it is for has {expected}; resize the array, or give "
            "the region that fits",
            ErrorKind.INVALID_REGION,
        )
    return Part(number, target, bounds, axes)


def _laid_out(
    source: da.Array, target: zarr.Array[Any], region: tuple[Any, ...]
) -> tuple[tuple[Axis, ...] | None, tuple[slice | int, ...]]:
    """Blocks along each axis, and the region with plain bounds; None where axes are left over."""
    axes: list[Axis] = []
    bounds: list[slice | int] = []
    blocks = enumerate(source.chunks)
    for where, size in zip(region, target.shape, strict=True):
        if not isinstance(where, slice):
            if not -size <= where < size:
                return None, ()
            cell = np.array([where % size], np.int64)
            axes.append(Axis(None, cell, cell, 1))
            bounds.append(int(cell[0]))
            continue
        start, stop, step = where.indices(size)
        number, sizes = next(blocks, (None, ()))
        if number is None:
            return None, ()
        ends = np.cumsum(sizes, dtype=np.int64)
        filled = np.asarray(sizes, np.int64) > 0
        first = (ends - np.asarray(sizes, np.int64))[filled]
        axes.append(Axis(number, start + step * first, start + step * (ends[filled] - 1), step))
        bounds.append(slice(start, stop, step))
    return (None if next(blocks, None) else tuple(axes)), tuple(bounds)


def need_lock(parts: list[Part], *, of_xarray: bool = False, **options: Any) -> bool:
    """Whether the blocks must be written one after another.

    Parameters
    ----------
    parts : list of Part
        What is written.
    of_xarray : bool
        Advise in terms of xarray.
    **options
        Options of ``dask.compute``, which choose the scheduler.

    Raises
    ------
    InvalidInputError
        Kind ``shared-chunk`` when blocks share a chunk or shard and the scheduler runs them where
        one lock does not reach; or when two sources write the same cells, on any scheduler.
    """
    advice: list[str] = []
    by_target: dict[str, list[Part]] = {}
    for part in parts:
        if part.is_empty:
            continue
        if part.divided and not advice:
            advice.append(_about_blocks(part, of_xarray))
        others = by_target.setdefault(part.target.path, [])
        for other in others:
            if part.overlaps(other):
                raise InvalidInputError(
                    f"sources {other.number} and {part.number} both write the same cells of "
                    f"{_name(part.target)}, and which is last is not defined; give them regions "
                    "that do not overlap",
                    ErrorKind.SHARED_CHUNK,
                )
            if not advice and part.reaches(other):
                advice.append(_about_sources(other, part))
        others.append(part)
    if not advice:
        return False
    if not _in_one_process([part.target for part in parts], options):
        raise InvalidInputError(advice[0], ErrorKind.SHARED_CHUNK)
    return True


def _in_one_process(targets: list[Any], options: dict[str, Any]) -> bool:
    """Whether dask will run all on the threads of this process, where one lock reaches all."""
    import dask.local
    import dask.threaded

    chosen = options.get("scheduler") or config.get("scheduler", None)
    if isinstance(chosen, ThreadPoolExecutor):
        return True
    get = get_scheduler(scheduler=options.get("scheduler"), cls=da.Array)  # type: ignore[no-untyped-call]
    if get is dask.local.get_sync:
        return True
    pool = options.get("pool") or config.get("pool", None)
    return get is dask.threaded.get and (
        pool is None or isinstance(pool, ThreadPoolExecutor | ThreadPool)
    )


def _about_blocks(part: Part, of_xarray: bool) -> str:
    """What is wrong with the blocks of a source, and how to put it right."""
    number, block = next(iter(part.divided.items()))
    axis = part.axes[number]
    kind = _kind(part)
    low, high = part.chunks_of(number, np.array([axis.first[0], axis.last[-1]])).tolist()
    shared = part.chunks_of(number, axis.last[block : block + 1])
    seen = np.arange(low, high + 1) if high - low < 20 else np.array([*range(low, low + 10), high])
    return (
        f"dask blocks {block} and {block + 1} (of {len(axis.first)}) along dimension "
        f"{_dimension(part, number)} of {_name(part.target)} would write to one Zarr {kind}, the "
        f"one that starts at {int(part.starts_of(number, shared)[0])}, at the same time: one of "
        f"the writes would be lost. The dask blocks start at {_some(axis.first)}; the Zarr "
        f"{kind}s at {_some(part.starts_of(number, seen))}. {_remedy(part, of_xarray)}"
    )


def _about_sources(one: Part, two: Part) -> str:
    """What is wrong with two sources for one array, and how to put it right."""
    kind = _kind(two)
    shared = [max(a[0], b[0]) for a, b in zip(one.box, two.box, strict=True)]
    starts = ", ".join(
        f"{_dimension(two, axis)} {int(two.starts_of(axis, np.array([chunk]))[0])}"
        for axis, chunk in enumerate(shared)
    )
    return (
        f"sources {one.number} and {two.number} would write to one Zarr {kind} of "
        f"{_name(two.target)}, the one that starts at {starts}, at the same time: one of the "
        f"writes would be lost. Their regions are {one.region} and {two.region}. Let every region "
        f"start where a {kind} does, or join the sources with `dask.array.concatenate`; or write "
        'with scheduler="threads", which writes block after block'
    )


def _remedy(part: Part, of_xarray: bool) -> str:
    sizes = ", ".join(
        f"{_dimension(part, number) if of_xarray else part.axes[number].source}: "
        f"{_fitting(part, number)}"
        for number in part.divided
    )
    if of_xarray:
        return (
            f"Rechunk it: dataset.chunk({{{sizes}}}), or pass align_chunks=True; or write with "
            'chunkmanager_store_kwargs={"scheduler": "threads"}, which writes block after block'
        )
    return (
        f"Rechunk it: sources[{part.number}].rechunk({{{sizes}}}); or write with "
        'scheduler="threads", which writes block after block'
    )


def _fitting(part: Part, number: int) -> str:
    """Block sizes along an axis that fit the chunks, about as large as they are now."""
    axis, chunk = part.axes[number], part.grid[number]
    if axis.step != 1 or not isinstance(chunk, int):
        return "-1"
    start, stop = int(axis.first[0]), int(axis.last[-1]) + 1
    wanted = max(1, round((stop - start) / len(axis.first) / chunk)) * chunk
    if start % chunk == 0:
        return str(wanted)
    head = min(wanted - start % chunk, stop - start)
    whole, tail = divmod(stop - start - head, wanted)
    between = [f"*[{wanted}] * {whole}"] if whole else []
    return f"({', '.join([str(head), *between, *([str(tail)] if tail else [])])},)"


def _kind(part: Part) -> str:
    codecs = getattr(part.target.metadata, "codecs", ())
    return "shard" if any("Sharding" in type(codec).__name__ for codec in codecs) else "chunk"


def _name(target: zarr.Array[Any]) -> str:
    return f"/{target.path}"


def _dimension(part: Part, number: int) -> str:
    names = getattr(part.target.metadata, "dimension_names", None)
    name = names[number] if names else None
    return str(number) if name is None else repr(name)


def _some(edges: Numbers) -> str:
    shown = [str(edge) for edge in edges.tolist()]
    if len(shown) > _SHOWN_EDGES + 1:
        shown = [*shown[:_SHOWN_EDGES], "…", shown[-1]]
    return ", ".join(shown)
