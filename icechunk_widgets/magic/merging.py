"""Merge, cherry-pick, revert, squash, undo, restore, stash and bisect in a notebook.

The work is done as in the shell. Where a verb moves the session's branch, the session must be clean
before, and a new one is opened on the new tip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zarr

from icechunk import ConflictDetector, ErrorKind, MergeConflictError, Session, SessionStateError
from icechunk.cli import merge_commands
from icechunk.cli.output import Answer
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import plural, short
from icechunk_widgets.magic.parser import UsageError
from icechunk_widgets.magic.reports import reported
from icechunk_widgets.magic.results import Note, Report
from icechunk_widgets.workspace import Workspace

_MOST_READ = 1000
"""Chunks that are read to say how many of them can be merged cell by cell."""
_BRANCH_WORDS = ("into", "onto", "on", "branch")


def moving(body: Callable[..., Answer]) -> Callable[..., Report]:
    """A verb of the shell that may move the session's branch."""

    def run(space: Workspace, **words: Any) -> Report:
        held = space.held_session
        named = next((words[name] for name in _BRANCH_WORDS if words.get(name)), None)
        branch = None if held is None or held.read_only else held.branch
        moves = branch is not None and named in (None, branch) and not words.get("dry_run")
        if moves:
            space.check_clean(discard=False)
        try:
            answer = body(space.at, **words)
        except MergeConflictError as error:
            answer = merge_commands.conflict_answer(error)
            answer.lines = [*answer.lines, *_by_cells(space, body, words, error)]
            space.show_below(Report(answer))
            raise
        report = reported(space, answer)
        if moves and branch is not None and branch in space.repo.list_branches():
            space.bind(space.repo, space.repo.writable_session(branch))
        return report

    return run


def _by_cells(
    space: Workspace,
    body: Callable[..., Answer],
    words: dict[str, Any],
    error: MergeConflictError,
) -> list[str]:
    """How many of the conflicting chunks could be merged cell by cell; nothing for many chunks."""
    chunks = sum(conflict.num_chunks for conflict in error.conflicts)
    if words.get("cells") != "never" or not 0 < chunks <= _MOST_READ:
        return []
    found = body(space.at, **{**words, "cells": "auto", "dry_run": True}).data
    entries = found if isinstance(found, list) else [found]
    left = sum(len(one.get("chunks", ())) for entry in entries for one in entry["conflicts"])
    return [f"--cells auto would settle {chunks - left} of {plural(chunks, 'chunk')}"]


def merge(space: Workspace, solve: bool, **words: Any) -> Report | Note:
    """Merge into a branch, or open a session that holds the merge."""
    if not solve:
        return moving(merge_commands.merge)(space, **words)
    for name in ("no_ff", "ff_only", "squash", "dry_run", "message"):
        if words[name]:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"--solve only opens the merge, `commit` makes it: leave out {flag}")
    space.check_clean(discard=False)
    try:
        session = merge_commands.opened_merge(
            space.at,
            words["sources"],
            words["into"],
            words["prefer"],
            words["decisions"],
            words["cells"],
            words["tolerance"],
            words["allow_unrelated"],
        )
    except SessionStateError as error:
        if error.kind != ErrorKind.NO_CHANGES_TO_COMMIT:
            raise
        return Note(error.message)  # merged already: not a failure of the cell
    space.bind(space.repo, session)
    return _held_merge(session)


def _held_merge(session: Session) -> Note:
    """What a session merges, and what is open."""
    report = session.conflicts()
    merging = session.merging
    assert merging is not None
    head = f"`session` merges {', '.join(merging.names)} into {report.branch}"
    if not report.conflicts:
        text = f"{head} without conflicts; `%icechunk commit` makes the merge"
    else:
        lines = merge_commands.conflict_lines(report.conflicts)
        text = "\n".join(
            [
                f"{head}; {plural(len(report), 'conflict')} to decide:",
                *lines,
                "decide in the resolver that `%icechunk solve` opens, or with `session.solve(...)` "
                "and `%icechunk commit`; `%icechunk discard` gives the merge up",
            ]
        )
    return Note(text, session=session, conflicts=report.conflicts)


