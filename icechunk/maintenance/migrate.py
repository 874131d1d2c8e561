"""Upgrade a repository from spec 1 to spec 2, so that it can be killed at any time.

The ``repo`` object is created in one step, before anything of spec 1 is changed: until then the
repository is one of spec 1, afterwards one of spec 2.  The refs and the configuration of spec 1 are
removed last.  If a crash leaves them beside a ``repo`` object, the next upgrade removes them.
Snapshots, manifests, logs and chunks stay as they are.

A program that opened the repository before the upgrade may still commit to a ref of spec 1.  Before
a ref is removed, commits that the ``repo`` object lacks are therefore added to it.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from icechunk.core.clock import now_us
from icechunk.core.errors import (
    ConflictError,
    ErrorKind,
    FormatError,
    InternalError,
    SessionStateError,
    SnapshotNotFoundError,
)
from icechunk.core.ids import ObjectId, id_text
from icechunk.core.locks import held
from icechunk.core.timing import timed
from icechunk.engine.context import RepoContext
from icechunk.files.layout import CONFIG, REPO
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.open import V1_MARK, detect
from icechunk.refs.v1 import FileRefStore
from icechunk.refs.v2 import RepoObjectRefStore
from icechunk.spec.dialect import V1
from icechunk.spec.metadata import json_object
from icechunk.spec.refs_v1 import REFS
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.migration import V1State, migrated
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState

_log = logging.getLogger(__name__)


@timed(_log, "upgrade")
def upgrade(
    ctx: RepoContext,
    *,
    dry_run: bool,
    delete_unused_v1_files: bool = True,
    prefetch_concurrency: int | None = None,
) -> None:
    """Upgrade the repository of a handle to spec 2, or finish an interrupted upgrade.

    Parameters
    ----------
    ctx : RepoContext
        A handle on the repository.
    dry_run : bool
        Do everything but write.
    delete_unused_v1_files : bool
        Remove the refs and the configuration of spec 1 in the end.
    prefetch_concurrency : int, optional
        Snapshot files fetched at once where the storage is slow.

    Raises
    ------
    SessionStateError
        Kind ``invalid-repository-migration`` when there is nothing to upgrade.
    ConflictError
        Another process is upgrading or writing at the same moment.
    FormatError
        A ref points to a snapshot that does not exist, or history is damaged.
    """
    # Caches of the handle may hold parents from before an expiration.
    ref_store = FileRefStore(RepositoryFiles(ctx.storage, ctx.settings, V1), ctx.settings)

    def go_on() -> None:
        if detect(ctx.storage) == 2:
            _check_unfinished(ctx, delete_unused_v1_files)
            if not dry_run:
                _finish(ctx, ref_store)
            return
        _move(ctx, ref_store, dry_run, prefetch_concurrency)
        if delete_unused_v1_files and not dry_run:
            _finish(ctx, ref_store)

    held(ctx.storage.lock(REPO), go_on)


def _check_unfinished(ctx: RepoContext, delete_unused_v1_files: bool) -> None:
    """Refuse unless an upgrade was interrupted and may be finished."""
    if not _leftovers(ctx):
        raise SessionStateError(
            "invalid repository migration: the repository has format version 2 already, there is "
            "nothing to upgrade",
            ErrorKind.INVALID_REPOSITORY_MIGRATION,
        )
    if not delete_unused_v1_files:
        raise SessionStateError(
            "invalid repository migration: the repository was upgraded to format version 2 before, "
            "only its unused files of version 1 are left; call again with "
            "`delete_unused_v1_files=True` to remove them",
            ErrorKind.INVALID_REPOSITORY_MIGRATION,
        )


def _leftovers(ctx: RepoContext) -> list[str]:
    """Mutable objects of spec 1, in the order in which they may be removed."""
    refs = sorted(info.key for info in ctx.storage.list(REFS))
    refs.sort(key=lambda key: key != V1_MARK)
    return refs + ([CONFIG] if ctx.storage.head(CONFIG) is not None else [])


def _collect(ref_store: FileRefStore, ahead: int | None) -> V1State:
    branches, tags, deleted = ref_store.refs()
    try:
        found = ref_store.reached((*branches.values(), *tags.values()), ahead)
    except SnapshotNotFoundError as error:
        names = ", ".join(f"`{name}`" for name in _dangling(ref_store, {**branches, **tags}))
        raise FormatError(
            f"the repository cannot be upgraded: these refs point to snapshots that do not exist: "
            f"{names}. Delete them, or reset the branches, and try again",
            ErrorKind.DESERIALIZATION,
        ) from error
    snapshots = {
        record.id: replace(record, metadata=json_object(record.metadata))
        for record in found.values()
    }
    return V1State(branches, tags, deleted, snapshots, ref_store.config())


def _dangling(ref_store: FileRefStore, refs: dict[str, ObjectId]) -> list[str]:
    missing = []
    for name, target in sorted(refs.items()):
        try:
            ref_store.snapshot(target)
        except SnapshotNotFoundError:
            missing.append(name)
    return missing


def _move(ctx: RepoContext, ref_store: FileRefStore, dry_run: bool, ahead: int | None) -> None:
    """Write the repo object; from then on the repository is one of spec 2."""
    former = _collect(ref_store, ahead)
    state, data = _encoded(ctx, former)
    if dry_run:
        return
    if ctx.storage.create(REPO, data) is None:
        raise ConflictError(
            message="the repository was upgraded by another process at this moment; open it again",
            kind=ErrorKind.REPO_INFO_UPDATED,
        )
    _check_same(decode_repo(ctx.storage.get(REPO).data), state)


def _encoded(ctx: RepoContext, former: V1State) -> tuple[RepoState, bytes]:
    """State after the upgrade and its bytes, after checking that they decode to it."""
    state = migrated(former, now_us())
    data = encode_repo(state, level=ctx.settings.compression_level)
    _check_same(decode_repo(data), state)
    return state, data


def _check_same(found: RepoState, meant: RepoState) -> None:
    if found != meant:
        raise InternalError(
            "the upgraded repository does not read back as it was written; nothing was removed: "
            "delete the object `repo` to have the repository of version 1 again, and report this"
        )


def _finish(ctx: RepoContext, ref_store: FileRefStore) -> None:
    """Add commits made to refs of spec 1 meanwhile, then remove the objects of spec 1."""
    branches, _, _ = ref_store.refs()
    repo = RepoObjectRefStore(ctx.storage, ctx.settings)
    known = repo.state().snapshots
    for name, tip in branches.items():
        if tip not in known:
            _take_over(repo, ref_store, name, tip)
    for key in _leftovers(ctx):  # one by one, so that a crash keeps the order
        ctx.storage.delete([key])


def _take_over(repo: RepoObjectRefStore, ref_store: FileRefStore, name: str, tip: ObjectId) -> None:
    """Add commits made to a branch of spec 1 after the upgrade to the repo object."""
    state = repo.state()
    missing: list[SnapshotRecord] = []
    for record in ref_store.ancestry(tip):
        if record.id in state.snapshots:
            break
        missing.append(replace(record, metadata=json_object(record.metadata)))
    if not missing:
        return
    base = missing[-1].parent_id
    moved_on = state.branches.get(name) != base
    for record in reversed(missing):
        repo.detach(record)
    if moved_on:
        name = f"{name}-{id_text(tip)}"
        repo.create_branch(name, tip)
    else:
        repo.reset_branch(name, tip, base)
    _log.warning(
        "%d commits were made to the repository by a program that uses format version 1 after its "
        "upgrade; they are kept on branch `%s`",
        len(missing),
        name,
    )
