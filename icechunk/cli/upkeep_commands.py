"""Expiration, garbage collection, rewriting, statistics, inspection."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from icechunk.cli.addresses import At
from icechunk.cli.grammar import VERBS, Verb, flag, option
from icechunk.cli.output import Answer, Cell, plain, plural, size, table, visible
from icechunk.cli.shell import offer
from icechunk.core.clock import from_datetime
from icechunk.core.ids import id_text
from icechunk.maintenance.pruning import expiration
from icechunk.repository import Repository

_COUNTS = (
    "snapshots_deleted", "transaction_logs_deleted", "manifests_deleted", "attributes_deleted",
    "chunks_deleted", "bytes_deleted", "objects_failed_to_delete", "throttled_batches",
    "delete_errors", "skipped_phases",
)  # fmt: skip
_REWRITE = Verb(
    "rewrite",
    "Write the manifests of a branch anew under its configuration, and commit.",
    (
        option("--branch", default="main", show_default=True),
        option("-m", "--message", default="Rewrite manifests", show_default=True),
        flag("--amend", about="Replace the tip instead of a new commit."),
    ),
    busy="rewriting manifests",
)


def register(app: click.Group) -> None:
    """Add the commands."""
    for name, body in (("gc", gc), ("expire", expire), ("stats", stats), ("inspect", inspect)):
        offer(app, VERBS[name], body)
    offer(app, _REWRITE, rewrite)


def gc(at: At, older_than: datetime, dry_run: bool, yes: bool) -> Answer:
    """Delete objects that nothing needs; without a yes, count them."""
    really = yes and not dry_run
    summary = at.repo.garbage_collect(older_than, dry_run=not really)
    counted = {name: getattr(summary, name) for name in _COUNTS}
    found = any(counted[name] for name in _COUNTS if name.endswith("_deleted"))
    rows: list[tuple[Cell, ...]] = [
        (name.removesuffix("_deleted").replace("_", " "), count)
        for name, count in counted.items()
        if isinstance(count, int)
    ]
    told = f"older than {plain(older_than)}, {'' if really else 'would be '}deleted:"
    head = told if found else f"nothing older than {plain(older_than)} can be deleted"
    lines = [head, *(table(rows, indent="  ") if found else [])]
    lines += [f"error: {error}" for error in summary.delete_errors]
    data = {"dry_run": not really, "older_than": older_than, **counted}
    waits = "delete them" if found and not really and not dry_run else ""
    return Answer(data, lines, waits, bad=bool(summary.delete_errors or summary.skipped_phases))


def expire(
    at: At,
    older_than: datetime,
    delete_expired_branches: bool,
    delete_expired_tags: bool,
    dry_run: bool,
    yes: bool,
) -> Answer:
    """Cut history off; without a yes, tell what would go."""
    repo = at.repo
    asked = {
        "delete_expired_branches": delete_expired_branches,
        "delete_expired_tags": delete_expired_tags,
    }
    really = yes and not dry_run
    if really:
        before = repo.history()
        expired = repo.expire_snapshots(older_than, **asked)
        branches = set(before["branches"]) - repo.list_branches()
        tags = set(before["tags"]) - repo.list_tags()
    else:
        expired, branches, tags = _foreseen(repo, older_than, **asked)
    found = bool(expired or branches or tags)
    would = "" if really or not found else "would be "
    lines: list[Any] = [f"{plural(len(expired), 'snapshot')} {would}expired"]
    lines += [f"{would}deleted: branch {name}" for name in sorted(branches)]
    lines += [f"{would}deleted: tag {name}" for name in sorted(tags)]
    data = {
        "dry_run": not really,
        "older_than": older_than,
        "expired": expired,
        "deleted_branches": branches,
        "deleted_tags": tags,
    }
    return Answer(data, lines, "cut them off" if found and not really and not dry_run else "")


def _foreseen(
    repo: Repository,
    older_than: datetime,
    *,
    delete_expired_branches: bool,
    delete_expired_tags: bool,
) -> tuple[set[str], set[str], set[str]]:
    """Snapshots, branches and tags that would go."""
    if repo.spec_version > 1:
        cut = expiration(
            repo._ctx.ref_store.state(),
            from_datetime(older_than),
            delete_branches=delete_expired_branches,
            delete_tags=delete_expired_tags,
        )
        return {id_text(one) for one in cut.removed}, set(cut.branches), set(cut.tags)
    held = repo.history()
    old = {info.id: info for info in held["commits"] if info.written_at < older_than}

    def doomed(kind: str, asked: bool) -> set[str]:
        return {n for n, tip in held[kind].items() if asked and tip in old and n != "main"}

    branches, tags = (
        doomed("branches", delete_expired_branches),
        doomed("tags", delete_expired_tags),
    )
    stay = {tip for name, tip in held["branches"].items() if name not in branches}
    stay |= {tip for name, tip in held["tags"].items() if name not in tags}
    gone = {id for id, info in old.items() if info.parent_id is not None and id not in stay}
    return gone, branches, tags


def stats(at: At) -> Answer:
    """Show what chunks of the whole history take, by kind."""
    found = at.repo.chunk_storage_stats()
    data = {
        "native_bytes": found.native_bytes,
        "inlined_bytes": found.inlined_bytes,
        "virtual_bytes": found.virtual_bytes,
        "non_virtual_bytes": found.non_virtual_bytes(),
        "total_bytes": found.total_bytes(),
    }
    rows: list[tuple[Cell, ...]] = [
        (name.removesuffix("_bytes").replace("_", " "), count, size(count))
        for name, count in data.items()
    ]
    return Answer(data, table(rows))


def inspect(at: At, kind: str, target: str | None) -> Answer:
    """Show what is in a file of the repository.

    TARGET is a branch, tag or snapshot id (main by default), for a manifest its id.
    """
    if kind == "manifest" and target is None:
        raise click.UsageError(
            "a manifest is named by its id; `inspect PLACE manifests` lists them"
        )
    if kind == "repo" and target is not None:
        raise click.UsageError("there is one repo object only; leave the target out")
    repo = at.repo
    data: Any
    if kind == "repo":
        data = repo.inspect_repo_info()
    elif kind == "manifest":
        assert target is not None
        data = repo.inspect_manifest(target)
    else:
        snapshot_id = at.named(target)
        if kind == "snapshot":
            data = repo.inspect_snapshot(snapshot_id)
        elif kind == "manifests":
            data = [
                {
                    "id": info.id,
                    "size_bytes": info.size_bytes,
                    "num_chunk_refs": info.num_chunk_refs,
                }
                for info in repo.list_manifest_files(snapshot_id)
            ]
        else:
            data = repo.inspect_transaction_log(snapshot_id)
    text = json.dumps(plain(data), indent=2, ensure_ascii=False)
    return Answer(data, [visible(line) for line in text.splitlines()])


def rewrite(at: At, branch: str, message: str, amend: bool) -> Answer:
    """Write the manifests of a branch anew under its configuration, and commit."""
    snapshot_id = at.repo.rewrite_manifests(
        message, branch=branch, commit_method="amend" if amend else "new_commit"
    )
    return Answer(
        {"snapshot_id": snapshot_id, "branch": branch}, [f"committed {snapshot_id} to {branch}"]
    )
