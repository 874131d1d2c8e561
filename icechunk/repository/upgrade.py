"""Upgrade a repository to the newest format version, and invalidate the old handle."""

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
    """Upgrade a repository from format version 1 to version 2, in place.

    Data, snapshots and their ids are not changed. Branches, tags and configuration move into the
    ``repo`` object, with an operations log derived from them. No process may write to the
    repository during the upgrade. When it is killed, the repository has version 1, or version 2
    with unused files left; call this function again to continue.

    Parameters
    ----------
    repo : Repository
        Handle on the repository; unusable afterwards, except after a dry run.
    dry_run : bool
        Check that the upgrade is possible, without writing.
    delete_unused_v1_files : bool
        Delete the refs and the configuration file of version 1 at the end.
    prefetch_concurrency : int, optional
        Number of snapshot files fetched at once from remote storage.

    Returns
    -------
    Repository
        Handle on the upgraded repository, with the same configuration.

    Raises
    ------
    SessionStateError
        Kind ``invalid-repository-migration`` when the repository has version 2 already.
    FormatError
        When a ref points to a snapshot that does not exist, or the history is damaged.
    """
    from icechunk.maintenance.migrate import upgrade

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
    # The repository is upgraded, so nothing may fail from here on. The configuration of the old
    # handle was checked when it was opened; it is not checked again, since configurations stored by
    # early versions would not pass.
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
    """A handle that became unusable because its repository was upgraded."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return _Retired
        raise RuntimeError(
            "this repository was upgraded to a newer format; use the handle that "
            "`upgrade_icechunk_repository` returned"
        )
