"""An optional Zarr codec pipeline that reads and writes all chunks of a selection at once.

Zarr's own pipeline runs several asyncio tasks per chunk, which takes longer than a local read. This
one uses plain calls for sessions on local and in-memory storage: uncompressed chunks are read into
the memory of the caller, other chunks go through the synchronous methods of their codecs, and long
selections run on several threads. Everything else (other stores, remote storage, shards, chunks
written in part) is left to Zarr's pipeline, which this one extends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from math import prod
from typing import Any, TypeVar

import numpy as np
import zarr
from zarr.codecs import BytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer, cpu
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import register_pipeline
from zarr.storage import StorePath

from icechunk.core.runtime import map_parallel, on_front
from icechunk.engine.payload import INLINE_READ_LIMIT, fetch, is_near, read_into
from icechunk.spec.manifest.chunk_table import Location
from icechunk.store.zarr_store import IcechunkStore

Item = tuple[Any, ArraySpec, Any, Any, bool]
"""Byte getter or setter, array spec, selection in the chunk and in the array, is whole chunk."""

T = TypeVar("T")

_WIDTH = min(os.cpu_count() or 1, 8)
_ALONE = 16  # fewest chunks per thread: with less work, starting the thread takes longer

# Measured with local files in the page cache: waking a thread takes as long as copying 512 KiB. Two
# threads read chunks below 128 KiB no faster than one, and never write a pack faster. With codecs,
# two threads are faster.
_AT_ONCE = 512 * 1024
_SMALL_CHUNK = 128 * 1024


def fast_pipeline(enabled: bool = True) -> Any:
    """Use a faster codec pipeline for arrays that are opened afterwards.

    Sets Zarr's option ``codec_pipeline.path`` to a pipeline that reads and writes the chunks of
    sessions on local and in-memory storage without a task per chunk. Results are the same. Arrays
    in other stores keep using Zarr's pipeline.

    Parameters
    ----------
    enabled : bool, default True
        False sets Zarr's own default pipeline.

    Returns
    -------
    context manager
        Restores the option at the end of a ``with`` statement; it need not be used.

    Examples
    --------
    >>> with icechunk.fast_pipeline():
    ...     array = zarr.open_array(session.store, path="a")
    """
    register_pipeline(IcechunkPipeline)
    chosen = IcechunkPipeline if enabled else BatchedCodecPipeline
    return zarr.config.set({"codec_pipeline.path": f"{chosen.__module__}.{chosen.__qualname__}"})


class IcechunkPipeline(BatchedCodecPipeline):
    """Zarr's default pipeline, with synchronous reads and writes for sessions on local storage."""

    @cached_property
    def _is_synchronous(self) -> bool:
        """Whether chunks are encoded as plain bytes by codecs that can run in any thread."""
        return type(self.array_bytes_codec) is BytesCodec and all(
            hasattr(codec, "_decode_sync")
            and hasattr(codec, "_encode_sync")
            and getattr(codec, "_sync_capable", True)
            for codec in self
        )

    @property
    def _is_coded(self) -> bool:
        """Whether chunks are transformed or compressed, not only copied."""
        return bool(self.array_array_codecs or self.bytes_bytes_codecs)

    def _is_small(self, batch: list[Item]) -> bool:
        """Whether a batch takes less time than starting a thread for it."""
        limit = INLINE_READ_LIMIT if self._is_coded else _AT_ONCE
        return len(batch) * _nbytes(batch[0][1]) <= limit

    def _store_of(self, batch: list[Item], data: NDBuffer) -> IcechunkStore | None:
        """Store of a batch that this pipeline handles itself; None leaves the batch to Zarr."""
        if not batch or not self._is_synchronous or type(data) is not cpu.NDBuffer:
            return None
        place, spec = batch[0][0], batch[0][1]
        if type(place) is not StorePath or type(place.store) is not IcechunkStore:
            return None
        plain = spec.fill_value is not None and issubclass(spec.prototype.buffer, cpu.Buffer)
        store: IcechunkStore = place.store
        # Remote virtual chunks can be in a local repository; `_locate` looks for them.
        return store if plain and store._transaction.ctx.storage.blocking_ok else None

    # -- reading ---------------------------------------------------------------------------------

    async def read(
        self, batch_info: Iterable[Any], out: NDBuffer, drop_axes: tuple[int, ...] = ()
    ) -> Any:
        """Read and decode chunks, and copy the selected parts into `out`."""
        batch: list[Item] = list(batch_info)
        store = self._store_of(batch, out)
        if store is not None:
            work = partial(self._read, store, batch, out, drop_axes)
            small = self._is_small(batch)
            present = work(False) if small else await on_front(work, True)
            if present is None and small:
                present = await on_front(work, True)
            if present is not None:
                return tuple({"status": "present" if held else "missing"} for held in present)
        return await super().read(batch, out, drop_axes)

    def _read(
        self,
        store: IcechunkStore,
        batch: list[Item],
        out: NDBuffer,
        drop_axes: tuple[int, ...],
        may_load: bool,
    ) -> list[bool] | None:
        """Read a batch; None, with nothing read, when a chunk needs Zarr's pipeline."""
        places = _locate(store, batch, may_load)
        if places is None:
            return None
        ctx = store._transaction.ctx
        array = out.as_numpy_array()
        plain = not drop_axes and self._stored_dtype(batch[0][1]) == array.dtype

        def one(job: tuple[Item, Location | None]) -> bool:
            item, place = job
            _, spec, inner, outer, _ = item
            if place is None:
                out[outer] = spec.fill_value
                return False
            if plain and place.length == array.itemsize * prod(spec.shape):
                target = _memory(array, outer)
                start = None if target is None else _start(inner, spec.shape, target.size)
                if target is not None and start is not None:
                    memory = target.reshape(-1).view(np.uint8).data
                    read_into(ctx, place, start * array.itemsize, memory)
                    return True
            chunk = self._decode(spec.prototype.buffer.from_bytes(fetch(ctx, place, None)), spec)
            part = chunk[inner]
            out[outer] = part.squeeze(axis=drop_axes) if drop_axes else part
            return True

        threads = _WIDTH if self._is_coded or _nbytes(batch[0][1]) >= _SMALL_CHUNK else 1
        return _each(one, list(zip(batch, places, strict=True)), threads)

    def _stored_dtype(self, spec: ArraySpec) -> np.dtype[Any] | None:
        """Data type of the stored bytes when they are the plain array, else None.

        Only numbers and times are plain: Zarr encodes text and structures in its own way.
        """
        codec = self.array_bytes_codec
        dtype = spec.dtype.to_native_dtype()
        if self._is_coded or dtype.kind not in "biufcmM":
            return None
        endian = getattr(codec, "endian", None)
        return dtype if endian is None else dtype.newbyteorder(getattr(endian, "value", endian))

    def _decode(self, data: Buffer, spec: ArraySpec) -> NDBuffer:
        """Decode one chunk: the codecs in reverse order."""
        specs = []
        for codec in self.array_array_codecs:
            specs.append(spec)
            spec = codec.resolve_metadata(spec)
        for squeezer in reversed(self.bytes_bytes_codecs):
            data = _sync(squeezer)._decode_sync(data, spec)
        chunk: NDBuffer = _sync(self.array_bytes_codec)._decode_sync(data, spec)
        for codec, former in zip(reversed(self.array_array_codecs), reversed(specs), strict=True):
            chunk = _sync(codec)._decode_sync(chunk, former)
        return chunk

    # -- writing ---------------------------------------------------------------------------------

    async def write(
        self, batch_info: Iterable[Any], value: NDBuffer, drop_axes: tuple[int, ...] = ()
    ) -> None:
        """Split values into chunks, encode them and store them."""
        batch: list[Item] = list(batch_info)
        store = None if drop_axes or value.shape == () else self._store_of(batch, value)
        if store is not None and value.dtype == batch[0][1].dtype.to_native_dtype():
            whole = [item for item in batch if _is_whole(item, value)]
            if whole:
                threads = _WIDTH if self._is_coded else 1
                work = partial(_each, partial(self._write, store, value), whole, threads)
                if self._is_small(whole):
                    work()
                else:
                    await on_front(work)
                batch = [item for item in batch if not _is_whole(item, value)]
        if batch:
            await super().write(batch, value, drop_axes)

    def _write(self, store: IcechunkStore, value: NDBuffer, item: Item) -> None:
        """Store a whole chunk; delete it instead when it only contains the fill value."""
        place, spec, _, outer, _ = item
        chunk = value[outer]
        skip = not spec.config.write_empty_chunks and _is_empty(chunk, spec.fill_value)
        data = None if skip else self._encode(chunk, spec)
        if data is None:
            store.delete_sync(place.path)
        else:
            store.set_sync(place.path, data)

    def _encode(self, chunk: NDBuffer, spec: ArraySpec) -> Buffer | None:
        """Encode one chunk; None when a codec returns None for it."""
        data: Any = chunk
        for codec in self:
            data = _sync(codec)._encode_sync(data, spec)
            if data is None:
                return None
            spec = codec.resolve_metadata(spec)
        result: Buffer = data
        return result


