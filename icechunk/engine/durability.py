"""Make the files of a new snapshot durable, and check that they exist when it is published.

Garbage collection with a cut-off newer than the start of a running session may delete objects that
the session wrote.  The commit must then fail: a snapshot that refers to missing data is worse than
no commit.  Collections delete under the same lock that is held here from the check to the
publication, and look for new snapshots before every batch.  Where a storage has no locks, both
sides still look; the time between the two requests stays unprotected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from icechunk.core.clock import MAX_SKEW_US
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.ids import ObjectId
from icechunk.core.locks import held
from icechunk.core.runtime import map_parallel
from icechunk.engine.context import RepoContext
from icechunk.engine.flush import Flushed
from icechunk.engine.transaction import Transaction
from icechunk.files.layout import REPO, chunk_key
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.updates import GCRan

_NAMED = 3


def made_durable(transaction: Transaction, flushed: Flushed, publish: Callable[[], None]) -> None:
    """Sync the files of a snapshot, then check that they exist and publish it under one lock.

    Raises
    ------
    StorageError
        Kind ``object-not-found``: garbage collection removed some of them meanwhile.  The files of
        the snapshot are removed then; the session keeps its changes.
    """
    storage = transaction.ctx.storage
    keys: Sequence[str] = flushed.keys
    try:
        storage.sync(keys)
    except StorageError as error:
        if error.kind != ErrorKind.OBJECT_NOT_FOUND:
            raise
        keys = _needed(transaction, keys)
        storage.sync(keys)

    def check_and_publish() -> None:
        if storage.blocking_ok or _collected_since(transaction.ctx, _opened(transaction)):
            _needed(transaction, keys)
        publish()

    held(storage.lock(REPO), check_and_publish)


def _opened(transaction: Transaction) -> int:
    """A time (µs since 1970) before the session wrote anything."""
    return transaction.opened_at.flushed_at - MAX_SKEW_US


def _collected_since(ctx: RepoContext, time: int) -> bool:
    """Whether garbage may have been collected after a time.

    Spec 2 records every collection before it deletes anything; spec 1 records nothing.
    """
    if Capability.REPO_OBJECT not in ctx.ref_store.capabilities:
        return True
    state = ctx.ref_store.state()
    log = state.updates
    if bool(((log.tags == GCRan.TAG) & (log.times >= time)).any()):
        return True
    goes_back = len(log) > 0 and int(log.times[-1]) < time
    return not goes_back and state.updates_before is not None


def _needed(transaction: Transaction, keys: Sequence[str]) -> list[str]:
    """Keys of the files that exist; raise when one is missing that the snapshot refers to."""
    storage = transaction.ctx.storage
    found = map_parallel(storage.head, keys, limit=1 if storage.blocking_ok else None)
    there: list[str] = []
    missing: list[str] = []
    for key, info in zip(keys, found, strict=True):
        (missing if info is None else there).append(key)
    if not missing:
        return there
    lost = {chunk_key(each): each for each in transaction.changes.objects}
    gone = {lost[key] for key in missing if key in lost}
    files = [key for key in missing if key not in lost]
    arrays = sorted(_referring(transaction, gone))
    if not files and not arrays:
        # Chunks that the session wrote over: the snapshot does not refer to them.
        transaction.changes.objects.difference_update(gone)
        return there
    transaction.discard_files(there)
    which = ", ".join(f"`{key}`" for key in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    where = f", which hold chunks of {', '.join(arrays[:_NAMED])}" if arrays else ""
    raise StorageError(
        f"object not found: objects that this session wrote are gone: {which}{more}{where}. "
        "Garbage collection ran meanwhile with a cut-off newer than this session. Nothing was "
        "committed: write the data again, and let garbage collection spare everything younger "
        "than the longest session",
        ErrorKind.OBJECT_NOT_FOUND,
    )


def _referring(transaction: Transaction, gone: set[ObjectId]) -> Iterator[str]:
    """Paths of the arrays with changed chunks in given objects."""
    wanted = np.frombuffer(b"".join(gone), "S12")
    for node in transaction.tree:
        edits = transaction.changes.chunks.get(node.id)
        if edits is None:
            continue
        held = np.ascontiguousarray(edits.table().native_ids()).reshape(-1).view("S12")
        if len(held) and bool(np.isin(held, wanted).any()):
            yield node.path
