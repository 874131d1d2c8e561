"""Expiration: remove old snapshots from the history of a repository."""

from __future__ import annotations

import logging

from icechunk.core.ids import ObjectId
from icechunk.core.timing import timed
from icechunk.engine.context import RepoContext
from icechunk.maintenance.pruning import Cut, expiration
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp
from icechunk.spec.repo.updates import ExpirationRan

_log = logging.getLogger(__name__)


@timed(_log, "expire")
def expire_snapshots(
    ctx: RepoContext, older_than: int, *, delete_branches: bool, delete_tags: bool
) -> set[ObjectId]:
    """Remove snapshots before a time from all histories; garbage collection deletes their files.

    Parameters
    ----------
    ctx : RepoContext
        The repository.
    older_than : int
        Exclusive cut-off, µs since 1970.
    delete_branches, delete_tags : bool
        Delete refs whose tip is older; `main` never goes.

    Returns
    -------
    set of ObjectId
        Snapshots that expired.

    Raises
    ------
    ReadOnlyError
        Kind ``read-only-repository``.
    """
    if Capability.REPO_OBJECT not in ctx.ref_store.capabilities:
        from icechunk.maintenance.expiration_v1 import Files

        return Files(ctx, older_than).expire(delete_branches, delete_tags)
    cut: Cut | None = None

    def transition(state: RepoState, stamp: Stamp) -> RepoState:
        nonlocal cut
        state.require_writable("Cannot expire")
        cut = expiration(
            state, older_than, delete_branches=delete_branches, delete_tags=delete_tags
        )
        return state.with_history_cut(
            ExpirationRan(),
            cut.removed,
            cut.adopted,
            stamp,
            branches=cut.branches,
            tags=cut.tags,
        )

    ctx.ref_store.update(transition)
    assert cut is not None
    return set(cut.removed)
