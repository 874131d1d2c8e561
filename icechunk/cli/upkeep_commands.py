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
    "Rewrite the manifests of a branch by the current configuration, and commit.",
    (
        option("--branch", default="main", show_default=True),
        option("-m", "--message", default="Rewrite manifests", show_default=True),
        flag("--amend", about="Replace the tip instead of adding a commit."),
    ),
    busy="rewriting manifests",
)


def register(app: click.Group) -> None:
    """Add the commands."""
    for name, body in (("gc", gc), ("expire", expire), ("stats", stats), ("inspect", inspect)):
        offer(app, VERBS[name], body)
    offer(app, _REWRITE, rewrite)


def gc(at: At, older_than: datetime, dry_run: bool, yes: bool) -> Answer:
    """Delete unreferenced objects; without ``--yes``, count them."""
    really = yes and not dry_run
    summary = at.repo.garbage_collect(older_than, dry_run=not really)
    counted = {name: getattr(summary, name) for name in _COUNTS}
    found = any(counted[name] for name in _COUNTS if name.endswith("_deleted"))
    rows: list[tuple[Cell, ...]] = [
        (name.removesuffix("_deleted").replace("_", " "), count)
        for name, count in counted.items()
        if isinstance(count, int)
    ]
    summary_line = f"older than {plain(older_than)}, {'' if really else 'would be '}deleted:"
    head = summary_line if found else f"nothing older than {plain(older_than)} can be deleted"
    lines = [head, *(table(rows, indent="  ") if found else [])]
    lines += [f"error: {error}" for error in summary.delete_errors]
    data = {"dry_run": not really, "older_than": older_than, **counted}
    pending = "delete them" if found and not really and not dry_run else ""
    return Answer(data, lines, pending, bad=bool(summary.delete_errors or summary.skipped_phases))


def expire(
    at: At,
    older_than: datetime,
    delete_expired_branches: bool,
    delete_expired_tags: bool,
    dry_run: bool,
    yes: bool,
) -> Answer:
    """Expire snapshots; without ``--yes``, list what would be removed."""
    repo = at.repo
    options = {
        "delete_expired_branches": delete_expired_branches,
        "delete_expired_tags": delete_expired_tags,
    }
    really = yes and not dry_run
    if really:
        before = repo.history()
        expired = repo.expire_snapshots(older_than, **options)
        branches = set(before["branches"]) - repo.list_branches()
        tags = set(before["tags"]) - repo.list_tags()
    else:
        expired, branches, tags = _foreseen(repo, older_than, **options)
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
    return Answer(data, lines, "expire them" if found and not really and not dry_run else "")


def _foreseen(
    repo: Repository,
    older_than: datetime,
    *,
    delete_expired_branches: bool,
    delete_expired_tags: bool,
) -> tuple[set[str], set[str], set[str]]:
    """Snapshots, branches and tags that would be removed."""
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

    def expired(kind: str, delete: bool) -> set[str]:
        return {n for n, tip in held[kind].items() if delete and tip in old and n != "main"}

    branches, tags = (
        expired("branches", delete_expired_branches),
        expired("tags", delete_expired_tags),
    )
    kept = {tip for name, tip in held["branches"].items() if name not in branches}
    kept |= {tip for name, tip in held["tags"].items() if name not in tags}
    removed = {id for id, info in old.items() if info.parent_id is not None and id not in kept}
    return removed, branches, tags


def stats(at: At) -> Answer:
    """Show the stored size of all chunks of the history, by kind."""
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
    """Show the content of a metadata file of the repository.

    TARGET is a branch, tag or snapshot id (main by default), for a manifest its id.
    """
    if kind == "manifest" and target is None:
        raise click.UsageError(
            "TARGET is missing: a manifest id; `inspect REPO manifests` lists them"
        )
    if kind == "repo" and target is not None:
        raise click.UsageError("there is only one repo object; omit TARGET")
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
    """Rewrite the manifests of a branch by the current configuration, and commit."""
    snapshot_id = at.repo.rewrite_manifests(
        message, branch=branch, commit_method="amend" if amend else "new_commit"
    )
    return Answer(
        {"snapshot_id": snapshot_id, "branch": branch}, [f"committed {snapshot_id} to {branch}"]
    )
