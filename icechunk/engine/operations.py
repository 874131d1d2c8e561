"""Read the operations log of a repository, which is spread over several files."""

from __future__ import annotations

from collections.abc import Iterator

from icechunk.engine.context import RepoContext
from icechunk.files.layout import OVERWRITTEN
from icechunk.spec.repo.codec import decode_repo
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.updates import Update


def operations(ctx: RepoContext) -> Iterator[Update]:
    """Every change of a repository, newest first.

    The present state is read at the call, older files during the iteration.

    Raises
    ------
    FormatError
        Kind ``unsupported-spec-version`` for a repository of spec version 1.
    """
    return _chain(ctx, ctx.ref_store.state())


def _chain(ctx: RepoContext, state: RepoState) -> Iterator[Update]:
    """Follow the links to earlier repo objects (Icechunk spec 2, repo info).

    An earlier object was the present one in its time: its newest entry does not know the name
    under which that object was kept.
    """
    name: str | None = None
    while True:
        for position, update in enumerate(state.updates):
            yield update._replace(backup_path=name) if name and position == 0 else update
        name = state.updates_before
        if name is None:
            return
        key = f"{OVERWRITTEN}/{name}"
        state = decode_repo(ctx.storage.get(key).data, name=key)
