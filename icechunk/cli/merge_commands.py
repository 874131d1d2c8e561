"""Commands that apply changes of other states to a branch, and that find who changed what."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from icechunk.cli.addresses import At
from icechunk.cli.grammar import VERBS, Verb, word
from icechunk.cli.output import Answer, Cell, plural, styled, table
from icechunk.cli.shell import Verbs, offer
from icechunk.core.errors import ErrorKind, InvalidInputError, MergeConflictError
from icechunk.merging.bisect import Bisection
from icechunk.merging.result import MergeResult
from icechunk.session.session import Session

_CHUNKS_SHOWN = 5
_CANNOT_TEST = 125
"""Exit status of a test command for a state that it cannot test, as for git bisect."""


def register(app: click.Group) -> None:
    """Add the commands."""
    for name, body in (
        ("merge", merge),
        ("merge-base", merge_base),
        ("cherry-pick", cherry_pick),
        ("revert", revert),
        ("squash", squash),
        ("undo", undo),
        ("blame", blame),
        ("bisect", bisect),
    ):
        offer(app, VERBS[name], explained(body))
    group = Verbs("stash", help="List, show or drop stashes of notebook sessions.")
    group.bare = "list"
    app.add_command(group)
    number = word("number", type=int, default=0)
    offer(group, Verb("list", "List stashes, newest first."), stash_list)
    offer(group, Verb("show", "Show what a stash changes.", (number,)), stash_show)
    offer(group, Verb("drop", "Remove a stash.", (number,)), stash_drop)


def explained(body: Callable[..., Answer]) -> Callable[..., Answer]:
    """A command that lists conflicts instead of raising them."""

    def run(*args: Any, **words: Any) -> Answer:
        try:
            return body(*args, **words)
        except MergeConflictError as error:
            return conflict_answer(error)

    return run


def merge(
    at: At,
    sources: tuple[str, ...],
    into: str | None,
    message: str | None,
    no_ff: bool,
    ff_only: bool,
    squash: bool,
    prefer: str | None,
    decisions: str | None,
    cells: str,
    tolerance: str | None,
    allow_unrelated: bool,
    dry_run: bool,
) -> Answer:
    """Merge branches, tags or snapshots into a branch."""
    if no_ff and ff_only:
        raise click.UsageError("--no-ff and --ff-only exclude each other")
    branch = _branch(at, into)
    result = at.repo.merge(
        [source_name(at, one) for one in sources],
        into=branch,
        message=message,
        fast_forward="never" if no_ff else "only" if ff_only else "auto",
        squash=squash,
        prefer=prefer,
        decisions=_decisions(decisions),
        cells=cells,
        tolerance=_tolerance(tolerance),
        allow_unrelated=allow_unrelated,
        dry_run=dry_run,
    )
    return Answer(result.to_dict(), _lines(result))


def opened_merge(
    at: At,
    sources: tuple[str, ...],
    into: str | None,
    prefer: str | None,
    decisions: str | None,
    cells: str,
    tolerance: str | None,
    allow_unrelated: bool,
) -> Session:
    """A session that holds a merge, for notebooks."""
    return at.repo.merge_session(
        [source_name(at, one) for one in sources],
        into=_branch(at, into),
        prefer=prefer,
        decisions=_decisions(decisions),
        cells=cells,
        tolerance=_tolerance(tolerance),
        allow_unrelated=allow_unrelated,
    )


def merge_base(at: At, a: str, b: str | None) -> Answer:
    """Show the best common ancestor of two states."""
    other = _branch(at, None) if b is None else b
    base = at.repo.merge_base(source_name(at, a), source_name(at, other))
    if base is None:
        return Answer({"merge_base": None}, [f"{a} and {other} have no commit in common"], bad=True)
    return Answer({"merge_base": base}, [base])


def cherry_pick(
    at: At,
    commits: tuple[str, ...],
    onto: str | None,
    prefer: str | None,
    decisions: str | None,
    cells: str,
    tolerance: str | None,
    dry_run: bool,
) -> Answer:
    """Apply the changes of single commits to a branch."""
    branch = _branch(at, onto)
    results = at.repo.cherry_pick(
        _commits(at, commits),
        onto=branch,
        prefer=prefer,
        decisions=_decisions(decisions),
        cells=cells,
        tolerance=_tolerance(tolerance),
        dry_run=dry_run,
    )
    return _several(results)


def revert(
    at: At,
    commits: tuple[str, ...],
    on: str | None,
    parent: int,
    prefer: str | None,
    decisions: str | None,
    cells: str,
    tolerance: str | None,
    dry_run: bool,
) -> Answer:
    """Undo the changes of single commits by new commits."""
    branch = _branch(at, on)
    results = at.repo.revert(
        _commits(at, commits)[::-1]
        if any(".." in one for one in commits)
        else _commits(at, commits),
        on=branch,
        parent=parent,
        prefer=prefer,
        decisions=_decisions(decisions),
        cells=cells,
        tolerance=_tolerance(tolerance),
        dry_run=dry_run,
    )
    return _several(results)


def squash(at: At, since: str, branch: str | None, message: str, yes: bool) -> Answer:
    """Replace the newest commits of a branch by a single one."""
    name = _branch(at, branch)
    start = at.named(since)
    commits = []
    for info in at.repo.ancestry(branch=name):
        if info.id == start:
            break
        commits.append(info)
    if not yes:
        lines = [f"{plural(len(commits), 'commit')} of {name} would become one:"]
        lines += [f"  {info.id}  {info.message.partition(chr(10))[0]}" for info in commits]
        data = {"branch": name, "commits": [info.id for info in commits], "done": False}
        return Answer(data, lines, f"squash {name}")
    tip = at.repo.squash(name, start, message)
    return Answer(
        {
            "branch": name,
            "snapshot_id": tip,
            "commits": [info.id for info in commits],
            "done": True,
        },
        [f"{name} is at {tip}, one commit for {len(commits)}"],
    )


def undo(at: At, yes: bool, dry_run: bool) -> Answer:
    """Undo the newest operation of the repository."""
    found = at.repo.undo(dry_run=dry_run or not yes)
    at_time = f"{found.updated_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"{found.operation} ({at_time})", f"{'' if found.done else 'would '}{found.action}"]
    pending = "" if found.done or dry_run else "undo it"
    return Answer(found.to_dict(), lines, pending)


def blame(at: At, path: str, ref: str | None) -> Answer:
    """Show which commits wrote the chunks of an array."""
    node, region = region_of(path)
    found = at.repo.blame(node, region, ref=at.named(ref))
    rows: list[tuple[Cell, ...]] = []
    for row, count in enumerate(found.counts.tolist()):
        when = found.written_at[row]
        rows.append(
            (
                styled(found.snapshot_ids[row], "yellow"),
                "" if when is None else f"{when:%Y-%m-%d %H:%M}",
                found.authors[row],
                plural(count, "chunk"),
                _some(found.chunks[found.commit == row].tolist()),
                found.messages[row].partition("\n")[0],
            )
        )
    return Answer(found.to_dict(), table(rows))


def bisect(at: At, good: str, bad: str | None, command: tuple[str, ...]) -> Answer:
    """Find the commit that made a test fail."""
    if not command:
        raise click.UsageError("give the test after the states: -- COMMAND [ARGUMENT]...")
    tested: list[tuple[str, str]] = []

    def test(snapshot_id: str) -> bool | None:
        done = subprocess.run([one.replace("{}", snapshot_id) for one in command], check=False)
        outcome = None if done.returncode == _CANNOT_TEST else done.returncode == 0
        tested.append((snapshot_id, {None: "skip", True: "good", False: "bad"}[outcome]))
        return outcome

    found = at.repo.bisect(at.named(good), at.named(bad), lambda session: test(session.snapshot_id))
    return bisection(at, found, tested)


def bisection(at: At, found: Bisection, tested: list[tuple[str, str]]) -> Answer:
    """The answer of a finished search."""
    named = [at.repo.lookup_snapshot(one) for one in found.first_bad]
    lines = [f"{one}  {outcome}" for one, outcome in tested]
    if len(named) == 1:
        lines.append(f"the first bad commit is {named[0].id}: {named[0].message}")
    else:
        lines.append("the first bad commit is one of these, which could not be tested:")
        lines += [f"  {info.id}  {info.message}" for info in named]
    return Answer({**found.to_dict(), "tested": dict(tested)}, lines)


def stash_list(at: At) -> Answer:
    """List stashes."""
    found = at.repo.stashes()
    rows: list[tuple[Cell, ...]] = [
        (
            str(one.index),
            styled(one.snapshot_id, "yellow"),
            f"{one.written_at:%Y-%m-%d %H:%M}",
            one.branch,
            one.message,
        )
        for one in found
    ]
    return Answer([one.to_dict() for one in found], table(rows) if rows else ["no stashes"])


def stash_show(at: At, number: int) -> Answer:
    """Show what a stash changes."""
    found = _stash(at, number)
    diff = at.repo.diff(from_snapshot_id=found.base, to_snapshot_id=found.snapshot_id)
    return Answer(found.to_dict(), str(diff).splitlines())


def _stash(at: At, number: int) -> Any:
    found = at.repo.stashes()
    if not 0 <= number < len(found):
        raise InvalidInputError(
            f"no stash {number}: there are {len(found)}, numbered from 0", ErrorKind.REF_NOT_FOUND
        )
    return found[number]


def stash_drop(at: At, number: int) -> Answer:
    """Remove a stash."""
    found = at.repo.drop_stash(number)
    return Answer(found.to_dict(), [f"dropped stash {number} ({found.snapshot_id})"])


# -- words ---------------------------------------------------------------------------------------


def source_name(at: At, name: str) -> str:
    """A branch or tag by its name, for messages; any other ref as a snapshot id."""
    if name in at.repo.list_branches() or name in at.repo.list_tags():
        return name
    return at.named(name)


def _branch(at: At, name: str | None) -> str:
    """The branch to change: the session's, or main."""
    if name is not None:
        at.repo.lookup_branch(name)
        return name
    if at.session is None:
        return "main"
    if at.session.branch is None:
        raise InvalidInputError(
            "the session is not on a branch; name the branch to change", ErrorKind.NOT_ON_BRANCH
        )
    return at.session.branch


