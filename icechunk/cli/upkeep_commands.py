"""Expiration, garbage collection, rewriting, statistics, inspection."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from icechunk.cli.output import Answer, Cell, plain, plural, size, table, visible
from icechunk.cli.places import open_place, snapshot_named
from icechunk.cli.progress import progress
from icechunk.cli.verbs import verb

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601 (UTC unless it says otherwise), or how long ago."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read the text of an option."""
        if isinstance(value, datetime):
            return value
        match = re.fullmatch(r"(\d+)([smhdw])", value)
        try:
            if match:
                return datetime.now(UTC) - int(match[1]) * _UNITS[match[2]]
            when = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; write 7d (also s, m, h, w) for that long ago, or "
                "2025-01-31 or 2025-01-31T12:00:00+01:00",
                param,
                ctx,
            )
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def register(app: click.Group) -> None:
    """Add the commands."""
    place = click.argument("place")
    older = click.option(
        "--older-than",
        "older_than",
        type=Moment(),
        required=True,
        help="Only what is older: 7d, or an ISO 8601 time.",
    )
    dry = click.option("--dry-run", is_flag=True, help="Count, delete nothing.")
    verb(app, "gc")(place(older(dry(gc))))
    branches = click.option(
        "--delete-expired-branches", is_flag=True, help="Delete branches with an older tip."
    )
    tags = click.option("--delete-expired-tags", is_flag=True, help="Delete older tags.")
    verb(app, "expire")(place(older(branches(tags(expire)))))
    verb(app, "stats")(place(stats))
    kind = click.argument(
        "kind",
        default="repo",
        type=click.Choice(["repo", "snapshot", "manifests", "manifest", "transaction-log"]),
    )
    verb(app, "inspect")(place(kind(click.argument("target", required=False)(inspect))))
    message = click.option("-m", "--message", default="Rewrite manifests", show_default=True)
    branch = click.option("--branch", default="main", show_default=True)
    amend = click.option("--amend", is_flag=True, help="Replace the tip instead of a new commit.")
    verb(app, "rewrite")(place(branch(message(amend(rewrite)))))


def gc(place: str, older_than: datetime, dry_run: bool) -> Answer:
    """Delete objects that no branch or tag needs any more.

    Choose a time before the start of every session that is being written.
    """
    with progress("counting garbage" if dry_run else "collecting garbage") as watched:
        summary = open_place(place, watched).garbage_collect(older_than, dry_run=dry_run)
    counted = {
        name: getattr(summary, name)
        for name in (
            "snapshots_deleted", "transaction_logs_deleted", "manifests_deleted",
            "attributes_deleted", "chunks_deleted", "bytes_deleted", "objects_failed_to_delete",
            "throttled_batches", "delete_errors", "skipped_phases",
        )
    }  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (name.removesuffix("_deleted").replace("_", " "), count)
        for name, count in counted.items()
        if isinstance(count, int)
    ]
    told = "would be deleted" if dry_run else "deleted"
    lines = [f"older than {plain(older_than)}, {told}:", *table(rows, indent="  ")]
    lines += [f"error: {error}" for error in summary.delete_errors]
    return Answer({"dry_run": dry_run, "older_than": older_than, **counted}, lines)


def expire(
    place: str, older_than: datetime, delete_expired_branches: bool, delete_expired_tags: bool
) -> Answer:
    """Cut history off; gc deletes what nothing needs then."""
    with progress("expiring") as watched:
        repo = open_place(place, watched)
        before = repo.history()
        expired = repo.expire_snapshots(
            older_than,
            delete_expired_branches=delete_expired_branches,
            delete_expired_tags=delete_expired_tags,
        )
        gone_branches = set(before["branches"]) - repo.list_branches()
        gone_tags = set(before["tags"]) - repo.list_tags()
    lines: list[Any] = [f"{plural(len(expired), 'snapshot')} expired"]
    lines += [f"deleted branch {name}" for name in sorted(gone_branches)]
    lines += [f"deleted tag {name}" for name in sorted(gone_tags)]
    data = {
        "older_than": older_than,
        "expired": expired,
        "deleted_branches": gone_branches,
        "deleted_tags": gone_tags,
    }
    return Answer(data, lines)


def stats(place: str) -> Answer:
    """Show what chunks of the whole history take, by kind."""
    with progress("adding up") as watched:
        found = open_place(place, watched).chunk_storage_stats()
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


def inspect(place: str, kind: str, target: str | None) -> Answer:
    """Show what is in a file of the repository.

    TARGET is a branch, tag or snapshot id (main by default), for a manifest its id.
    """
    if kind == "manifest" and target is None:
        raise click.UsageError(
            "a manifest is named by its id; `inspect PLACE manifests` lists them"
        )
    if kind == "repo" and target is not None:
        raise click.UsageError("there is one repo object only; leave the target out")
    repo = open_place(place)
    data: Any
    if kind == "repo":
        data = repo.inspect_repo_info()
    elif kind == "manifest":
        assert target is not None
        data = repo.inspect_manifest(target)
    else:
        snapshot_id = snapshot_named(repo, target or "main")
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


def rewrite(place: str, branch: str, message: str, amend: bool) -> Answer:
    """Write the manifests of a branch anew under its configuration, and commit."""
    with progress("rewriting manifests") as watched:
        snapshot_id = open_place(place, watched).rewrite_manifests(
            message, branch=branch, commit_method="amend" if amend else "new_commit"
        )
    return Answer(
        {"snapshot_id": snapshot_id, "branch": branch}, [f"committed {snapshot_id} to {branch}"]
    )
