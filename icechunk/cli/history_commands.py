"""History and differences."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import Any

import click
from rich.text import Text

from icechunk.cli.output import Answer, first_line, joined, moment, plural, styled, visible
from icechunk.cli.places import open_place, snapshot_named
from icechunk.cli.verbs import verb
from icechunk.ground.errors import ErrorKind, InvalidInputError
from icechunk.repository import Repository
from icechunk.snapshots import Diff, SnapshotInfo

place = click.argument("place")
count = click.option("-n", "count", type=click.IntRange(1), help="So many at most.")
_CHUNKS_SHOWN = 20


def register(app: click.Group) -> None:
    """Add the commands."""
    reference = click.argument("reference", default="main")
    ten = click.option("-n", "count", type=click.IntRange(1), default=10, show_default=True)
    verb(app, "ancestry")(place(reference(ten(ancestry))))

    @app.group("snapshot")
    def snapshot() -> None:
        """Show snapshots."""

    branch = click.option("-b", "reference", default="main", show_default=True, metavar="REF")
    verb(snapshot, "list")(place(branch(ten(snapshots))))

    some = click.argument("ref", required=False)
    graph = click.option("--graph", is_flag=True, help="Draw branches and tags.")
    verb(app, "log")(place(some(graph(count(log)))))

    states = click.argument("states", nargs=-1, required=True, metavar="A B")
    chunks = click.option("--chunks", is_flag=True, help="List all chunks.")
    verb(app, "diff")(place(states(chunks(diff))))
    verb(app, "ops")(place(count(ops)))


def _plain(info: SnapshotInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "parent_id": info.parent_id,
        "written_at": info.written_at,
        "message": info.message,
        "metadata": info.metadata,
    }


def ancestry(place: str, reference: str, count: int) -> Answer:
    """Show the ancestry of a branch, tag or snapshot."""
    repo = open_place(place)
    line = islice(repo.ancestry(snapshot_id=snapshot_named(repo, reference)), count)
    infos = list(line)
    lines: list[str | Text] = []
    for info in infos:
        lines += [
            joined("Snapshot: ", styled(info.id, "yellow")),
            f"Date: {moment(info.written_at)}",
            "",
            *(f"  {text}" for text in info.message.splitlines() or [""]),
            "",
        ]
    return Answer([_plain(info) for info in infos], lines)


def snapshots(place: str, reference: str, count: int) -> Answer:
    """Show the ancestry of a branch, tag or snapshot."""
    return ancestry(place, reference, count)


def log(place: str, ref: str | None, graph: bool, count: int | None) -> Answer:
    """Show commits, newest first: all of them, or the ancestry of REF."""
    repo = open_place(place)
    held = repo.history()
    named = _names_by_target(held)
    if ref is None:
        infos = held["commits"]
    else:
        infos = list(repo.ancestry(snapshot_id=snapshot_named(repo, ref)))
    infos = infos[:count]
    data = [
        {**_plain(info), "branches": named[info.id][0], "tags": named[info.id][1]} for info in infos
    ]
    if graph:
        return Answer(data, _drawn(repo, ref))
    return Answer(data, [_commit_line(info, *named[info.id]) for info in infos])


def _names_by_target(held: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """Branches and tags of every snapshot."""
    named: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for number, kind in enumerate(("branches", "tags")):
        for name, target in sorted(held[kind].items()):
            named[target][number].append(name)
    return named


def _commit_line(info: SnapshotInfo, branches: list[str], tags: list[str]) -> Text:
    names = [styled(name, "green bold") for name in branches]
    names += [styled(f"tag: {name}", "cyan bold") for name in tags]
    marks = Text(", ").join(names)
    return joined(
        styled(info.id, "yellow"),
        joined("  (", marks, ")") if names else "",
        f"  {moment(info.written_at)}  ",
        first_line(info.message),
    )


def _drawn(repo: Repository, ref: str | None) -> list[str | Text]:
    """The graph as lines; its colours are kept, anything else that a terminal obeys is not."""
    start = None if ref is None else snapshot_named(repo, ref)
    drawing = Text.from_ansi(str(repo.ancestry_graph(snapshot_id=start)))
    return [_inert(line) for line in drawing.split("\n")]


def _inert(line: Text) -> Text:
    if line.plain.isprintable():
        return line
    return Text(visible(line.plain))


def diff(place: str, states: tuple[str, ...], chunks: bool) -> Answer:
    """Show what changed from state A to state B; also written A..B."""
    ends = [end for state in states for end in state.split("..")]
    if len(ends) != 2:
        raise click.UsageError("give two states, A B or A..B")
    repo = open_place(place)
    before, after = (snapshot_named(repo, end or "main") for end in ends)
    found = _difference(repo, before, after)
    data = {
        "from": before,
        "to": after,
        **{name: getattr(found, name) for name, _ in _SECTIONS},
        "updated_chunks": found.updated_chunks,
        "moved_nodes": found.moved_nodes,
    }
    return Answer(data, _diff_lines(found, chunks))


def _difference(repo: Repository, before: str, after: str) -> Diff:
    try:
        return repo.diff(from_snapshot_id=before, to_snapshot_id=after)
    except InvalidInputError as error:
        if error.kind != ErrorKind.BAD_SNAPSHOT_CHAIN_FOR_DIFF:
            raise
        return repo.diff(from_snapshot_id=before, to_snapshot_id=after, any_states=True)


_SECTIONS = (
    ("new_groups", "Groups created"),
    ("new_arrays", "Arrays created"),
    ("updated_groups", "Group definitions updated"),
    ("updated_arrays", "Array definitions updated"),
    ("deleted_groups", "Groups deleted"),
    ("deleted_arrays", "Arrays deleted"),
)
_COLOURS = {"new": "green", "updated": "yellow", "deleted": "red"}


def _diff_lines(found: Diff, chunks: bool) -> list[str | Text]:
    lines: list[str | Text] = []
    for name, title in _SECTIONS:
        paths = sorted(getattr(found, name))
        if paths:
            colour = _COLOURS[name.partition("_")[0]]
            lines += [f"{title}:", *(joined("    ", styled(path, colour)) for path in paths), ""]
    written = sorted(found.updated_chunks.items())
    if written:
        lines.append("Chunks updated:")
        for path, coordinates in written:
            shown = coordinates if chunks else coordinates[:_CHUNKS_SHOWN]
            text = ", ".join(str(tuple(index)) for index in shown)
            more = len(coordinates) - len(shown)
            lines.append(
                joined("    ", styled(path, "yellow"), f": {plural(len(coordinates), 'chunk')}")
            )
            lines.append(f"        {text}{f', and {more:,} more (--chunks)' if more else ''}")
        lines.append("")
    if found.moved_nodes:
        lines.append("Nodes moved/renamed:")
        lines += [f"    {source} -> {target}" for source, target in found.moved_nodes]
        lines.append("")
    return lines[:-1] if lines else ["no differences"]


def ops(place: str, count: int | None) -> Answer:
    """Show every change of the repository itself, newest first."""
    updates = list(islice(open_place(place).ops_log(), count))
    data = [
        {
            "kind": type(update.kind).__name__,
            "updated_at": update.updated_at,
            "backup_path": update.backup_path,
            **_details(update.kind),
        }
        for update in updates
    ]
    lines: list[str | Text] = [
        joined(
            f"{moment(update.updated_at)}  ",
            styled(row["kind"], "bold"),
            *(f"  {name}={row[name]}" for name in _details(update.kind)),
        )
        for update, row in zip(updates, data, strict=True)
    ]
    return Answer(data, lines)


def _details(kind: object) -> dict[str, Any]:
    names = [name for name in dir(kind) if not name.startswith("_")]
    values = {name: getattr(kind, name) for name in names}
    return {name: value for name, value in values.items() if not callable(value)}