def _commits(at: At, words: tuple[str, ...]) -> list[str]:
    """Snapshot ids, oldest first within a range ``A..B`` (A left out, as in git)."""
    found: list[str] = []
    for one in words:
        first, dots, last = one.partition("..")
        if not dots:
            found.append(at.named(one))
            continue
        start, ids = at.named(first), []
        for info in at.repo.ancestry(snapshot_id=at.named(last or None)):
            if info.id == start:
                break
            ids.append(info.id)
        else:
            raise InvalidInputError(
                f"{first} is not in the history of {last}", ErrorKind.BAD_SNAPSHOT_CHAIN_FOR_DIFF
            )
        found += ids[::-1]
    return found


def region_of(text: str) -> tuple[str, tuple[slice | int, ...] | None]:
    """Path and region of ``PATH`` or ``PATH[0:10, 3]``.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-region``.
    """
    path, bracket, rest = text.partition("[")
    path = path if path.startswith("/") else f"/{path}"
    if not bracket:
        return path, None
    items: list[slice | int] = []
    try:
        if not rest.endswith("]"):
            raise ValueError("there is no closing bracket")
        for part in filter(None, (one.strip() for one in rest[:-1].split(","))):
            ends = [int(end) if end.strip() else None for end in part.split(":")]
            if len(ends) > 2:
                raise ValueError("a region has no step")
            first = ends[0]
            items.append(first if len(ends) == 1 and first is not None else slice(*ends))
    except ValueError as error:
        raise InvalidInputError(
            f"`[{rest}` is not a region ({error}); write PATH[0:10, 3]", ErrorKind.INVALID_REGION
        ) from None
    return path, tuple(items)


