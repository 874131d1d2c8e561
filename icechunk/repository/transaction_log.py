"""What one commit changed, by node id: the public form of a transaction log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.ids import ObjectId, id_text
from icechunk.engine.commit_logs import NODE_SETS, pruned_logs, united
from icechunk.engine.context import RepoContext

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TransactionLogInfo:
    """Nodes and chunks that a commit touched.

    Made by `Repository.transaction_log`. Nodes are named by their ids, which they keep when they
    are moved; `Session.nodes` and `Session.get_node_id` return the id of a path.

    Attributes
    ----------
    snapshot_id : str
        The commit.
    new_groups, new_arrays, deleted_groups, deleted_arrays : frozenset of str
        Ids of nodes made and removed.
    updated_groups, updated_arrays : frozenset of str
        Ids of nodes whose metadata changed.
    updated_chunks : mapping of str to ndarray of uint32, shape (n, d)
        By the id of the array, coordinates of the chunks written or deleted, sorted, each once.
    moved_nodes : tuple of (str, str)
        Path before and path after, sorted by the path after.
    merged : tuple of str
        Expired ancestors whose changes are included, oldest first.
    missing : tuple of str
        Expired ancestors whose log was garbage collected, so that their changes are unknown.
    """

    snapshot_id: str
    new_groups: frozenset[str]
    new_arrays: frozenset[str]
    deleted_groups: frozenset[str]
    deleted_arrays: frozenset[str]
    updated_groups: frozenset[str]
    updated_arrays: frozenset[str]
    updated_chunks: Mapping[str, NDArray[np.uint32]]
    moved_nodes: tuple[tuple[str, str], ...]
    merged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the commit changed nothing."""
        sets = (getattr(self, name) for name in NODE_SETS)
        return not (any(sets) or self.updated_chunks or self.moved_nodes)


def transaction_log(ctx: RepoContext, snapshot_id: ObjectId) -> TransactionLogInfo:
    """Read the transaction log of a commit, with those of its expired ancestors."""
    own = ctx.files.log(snapshot_id)
    logs, missing = pruned_logs(ctx, snapshot_id)
    log = united([*logs, own])
    return TransactionLogInfo(
        snapshot_id=id_text(snapshot_id),
        **{name: frozenset(map(id_text, getattr(log, name))) for name in NODE_SETS},
        updated_chunks={id_text(node): coords for node, coords in log.updated_chunks.items()},
        moved_nodes=tuple((move.source, move.target) for move in log.moved),
        merged=tuple(id_text(each.id) for each in logs),
        missing=tuple(map(id_text, missing)),
    )
