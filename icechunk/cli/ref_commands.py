"""Branches and tags."""

from __future__ import annotations

from collections.abc import Callable

import click

from icechunk.cli.output import Answer, Cell, first_line, styled, table
from icechunk.cli.places import open_place, snapshot_named
from icechunk.cli.verbs import Verbs, verb
from icechunk.repository import Repository

place = click.argument("place")


def register(app: click.Group) -> None:
    """Add the commands."""
    _register(app, "branch", "branches", "Branch, tag or snapshot where it starts.")
    _register(app, "tag", "tags", "Branch, tag or snapshot to name.")
    expect = click.option("--from", "expected", metavar="REF", help="Only if it points there now.")
    verb(app, "reset")(place(click.argument("branch")(click.argument("ref")(expect(reset)))))


def _register(app: click.Group, kind: str, kinds: str, about: str) -> None:
    """Add ``list``, ``create``, ``delete`` and the short form of one kind of refs."""
    group = Verbs(kind, help=f"List, create or delete {kinds}.", no_args_is_help=True)
    group.bare = "at"
    app.add_command(group)
    name, target = click.argument("name"), click.argument("start")

    def list_(place: str) -> Answer:
        return _listing(open_place(place), kinds)

    def create(place: str, name: str, start: str) -> Answer:
        return _create(open_place(place), kind, name, start)

    def delete(place: str, name: str) -> Answer:
        return _delete(open_place(place), kind, name)

    def at(place: str, name: str | None, start: str | None, doomed: str | None) -> Answer:
        repo = open_place(place)
        if doomed is not None:
            if name is not None:
                raise click.UsageError(f"`{name}` is one name too many; -d takes exactly one")
            return _delete(repo, kind, doomed)
        if name is None:
            return _listing(repo, kinds)
        return _create(repo, kind, name, start or "main")

    verb(group, "list", help=f"List {kinds}.")(place(list_))
    verb(group, "create", help=f"Create a {kind}. START: {about}")(place(name(target(create))))
    verb(group, "delete", help=f"Delete a {kind}.")(place(name(delete)))
    optional: Callable[[Callable[..., Answer]], Callable[..., Answer]] = click.argument(
        "start", required=False
    )
    short = click.option("-d", "--delete", "doomed", metavar="NAME", help=f"Delete a {kind}.")
    verb(group, "at", help=f"List {kinds}, or create (NAME [START]) one.", hidden=True)(
        place(click.argument("name", required=False)(optional(short(at))))
    )


def _listing(repo: Repository, kinds: str) -> Answer:
    held = repo.history()
    messages = {info.id: first_line(info.message) for info in held["commits"]}
    named: dict[str, str] = dict(
        sorted(held[kinds].items(), key=lambda item: (item[0] != "main", item[0]))
    )
    rows: list[tuple[Cell, ...]] = [
        (styled(target, "yellow"), styled(name, "bold"), messages.get(target, ""))
        for name, target in named.items()
    ]
    return Answer({kinds: named}, table(rows))


def _create(repo: Repository, kind: str, name: str, start: str) -> Answer:
    target = snapshot_named(repo, start)
    if kind == "branch":
        repo.create_branch(name, target)
    else:
        repo.create_tag(name, target)
    return Answer({kind: name, "snapshot_id": target}, [f"created {kind} {name} at {target}"])


def _delete(repo: Repository, kind: str, name: str) -> Answer:
    if kind == "branch":
        former = repo.lookup_branch(name)
        repo.delete_branch(name)
        more = ""
    else:
        former = repo.lookup_tag(name)
        repo.delete_tag(name)
        more = "; its name cannot be used again"
    return Answer(
        {kind: name, "former": former}, [f"deleted {kind} {name}, which pointed to {former}{more}"]
    )


def reset(place: str, branch: str, ref: str, expected: str | None) -> Answer:
    """Point a branch to another snapshot."""
    repo = open_place(place)
    target, former = snapshot_named(repo, ref), repo.lookup_branch(branch)
    guard = former if expected is None else snapshot_named(repo, expected)
    repo.reset_branch(branch, target, from_snapshot_id=guard)
    return Answer(
        {"branch": branch, "snapshot_id": target, "former": former},
        [f"{branch} points to {target}; before, to {former}"],
    )