def _decisions(path: str | None) -> list[dict[str, Any]]:
    """Decisions of a JSON file, as the conflict resolver saves them."""
    if path is None:
        return []
    try:
        document = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"cannot read decisions from {path}: {error}", ErrorKind.DESERIALIZATION
        ) from error
    entries = document.get("decisions") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise InvalidInputError(
            f"{path} does not hold a list of decisions", ErrorKind.DESERIALIZATION
        )
    return entries


def _tolerance(text: str | None) -> dict[str, float] | None:
    """Limits from ``ABS`` or ``ABS,REL``."""
    if text is None:
        return None
    try:
        limits = [float(part) for part in text.split(",")]
        return dict(zip(("abs", "rel"), limits, strict=len(limits) > 2))
    except ValueError:
        raise click.UsageError(
            f"--tolerance {text} is not a limit; write --tolerance 1e-6, or --tolerance 1e-6,1e-9 "
            "for an absolute and a relative one"
        ) from None


# -- answers -------------------------------------------------------------------------------------


def conflict_answer(error: MergeConflictError) -> Answer:
    """What a refused merge shows."""
    data = {
        "outcome": "conflicts",
        "branch": error.branch,
        "sources": error.sources,
        "conflicts": [one.to_dict() for one in error.conflicts],
        "dry_run": False,
    }
    lines = [
        f"cannot merge {', '.join(error.sources)} into {error.branch}; nothing was changed:",
        *conflict_lines(error.conflicts),
        "take one side with --prefer source or --prefer target, or give --decisions FILE",
        *(
            ["--cells auto merges the chunks in which both sides changed different cells"]
            if any(one.num_chunks for one in error.conflicts)
            else []
        ),
    ]
    return Answer(data, lines, bad=True)


def conflict_lines(conflicts: list[Any]) -> list[str]:
    """One line per conflict."""
    return [
        f"  {one.path}: {str(one.conflict_type).lower()}"
        + (f" {_some(one.conflicted_chunks)}" if one.conflicted_chunks else "")
        for one in conflicts
    ]


def _some(chunks: list[list[int]]) -> str:
    shown = " ".join(str(chunk) for chunk in chunks[:_CHUNKS_SHOWN])
    more = len(chunks) - _CHUNKS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _several(results: list[MergeResult]) -> Answer:
    lines = [line for one in results for line in _lines(one)]
    return Answer([one.to_dict() for one in results], lines)


def _lines(result: MergeResult) -> list[Any]:
    if result.outcome == "up-to-date":
        return [f"{result.branch} has these changes already"]
    if result.outcome == "conflicts":
        kinds = Counter(str(one.conflict_type).lower() for one in result.conflicts)
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return [f"{result.branch} would conflict: {counted}", *conflict_lines(result.conflicts)]
    verb = {"merged": "commit", "fast-forward": "move"}[result.outcome]
    changed = len(result.changes.chunk_coordinates)
    chunks = sum(map(len, result.changes.chunk_coordinates.values()))
    what = f"{plural(chunks, 'chunk')} of {plural(changed, 'array')}"
    if result.dry_run:
        return [f"{result.branch} would get a {verb}: {what}"]
    done = "is at" if verb == "commit" else "moved to"
    return [f"{result.branch} {done} {result.snapshot_id}: {what}"]
