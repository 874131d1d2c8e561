"""Upgrade a repository to the newest format, and retire the handles of the old one."""

from __future__ import annotations

from typing import Any

from icechunk.engine.context import make_context
from icechunk.refs.open import ref_store_of
from icechunk.repository.repository import Repository


def upgrade_icechunk_repository(
    repo: Repository,
    *,
    dry_run: bool,
    delete_unused_v1_files: bool = True,
    prefetch_concurrency: int | None = None,
) -> Repository:
    """Turn a repository of format version 1 into one of version 2, in place.

    Data, snapshots and their ids stay as they are; branches, tags and configuration move into one
    object, and an operations log is made up from them.  Nobody may write to the repository
    meanwhile.  If this is killed, the repository is one of version 1 or of version 2 with unused
    files left; calling it again continues.

    Parameters
    ----------
    repo : Repository
        A handle on it; unusable afterwards, except after a dry run.
    dry_run : bool
        Check that it can be done, without writing.
    delete_unused_v1_files : bool
        Remove the refs and the configuration file of version 1 in the end.
    prefetch_concurrency : int, optional
        Snapshot files fetched at once where the storage is slow.

    Returns
    -------
    Repository
        Handle on the upgraded repository, with the configuration of the old one.

    Raises
    ------
    SessionStateError
        Kind ``invalid-repository-migration`` when the repository has version 2 already.
    FormatError
        When a ref points to a snapshot that does not exist, or history is damaged.
    """
    from icechunk.maintenance.migrate import upgrade  # loaded when it is asked for

    ctx, attribution = repo._ctx, repo._attribution
    was_old = ctx.ref_store.spec_version == 1
    upgrade(
        ctx,
        dry_run=dry_run,
        delete_unused_v1_files=delete_unused_v1_files,
        prefetch_concurrency=prefetch_concurrency,
    )
    if dry_run:
        return Repository(ctx, attribution)
    if was_old:
        repo.__class__ = _Retired
    # Nothing may fail from here on: the repository is upgraded. What the old handle holds was
    # checked when it was opened; what early versions stored would not pass the checks of today.
    fresh = make_context(
        ctx.storage,
        ctx.config,
        ctx.settings,
        ref_store_of(2, ctx.storage, ctx.settings),
        default_metadata=ctx.default_metadata,
        authorized=ctx.authorized,
    )
    return Repository(fresh, attribution)


class _Retired(Repository):
    """A handle on a repository that has become something else."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return _Retired
        raise RuntimeError(
            "this repository was upgraded to a newer format; use the handle that "
            "`upgrade_icechunk_repository` returned"
        )