def _sync(codec: Any) -> Any:
    """A codec whose synchronous methods `_is_synchronous` has checked (for type checkers)."""
    return codec


def _nbytes(spec: ArraySpec) -> int:
    """Decoded size of a chunk in bytes."""
    return prod(spec.shape) * int(spec.dtype.to_native_dtype().itemsize)


def _locate(
    store: IcechunkStore, batch: list[Item], may_load: bool
) -> list[Location | None] | None:
    """Locations of the chunks of a batch; None when one of them is not local.

    Without `may_load`, also None when a manifest is not in memory.
    """
    places: list[Location | None] = []
    for item in batch:
        key = item[0].path
        found = store._fetch_location(key) if may_load else store._locate(key)
        if found is not None and not (
            isinstance(found, Location) and is_near(store._transaction.ctx, found)
        ):
            return None
        places.append(found)
    return places


def _memory(array: np.ndarray[Any, Any], outer: Any) -> np.ndarray[Any, Any] | None:
    """Selected part of an array if it is contiguous in memory, else None."""
    if not isinstance(outer, tuple) or not outer or not all(type(i) is slice for i in outer):
        return None
    target: np.ndarray[Any, Any] = array[outer]
    return target if target.flags.c_contiguous and target.flags.writeable else None


def _start(inner: Any, shape: tuple[int, ...], size: int) -> int | None:
    """Index of the first element of a selection that is contiguous in the chunk, else None.

    Parameters
    ----------
    inner : tuple of int or slice
        Selection in the chunk; other types and steps are not contiguous.
    shape : tuple of int
        Shape of the chunk, which is stored in C order.
    size : int
        Number of elements that the selection must have.
    """
    if not isinstance(inner, tuple) or len(inner) != len(shape):
        return None
    start, count, stride = 0, 1, 1
    for index, side in zip(reversed(inner), reversed(shape), strict=True):
        if isinstance(index, slice):
            first, last, step = index.indices(side)
            length = last - first
            if step != 1 or length < 1 or (length > 1 and count != stride):
                return None
            count *= length
        elif type(index) is int and 0 <= index < side:
            first = index
        else:
            return None
        start += first * stride
        stride *= side
    return start if count == size else None


def _is_whole(item: Item, value: NDBuffer) -> bool:
    """Whether a chunk is written as a whole."""
    return item[4] and value[item[3]].shape == item[1].shape


def _is_empty(chunk: NDBuffer, fill: Any) -> bool:
    """Whether a chunk only contains the fill value; compares its first element first."""
    first = chunk.as_numpy_array().flat[0]
    if chunk.dtype.kind in "biuf" and first == first and first != fill:
        return False
    return chunk.all_equal(fill)


def _each(one: Callable[[Any], T], jobs: list[Any], threads: int) -> list[T]:
    """Run a function on all jobs, on several threads when there are many."""
    width = min(threads, len(jobs) // _ALONE)
    if width < 2:
        return [one(job) for job in jobs]
    size = -(-len(jobs) // width)
    shares = [jobs[at : at + size] for at in range(0, len(jobs), size)]
    return [done for share in map_parallel(lambda s: [one(j) for j in s], shares) for done in share]
