"""The transaction logs of one commit, with those of the ancestors that expiration removed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import reduce

import numpy as np

from icechunk.changes.moves import composed
from icechunk.core.errors import ErrorKind, SnapshotNotFoundError, StorageError
from icechunk.core.ids import NodeId, ObjectId, id_text
from icechunk.engine.context import RepoContext
from icechunk.spec.manifest.coordinates import Coords, sorted_unique
from icechunk.spec.transaction_log.log import TransactionLog

NODE_SETS = (
    "new_groups",
    "new_arrays",
    "deleted_groups",
    "deleted_arrays",
    "updated_groups",
    "updated_arrays",
)

_log = logging.getLogger(__name__)


def pruned_logs(
    ctx: RepoContext, snapshot_id: ObjectId
) -> tuple[list[TransactionLog], list[ObjectId]]:
    """Read the logs of the ancestors that expiration removed from a snapshot's history.

    Returns
    -------
    logs : list of TransactionLog
        Oldest first.
    missing : list of ObjectId
        Removed ancestors whose log was garbage collected.
    """
    try:
        pruned = ctx.ref_store.snapshot(snapshot_id).pruned
    except SnapshotNotFoundError:  # a snapshot file that no history lists has no pruned ancestors
        return [], []
    logs: list[TransactionLog] = []
    missing: list[ObjectId] = []
    for each in pruned:
        try:
            logs.append(ctx.files.log(each))
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            missing.append(each)
    if missing:
        _log.warning(
            "%d transaction logs of expired ancestors of %s are gone; what they held is not shown",
            len(missing),
            id_text(snapshot_id),
        )
    return logs, missing


def united(logs: Iterable[TransactionLog]) -> TransactionLog:
    """One log of several commits (Icechunk rules, amend): unions of sets, and composed moves.

    Of an array that changed its rank, the coordinates of its present rank stay.  The result has the
    id of the last log.

    Parameters
    ----------
    logs : iterable of TransactionLog
        At least one, oldest first.
    """
    listed = list(logs)
    if len(listed) == 1:
        return listed[0]
    sets = {
        name: frozenset[NodeId]().union(*(getattr(log, name) for log in listed))
        for name in NODE_SETS
    }
    chunks: dict[NodeId, Coords] = {}
    for log in listed:
        for node_id, coords in log.updated_chunks.items():
            former = chunks.get(node_id)
            if former is None or former.shape[1] != coords.shape[1]:
                chunks[node_id] = coords
            else:
                chunks[node_id] = sorted_unique(np.concatenate((former, coords)))
    moved = reduce(composed, [log.moved for log in listed])
    return TransactionLog(listed[-1].id, **sets, updated_chunks=chunks, moved=moved)
