"""Merge the forked sessions that workers return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from icechunk.session import ForkSession, Session
from icechunk.store import IcechunkStore

if TYPE_CHECKING:
    import zarr

__all__ = ["extract_session", "merge_sessions"]


def extract_session(
    zarray: zarr.Array[Any], axis: Any = None, keepdims: Any = None
) -> Session | ForkSession:
    """Session that a Zarr array writes to.

    Parameters
    ----------
    zarray : zarr.Array
        Array in an `IcechunkStore`.
    axis, keepdims
        Ignored; reductions of dask pass them.

    Returns
    -------
    Session
        A `ForkSession` when the array was opened in a fork.

    Raises
    ------
    TypeError
        For anything but a Zarr array in an `IcechunkStore`.
    """
    store = getattr(zarray, "store", None)
    if store is None:
        raise TypeError(f"a {type(zarray).__name__} has no session; pass a Zarr array")
    if not isinstance(store, IcechunkStore):
        raise TypeError(
            f"the array is in a {type(store).__name__}, which has no session; open it in the "
            "store of an Icechunk session"
        )
    session: Session = store.session
    return session


def merge_sessions(
    *sessions: ForkSession | list[ForkSession] | list[list[ForkSession]],
) -> ForkSession:
    """Merge forks into the first of them.

    Parameters
    ----------
    *sessions : ForkSession or list
        Forks of one session, also in nested lists.

    Returns
    -------
    ForkSession
        The first fork, holding the changes of all; pass it to `Session.merge`.

    Raises
    ------
    TypeError
        When one is not a fork.
    ValueError
        When there is none.
    ConflictError
        Kind ``merge-failed``: two forks wrote the same chunk.
    """
    forks = list(_flat(sessions))
    for fork in forks:
        if not isinstance(fork, ForkSession):
            raise TypeError(
                "merge_sessions only accepts ForkSession objects. Received "
                f"{type(fork).__name__!r} instance instead. Make forks with `Session.fork()`; "
                "merge them all into their session with `Session.merge(*forks)`."
            )
    if not forks:
        raise ValueError("not enough sessions to merge: expected at least one fork, got none")
    first: ForkSession = forks[0]
    first.merge(*forks[1:])
    return first


def _flat(nested: Any) -> Iterator[Any]:
    for item in nested:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def in_session(array: zarr.Array[Any], session: Session) -> zarr.Array[Any]:
    """The same array, run-time configuration included, reading and writing in another session."""
    import zarr

    found: zarr.Array[Any] = zarr.open_array(
        session.store, path=array.path, zarr_format=3, mode="r+"
    )
    if hasattr(found, "with_config"):
        return found.with_config(array.config)
    # zarr before 3.1.6 keeps the configuration to itself, and takes it when an array is made.
    config = array._async_array._config
    return zarr.Array(
        zarr.AsyncArray(metadata=found.metadata, store_path=found.store_path, config=config)
    )
