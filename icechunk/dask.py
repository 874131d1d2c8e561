"""Write dask arrays through forked sessions, on any dask scheduler."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import dask.array as da
import numpy as np
from dask.base import compute
from dask.utils import SerializableLock

from icechunk._dask_blocks import need_lock, parts_of
from icechunk.distributed import extract_session, in_session, merge_sessions
from icechunk.session import ForkSession, Session

if TYPE_CHECKING:
    import zarr

__all__ = [
    "SimpleGraph",
    "computing_meta",
    "merge_sessions_array_kwargs",
    "session_merge_reduction",
    "store_dask",
]

SimpleGraph = Mapping[tuple[str, int], tuple[Any, ...]]
"""A dask graph: keys of blocks to tasks."""

P = ParamSpec("P")
R = TypeVar("R")


def computing_meta(func: Callable[P, R]) -> Callable[P, Any]:
    """Keep a block function from running while dask only asks what kind of array it returns.

    Parameters
    ----------
    func : callable
        Function of one block, whose result is not an array.

    Returns
    -------
    callable
        The function; called with ``computing_meta=True``, as dask does on arrays without
        elements, it returns an object array instead.
    """

    @functools.wraps(func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        if kwargs.pop("computing_meta", False):
            return np.array([object()], dtype=object)
        return func(*args, **kwargs)

    # Dask looks for the keyword in the signature, which `wraps` took from `func`.
    del wrapper.__wrapped__
    return wrapper


def merge_sessions_array_kwargs(
    *sessions: Any, axis: Any = None, keepdims: Any = None
) -> ForkSession:
    """Merge forks into the first; takes and ignores the keywords of dask's reductions."""
    return merge_sessions(*sessions)


def session_merge_reduction(
    arrays: da.Array | list[da.Array], *, split_every: int | None, **store_kwargs: Any
) -> ForkSession:
    """Compute stored arrays and merge the forks that their blocks come back with.

    Parameters
    ----------
    arrays : dask.array.Array or list of dask.array.Array
        Arrays whose blocks are Zarr arrays, as ``dask.array.store(..., compute=False,
        return_stored=True, load_stored=False)`` gives.
    split_every : int, optional
        How many forks are merged at a time; dask's default when None.
    **store_kwargs
        Passed to ``dask.compute``, e.g. ``scheduler``.

    Returns
    -------
    ForkSession
        The first fork, with the changes of all.

    Raises
    ------
    TypeError
        When one is not a dask array, or its blocks are not Zarr arrays of Icechunk sessions.
    """
    stored = list(arrays) if isinstance(arrays, (list, tuple)) else [arrays]
    for array in stored:
        if not isinstance(array, da.Array):
            raise TypeError(
                f"Expected a dask array, received {type(array)}; pass what `dask.array.store(..., "
                "compute=False, return_stored=True, load_stored=False)` gives"
            )
    reduced = [
        da.reduction(  # type: ignore[no-untyped-call]
            array,
            chunk=extract_session,
            aggregate=merge_sessions_array_kwargs,
            split_every=split_every,
            name="merge-sessions",
            concatenate=False,
            dtype=object,
            meta=np.empty((0,) * array.ndim, dtype=object),
        )
        for array in stored
    ]
    forks = compute(*reduced, **store_kwargs)  # type: ignore[no-untyped-call]
    return merge_sessions(*forks)


def store_dask(
    session: Session | None = None,
    *,
    sources: list[da.Array],
    targets: Sequence[zarr.Array[Any]],
    regions: list[tuple[slice, ...]] | None = None,
    split_every: int | None = None,
    **store_kwargs: Any,
) -> ForkSession:
    """Write dask arrays into Zarr arrays of a fork.

    Works with the threaded, the process and the distributed scheduler.  Two blocks that share a
    chunk (or shard) of a target would each store it without the other's part.  On threads they are
    therefore written one after another, which is slower; processes and clusters refuse them before
    anything is written.  ``dask.array.to_zarr`` and ``dask.array.store`` do not go through here:
    blocks that share a chunk must not be written by them without a lock.

    Parameters
    ----------
    session : Session, optional
        When given, `targets` may belong to it instead: they are written through a fork of it, and
        the fork is merged back.
    sources : list of dask.array.Array
        What to write.
    targets : list of zarr.Array
        Where to write it, one per source, opened in the store of a `ForkSession`.
    regions : list of tuple of slice, optional
        Part of each target, of the shape of its source; all of it by default.
    split_every : int, optional
        How many forks are merged at a time.
    **store_kwargs
        ``lock`` for ``dask.array.store`` (by default one is used where blocks share a chunk),
        others for ``dask.compute``, e.g. ``scheduler``.

    Returns
    -------
    ForkSession
        Holds all that was written: pass it to `Session.merge`.

    Raises
    ------
    TypeError
        When a target belongs to a session that is not a fork.
    InvalidInputError
        Kind ``shared-chunk`` when blocks share a chunk or shard and the scheduler does not run on
        the threads of this process, or when two sources write the same cells; ``invalid-region``
        when sources, targets and regions do not fit together.  Nothing has been written then.
    ValueError
        When there are no sources.
    """
    if not sources:
        raise ValueError("not enough arrays to store: expected at least one source, got none")
    places = [extract_session(target) for target in targets]
    parts = parts_of(sources, targets, regions)
    lock = store_kwargs.pop("lock", False)
    if need_lock(parts, **store_kwargs) and not lock:
        lock = SerializableLock()
    if session is not None:
        fork = session.fork()
        targets = [in_session(target, fork) for target in targets]
    elif not all(isinstance(place, ForkSession) for place in places):
        raise TypeError(
            "merge_sessions only accepts ForkSession objects. Received 'Session' instance "
            "instead. Open the targets in the store of `session.fork()`, and merge what this "
            "function returns with `session.merge(...)`."
        )
    stored = da.store(
        sources,
        cast(Any, list(targets)),
        regions=cast(Any, [part.region for part in parts]),
        lock=lock,
        compute=False,
        return_stored=True,
        load_stored=False,
    )
    merged = session_merge_reduction(
        [stored] if isinstance(stored, da.Array) else list(stored),
        split_every=split_every,
        **store_kwargs,
    )
    if session is not None:
        session.merge(merged)
    return merged
