"""Commands about a whole repository: create, status, upgrade."""

from __future__ import annotations

from typing import Any

import click

from icechunk.cli.addresses import At, locate
from icechunk.cli.grammar import VERBS, Needs, Verb, flag
from icechunk.cli.output import Answer, Cell, first_line, moment, plural, styled, table
from icechunk.cli.shell import offer
from icechunk.repository import Repository, upgrade_icechunk_repository

_UPGRADE = Verb(
    "upgrade",
    "Upgrade a repository to format 2; no other process may write to it meanwhile.",
    (
        flag("--dry-run", about="Check that it is possible; change nothing."),
        flag("--keep-v1-files", about="Keep the ref files of format 1."),
    ),
    busy="upgrading",
)


def register(app: click.Group) -> None:
    """Add the commands."""
    repo = click.Group("repo", help="Manage repositories.")
    app.add_command(repo)
    making = Verb("create", "Create a repository.", VERBS["init"].words, Needs.NOTHING)
    offer(repo, making, create)
    offer(app, VERBS["init"], create)
    offer(app, VERBS["status"], status)
    offer(app, _UPGRADE, upgrade)


def create(address: str, spec_version: int | None) -> Answer:
    """Create a repository."""
    storage, config = locate(address)
    repo = Repository.create(storage, config, spec_version=spec_version)
    return Answer(
        {"storage": storage.identity, "spec_version": int(repo.spec_version)},
        [f"created a repository of format {int(repo.spec_version)} at {storage.identity}"],
    )


def status(at: At) -> Answer:
    """Show the state of a repository."""
    repo = at.repo
    version = int(repo.spec_version)
    held = repo.history()
    commits, branches, tags = held["commits"], held["branches"], held["tags"]
    latest = commits[0]
    data: dict[str, Any] = {
        "storage": repo.storage.identity,
        "spec_version": version,
        "branches": branches,
        "tags": tags,
        "reachable_snapshots": len(commits),
        "latest": {"id": latest.id, "written_at": latest.written_at, "message": latest.message},
    }
    rows: list[tuple[Cell, ...]] = [
        ("storage", repo.storage.identity),
        ("format", f"{version}{'' if version > 1 else ' (icechunk upgrade makes it 2)'}"),
    ]
    if version > 1:
        state = repo.get_status()
        available = state.availability.name
        data["status"] = {
            "availability": available,
            "set_at": state.set_at,
            "reason": state.limited_availability_reason,
        }
        reason = state.limited_availability_reason
        rows.append(
            ("availability", styled(available, "green" if available == "online" else "red"))
        )
        rows += [("", f"because {reason}")] if reason else []
    rows += [
        ("branches", plural(len(branches), "branch", "branches")),
        ("tags", plural(len(tags), "tag")),
        ("snapshots", f"{plural(len(commits), 'snapshot')} in the history of these"),
        ("latest", f"{latest.id}  {moment(latest.written_at)}  {first_line(latest.message)}"),
    ]
    return Answer(data, table(rows))


def upgrade(at: At, dry_run: bool, keep_v1_files: bool) -> Answer:
    """Upgrade a repository to the newest format."""
    before = int(at.repo.spec_version)
    fresh = upgrade_icechunk_repository(
        at.repo, dry_run=dry_run, delete_unused_v1_files=not keep_v1_files
    )
    after = int(fresh.spec_version)
    result = "can be upgraded" if dry_run else f"upgraded from format {before} to {after}"
    return Answer({"dry_run": dry_run, "from_version": before, "to_version": after}, [result])
