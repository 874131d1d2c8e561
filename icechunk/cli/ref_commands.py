"""Commands about branches and tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from icechunk.cli.addresses import At
from icechunk.cli.grammar import VERBS, Verb, word
from icechunk.cli.output import Answer, Cell, first_line, joined, plural, styled, table
from icechunk.cli.shell import Verbs, offer
from icechunk.repository import Repository
from icechunk.snapshots import SnapshotInfo

_MOST_LOST = 10


def register(app: click.Group) -> None:
    """Add the commands: ``branch NAME``, and ``branch create NAME``."""
    for kind, kinds, short in (("branch", "branches", branch), ("tag", "tags", tag)):
        about = (
            f"`icechunk {kind} REPO` lists them, `icechunk {kind} REPO NAME [START]` creates one, "
            f"and `icechunk {kind} REPO -d NAME` deletes one. {VERBS[kind].about}"
        )
        group = Verbs(
            kind, help=f"List, create or delete {kinds}.\n\n{about}", no_args_is_help=True
        )
        group.bare = "at"
        app.add_command(group)
        name, start = word("name", required=True), word("start", required=True)
        about = "START: branch, tag or snapshot."
        offer(group, Verb("list", f"List {kinds}."), _bound(_listing, kinds))
        made = Verb("create", f"Create a {kind}.", (name, start), about=about)
        offer(group, made, _bound(_create, kind))
        offer(group, Verb("delete", f"Delete a {kind}.", (name,)), _bound(_delete, kind))
        offer(group, VERBS[kind], short, name="at", hidden=True)
    offer(app, VERBS["reset"], reset)


def _bound(body: Callable[..., Answer], *first: str) -> Callable[..., Answer]:
    def run(at: At, **words: Any) -> Answer:
        return body(at, *first, **words)

    return run


def branch(
    at: At,
    name: str | None,
    start: str | None,
    delete: str | None,
    force_delete: str | None,
    yes: bool,
) -> Answer:
    """List branches, or create or delete one."""
    target = force_delete if delete is None else delete
    if target is None:
        return _listing(at, "branches") if name is None else _create(at, "branch", name, start)
    _no_more(name)
    lost = unreachable(at.repo, target) if at.repo.lookup_branch(target) else []
    if not lost or yes or force_delete is not None or target == "main":  # deleting main raises
        return _delete(at, "branch", target)
    return Answer(
        {"branch": target, "unreachable": [info.id for info in lost], "done": False},
        [
            f"{plural(len(lost), 'commit')} of {target} in no other branch or tag:",
            *_listed(lost),
        ],
        f"delete branch {target}",
    )


def tag(at: At, name: str | None, start: str | None, delete: str | None, yes: bool) -> Answer:
    """List tags, or create or delete one."""
    if delete is None:
        return _listing(at, "tags") if name is None else _create(at, "tag", name, start)
    _no_more(name)
    target = at.repo.lookup_tag(delete)
    if yes:
        return _delete(at, "tag", delete)
    return Answer(
        {"tag": delete, "snapshot_id": target, "done": False},
        [f"{delete} points to {target}; once deleted, its name can never be used again"],
        f"delete tag {delete}",
    )


def _no_more(name: str | None) -> None:
    if name is not None:
        raise click.UsageError(f"unexpected argument `{name}`: -d takes exactly one name")


def _listing(at: At, kinds: str) -> Answer:
    held = at.repo.history()
    messages = {info.id: first_line(info.message) for info in held["commits"]}
    named: dict[str, str] = dict(
        sorted(held[kinds].items(), key=lambda item: (item[0] != "main", item[0]))
    )
    current = None if at.session is None or kinds == "tags" else at.session.branch
    rows: list[tuple[Cell, ...]] = [
        (
            *(() if current is None else ("*" if name == current else "",)),
            styled(target, "yellow"),
            styled(name, "bold"),
            messages.get(target, ""),
        )
        for name, target in named.items()
    ]
    return Answer({kinds: named}, table(rows))


def _create(at: At, kind: str, name: str, start: str | None) -> Answer:
    target = at.named(start)
    make = at.repo.create_branch if kind == "branch" else at.repo.create_tag
    make(name, target)
    return Answer({kind: name, "snapshot_id": target}, [f"created {kind} {name} at {target}"])


def _delete(at: At, kind: str, name: str) -> Answer:
    if kind == "branch":
        former = at.repo.lookup_branch(name)
        at.repo.delete_branch(name)
        more = ""
    else:
        former = at.repo.lookup_tag(name)
        at.repo.delete_tag(name)
        more = "; its name cannot be used again"
    return Answer(
        {kind: name, "former": former}, [f"deleted {kind} {name}, which pointed to {former}{more}"]
    )


def unreachable(repo: Repository, branch: str, target: str | None = None) -> list[SnapshotInfo]:
    """Commits that no branch or tag would reach if a branch moved or were deleted.

    Parameters
    ----------
    repo : Repository
        The repository.
    branch : str
        The branch.
    target : str, optional
        Id of the snapshot that it would point to; None when it is deleted.

    Returns
    -------
    list of SnapshotInfo
        Newest first.
    """
    held = repo.history()
    parents: Mapping[str, str | None] = {info.id: info.parent_id for info in held["commits"]}
    starts = [tip for name, tip in held["branches"].items() if name != branch]
    starts += held["tags"].values()
    kept = set() if target is None else {info.id for info in repo.ancestry(snapshot_id=target)}
    for start in starts:
        step: str | None = start
        while step is not None and step not in kept:
            kept.add(step)
            step = parents.get(step)
    return [info for info in repo.ancestry(branch=branch) if info.id not in kept]


def _listed(infos: list[SnapshotInfo]) -> list[Any]:
    lines: list[Any] = [
        joined("    ", styled(info.id, "yellow"), f"  {first_line(info.message)}")
        for info in infos[:_MOST_LOST]
    ]
    more = len(infos) - len(lines)
    return [*lines, f"    and {more:,} more"] if more else lines


def reset(at: At, ref: str, expected: str | None, yes: bool, dry_run: bool) -> Answer:
    """Point a branch to another snapshot."""
    branch = at.branch
    assert branch is not None
    repo = at.repo
    target, former = at.named(ref), repo.lookup_branch(branch)
    lost = unreachable(repo, branch, target)
    data: dict[str, Any] = {
        "branch": branch, "snapshot_id": target, "former": former,
        "unreachable": [info.id for info in lost],
    }  # fmt: skip
    if dry_run or (lost and not yes):
        what = f"{branch} would move from {former} to {target}"
        lines = [
            what,
            f"and leave {plural(len(lost), 'commit')} in no branch or tag:",
            *_listed(lost),
        ]
        return Answer(
            {**data, "done": False}, lines if lost else [what], "" if dry_run else f"move {branch}"
        )
    guard = former if expected is None else at.named(expected)
    repo.reset_branch(branch, target, from_snapshot_id=guard)
    return Answer({**data, "done": True}, [f"{branch} points to {target} (was {former})"])
