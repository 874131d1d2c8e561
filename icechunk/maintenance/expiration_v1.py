"""Expiration in spec 1, where history is in the snapshot files."""

from __future__ import annotations

from dataclasses import replace

from icechunk.core.errors import RefNotFoundError
from icechunk.core.ids import ObjectId
from icechunk.engine.context import RepoContext
from icechunk.files.layout import snapshot_key
from icechunk.maintenance.reachability import uncached_files
from icechunk.refs.base import RefStore
from icechunk.refs.stash_names import is_stash
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import MAIN


class Files:
    """Expiration in spec 1: the parent in one snapshot file of every history is replaced.

    Refs are handled one by one, tags first, sorted by name; later ones see the changes for the
    earlier ones.
    """

    def __init__(self, ctx: RepoContext, older_than: int) -> None:
        self._ctx = ctx
        self._older_than = older_than
        self._files = uncached_files(ctx)
        self._ref_store: RefStore = ctx.ref_store.under(self._files, ctx.settings)
        self._changed: list[str] = []

    def expire(self, delete_branches: bool, delete_tags: bool) -> set[ObjectId]:
        """Cut every ref's history; return the snapshots that left all of them, and old tips."""
        gone: set[ObjectId] = set()
        tags = sorted(self._ref_store.tags().items(), key=lambda item: item[0].encode())
        branches = sorted(self._ref_store.branches().items(), key=lambda item: item[0].encode())
        old: dict[ObjectId, bool] = {}
        for _, tip in (*tags, *branches):
            if tip not in old:
                history = list(self._ref_store.ancestry(tip))
                old[tip] = history[0].flushed_at < self._older_than
                gone |= self._cut(history)
        self._ctx.storage.sync(self._changed)
        for name, tip in tags:
            if delete_tags and old[tip]:
                self._drop(name, tip, tag=True)
        for name, tip in branches:
            if delete_branches and name != MAIN and old[tip] and not is_stash(name):
                self._drop(name, tip, tag=False)
        return gone

    def _cut(self, history: list[SnapshotRecord]) -> set[ObjectId]:
        """Make the oldest snapshot that stays a child of the root."""
        root = history[-1]
        young = [n for n, record in enumerate(history) if record.flushed_at >= self._older_than]
        last = young[-1] if young else 0
        editable = history[last]
        if editable.parent_id is None or editable.parent_id == root.id:
            return set()
        snapshot = replace(self._files.snapshot(editable.id), parent_id=root.id)
        self._ctx.files.rewrite_snapshot(snapshot)
        self._files.record(editable.id, reread=True)
        self._changed.append(snapshot_key(editable.id))
        gone = {record.id for record in history[last + 1 : -1]}
        if not young:
            gone.add(editable.id)
        return gone

    def _drop(self, name: str, tip: ObjectId, *, tag: bool) -> None:
        """Delete a ref unless it was moved or deleted meanwhile."""
        try:
            now = self._ref_store.tag_target(name) if tag else self._ref_store.branch_tip(name)
            if now == tip:
                (self._ref_store.delete_tag if tag else self._ref_store.delete_branch)(name)
        except RefNotFoundError:
            return