def no_sides() -> UsageError:
    """The error for --ours or --theirs in a merge."""
    return UsageError(
        "--ours and --theirs have no meaning in a merge: decide with "
        "`session.solve(prefer='source')` or `'target'`"
    )


def lay_again(session: Session, *, sided: bool, dry_run: bool) -> Note:
    """Lay the merge that a session holds on the tip of its branch.

    Parameters
    ----------
    sided : bool
        Whether --ours or --theirs was given.
    dry_run : bool
        Only show what is open.
    """
    if sided:
        raise no_sides()
    if not dry_run:
        session.rebase(ConflictDetector())
    if session.merging is None:
        return Note(f"the merge is in {session.branch} already: nothing is left to do")
    return _held_merge(session)


def restore(space: Workspace, path: str, source: str | None) -> Note:
    """Give a node the content of another state."""
    session = space.writable
    node, region = merge_commands.region_of(path)
    state = space.at.named(source)
    session.restore(node, state, region)
    return Note(f"restored {path} from {short(state)}; `commit` keeps it")


def stash(space: Workspace, words: tuple[str, ...]) -> Any:
    """Put uncommitted changes aside, or list, show, pop or drop stashes."""
    verb = words[0] if words else ""
    if verb == "list" and len(words) == 1:
        return reported(space, merge_commands.stash_list(space.at))
    if verb in ("show", "pop", "drop") and len(words) <= 2:
        number = _number(words[1]) if len(words) == 2 else 0
        if verb == "pop":
            return _pop(space, number)
        body = merge_commands.stash_show if verb == "show" else merge_commands.stash_drop
        return reported(space, body(space.at, number))
    session = space.writable
    stashed = session.stash(" ".join(words))
    return Note(f"stashed as {short(stashed)}; `%icechunk stash pop` brings it back")


def _number(word: str) -> int:
    if not word.isdecimal():
        raise UsageError(f"`{word}` is not the number of a stash; `stash list` shows them")
    return int(word)


def _pop(space: Workspace, number: int) -> Note:
    session = space.writable
    found = session.pop_stash(number)
    if session.merging is not None:
        return _held_merge(session)
    return Note(f"applied stash {number} ({short(found.snapshot_id)}) to the session on "
                f"{session.branch}")  # fmt: skip


def bisect(space: Workspace, good: str, bad: str | None, command: tuple[str, ...]) -> Report:
    """Find the commit for which an expression is not true any more."""
    if not command:
        raise UsageError("give the test as an expression: `bisect GOOD -- root['sst'][0] < 40`")
    text = " ".join(command)
    try:
        test = compile(text, "<bisect>", "eval")
    except SyntaxError as error:
        raise UsageError(f"`{text}` is not a Python expression: {error.msg}") from None
    tested: list[tuple[str, str]] = []

    def passes(session: Session) -> bool:
        names = {**space.names, "session": session, "store": session.store}
        if "root" in test.co_names:
            names["root"] = zarr.open_group(session.store, mode="r")
        outcome = bool(eval(test, names))
        tested.append((session.snapshot_id, "good" if outcome else "bad"))
        return outcome

    at = space.at
    found = space.repo.bisect(at.named(good), at.named(bad), passes)
    return reported(space, merge_commands.bisection(at, found, tested))


def undo(space: Workspace, yes: bool, dry_run: bool) -> Report:
    """Undo the newest operation; the session follows its branch."""
    held = space.held_session
    if yes and held is not None and held.has_uncommitted_changes:
        raise refusal(
            "the session has uncommitted changes",
            "`%icechunk commit`, `stash` or `discard` them first",
            ErrorKind.UNCOMMITTED_CHANGES,
        )
    report = reported(space, merge_commands.undo(space.at, yes, dry_run))
    if not dry_run and held is not None and not held.read_only:
        branch = held.branch
        names = space.repo.list_branches()
        goes_on = branch if branch in names else "main"
        assert goes_on is not None
        space.bind(space.repo, space.repo.writable_session(goes_on))
    return report
