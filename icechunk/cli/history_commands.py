"""Commands about the history and differences."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import islice
from typing import Any

import click
from rich.text import Text

from icechunk.cli.addresses import At
from icechunk.cli.grammar import VERBS, Verb, option, word
from icechunk.cli.output import Answer, first_line, joined, moment, plain, plural, styled, visible
from icechunk.cli.shell import offer
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.repository import Repository
from icechunk.snapshots import Diff, SnapshotInfo

_CHUNKS_SHOWN = 20


def register(app: click.Group) -> None:
    """Add the commands."""
    ten = option("-n", "count", type=click.IntRange(1), default=10, show_default=True)
    line = "Show the ancestry of a branch, tag or snapshot."
    offer(app, Verb("ancestry", line, (word("reference", default="main"), ten)), ancestry)
    snapshot = click.Group("snapshot", help="Show snapshots.")
    app.add_command(snapshot)
    branch = option("-b", "reference", default="main", show_default=True, metavar="REF")
    offer(snapshot, Verb("list", line, (branch, ten)), ancestry)
    for name, body in (("log", log), ("show", show), ("diff", diff), ("ops", ops)):
        offer(app, VERBS[name], body)


def _plain(info: SnapshotInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "parent_id": info.parent_id,
        "parents": info.parents,
        "written_at": info.written_at,
        "message": info.message,
        "metadata": info.metadata,
    }


def _merge_line(info: SnapshotInfo) -> list[str | Text]:
    """The parents of a merge, as git shows them; nothing for other commits."""
    return [f"Merge: {' '.join(info.parents)}"] if len(info.parents) > 1 else []


def ancestry(at: At, reference: str, count: int) -> Answer:
    """Show the ancestry of a branch, tag or snapshot."""
    infos = list(islice(at.repo.ancestry(snapshot_id=at.named(reference)), count))
    lines: list[str | Text] = []
    for info in infos:
        lines += [*_head(info), ""]
    return Answer([_plain(info) for info in infos], lines)


def _head(info: SnapshotInfo) -> list[str | Text]:
    return [
        joined("Snapshot: ", styled(info.id, "yellow")),
        *_merge_line(info),
        f"Date: {moment(info.written_at)}",
        "",
        *(f"  {text}" for text in info.message.splitlines() or [""]),
    ]


def log(at: At, ref: str | None, graph: bool, count: int | None) -> Answer:
    """Show commits, newest first: all of them, or the ancestry of REF."""
    held = at.repo.history()
    named = _names_by_target(held)
    start = None if ref is None else at.named(ref)
    infos = held["commits"] if start is None else list(at.repo.ancestry(snapshot_id=start))
    infos = infos[:count]
    data = [
        {**_plain(info), "branches": named[info.id][0], "tags": named[info.id][1]} for info in infos
    ]
    if graph:
        return Answer(data, _drawn(at.repo, start))
    lines: list[str | Text] = []
    for info in infos:
        lines.append(_commit_line(info, *named[info.id]))
        lines += [f"  {line}" for line in _merge_line(info)]
    return Answer(data, lines)


def show(at: At, ref: str | None) -> Answer:
    """Show a commit and what it changed."""
    info = at.repo.lookup_snapshot(at.named(ref))
    lines = _head(info)
    if info.metadata:
        held = json.dumps(plain(info.metadata), indent=2, ensure_ascii=False)
        lines += ["", *(f"  {visible(line)}" for line in held.splitlines()[1:-1])]
    if info.parent_id is None:
        return Answer({**_plain(info), "changes": None}, [*lines, "", "the first snapshot"])
    found = _difference(at.repo, info.parent_id, info.id)
    return Answer(
        {**_plain(info), "changes": _changes(found)}, [*lines, "", *_diff_lines(found, False)]
    )


def _names_by_target(held: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """Branches and tags by snapshot id."""
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


def _drawn(repo: Repository, start: str | None) -> list[str | Text]:
    """The graph as lines, with its colours and without other control characters."""
    drawing = Text.from_ansi(str(repo.ancestry_graph(snapshot_id=start)))
    return [_escaped(line) for line in drawing.split("\n")]


def _escaped(line: Text) -> Text:
    if line.plain.isprintable():
        return line
    return Text(visible(line.plain))


def diff(at: At, states: tuple[str, ...], chunks: bool) -> Answer:
    """Show what changed from state A to state B."""
    ends = [end for state in states for end in state.split("..")]
    if len(ends) != 2:
        raise click.UsageError("give two states, A B or A..B")
    before, after = (at.named(end or None) for end in ends)
    found = _difference(at.repo, before, after)
    return Answer({"from": before, "to": after, **_changes(found)}, _diff_lines(found, chunks))


def _changes(found: Diff) -> dict[str, Any]:
    return {
        **{name: getattr(found, name) for name, _ in _SECTIONS},
        "updated_chunks": found.updated_chunks,
        "moved_nodes": found.moved_nodes,
    }


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


def ops(at: At, count: int | None) -> Answer:
    """Show the operations log, newest first."""
    updates = list(islice(at.repo.ops_log(), count))
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
