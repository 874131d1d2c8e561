"""Names of states: a branch, a tag or the id of a snapshot."""

from __future__ import annotations

from icechunk.core.errors import ErrorKind, IcechunkError, RefNotFoundError
from icechunk.core.ids import ObjectId, parse_object_id
from icechunk.engine.context import RepoContext
from icechunk.merging.merge import Source


def find_source(ctx: RepoContext, name: str) -> Source:
    """The state that a name stands for: a branch, else a tag, else a snapshot id.

    Raises
    ------
    RefNotFoundError
        Kind ``ref-not-found``.
    SnapshotNotFoundError
        It has the form of a snapshot id, but the repository has no such snapshot.
    """
    if not isinstance(name, str):
        raise TypeError(f"a branch, tag or snapshot id must be a str, not {type(name).__name__}")
    for refs in (ctx.ref_store.branches(), ctx.ref_store.tags()):
        if name in refs:
            return Source(refs[name], name)
    try:
        snapshot_id = parse_object_id(name)
    except IcechunkError:
        raise RefNotFoundError(
            f"there is no branch, tag or snapshot `{name}`", ErrorKind.REF_NOT_FOUND
        ) from None
    ctx.ref_store.snapshot(snapshot_id)
    return Source(snapshot_id, name)


def find_snapshot(ctx: RepoContext, name: str) -> ObjectId:
    """Id of the state that a name stands for, see `find_source`."""
    return find_source(ctx, name).id
