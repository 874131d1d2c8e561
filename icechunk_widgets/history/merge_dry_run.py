"""What a merge, cherry-pick or revert of a commit would do; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from icechunk import Conflict, Repository
from icechunk.merging.result import MergeResult
from icechunk_widgets.commits.details import count_changes
from icechunk_widgets.kernel.plain import plural, short

MERGING = ("merge", "pick", "revert")
_MOST_NODES = 50
_CALLS = {
    "merge": ("merge", "into", "into"),
    "pick": ("cherry_pick", "onto", "onto"),
    "revert": ("revert", "on", "on"),
}
"""Method, its keyword for the branch, and the word before the branch."""
_DONE = {"merge": "merged", "pick": "picked", "revert": "reverted"}


@dataclass(frozen=True)
class Found:
    """The result of a dry run.

    Attributes
    ----------
    source : str
        What is merged, by name where it has one; else the commit.
    python : str
        One line of code that does it, with ``repo`` for the repository.
    text, hint : str
        What would happen, in one sentence, and what to do where it cannot.
    done : str
        One sentence for afterwards.
    outcome : dict
        ``state`` (``clean``, ``forward``, ``same`` or ``conflicts``), ``chunks`` (in conflict) and
        ``nodes`` (path, title and chunks of each conflict, at most 50).
    run : callable
        Does it.
    """

    source: str
    python: str
    text: str
    hint: str
    done: str
    outcome: dict[str, Any]
    run: Callable[[], Any]


def dry_run(repo: Repository, action: str, snapshot_id: str, branch: str) -> Found:
    """Try a merge, cherry-pick or revert of a commit.

    Parameters
    ----------
    repo : Repository
        The repository.
    action : str
        One of `MERGING`.
    snapshot_id : str
        The commit; merged by the name of a branch or tag that points to it.
    branch : str
        The branch that would get a commit.
    """
    source = _name(repo, snapshot_id, branch) if action == "merge" else snapshot_id
    shown = source if source != snapshot_id else short(source)
    name, keyword, place = _CALLS[action]
    call = partial(getattr(repo, name), source, **{keyword: branch})
    tried = call(dry_run=True)
    found: MergeResult = tried if action == "merge" else tried[0]
    hint = ""
    if found.outcome == "conflicts":
        hint = "pass `prefer=` or `decisions=` in code"
        if action == "merge":
            hint = f"decide them in `repo.merge_session({source!r}, into={branch!r})`"
    return Found(
        source,
        f"repo.{name}({source!r}, {keyword}={branch!r})",
        _sentence(found, action, shown, branch),
        hint,
        f"{shown} is {_DONE[action]} {place} {branch}.",
        _outcome(found),
        call,
    )


def _name(repo: Repository, snapshot_id: str, branch: str) -> str:
    """Name of a commit for a merge: a branch, else a tag that points to it, else its id."""
    table = repo.commit_table()
    for refs in (table.branches, table.tags):
        for name in sorted(refs):
            if refs[name] == snapshot_id and name != branch:
                return name
    return snapshot_id


def _sentence(found: MergeResult, action: str, shown: str, branch: str) -> str:
    if found.outcome == "up-to-date":
        return {
            "merge": f"Nothing to do: {branch} has all of {shown}.",
            "pick": f"Nothing to do: {branch} has the changes of {shown}.",
            "revert": f"Nothing to do: {branch} has none of the changes of {shown}.",
        }[action]
    if found.outcome == "conflicts":
        return f"{kinds_of(found.conflicts)} with {branch}."
    changes = plural(count_changes(found.changes), "change")
    if found.outcome == "fast-forward":
        return f"Fast-forward: {branch} moves to {shown}, {changes}."
    return f"Clean: no conflicts, {changes} in {branch}."


def kinds_of(conflicts: list[Conflict]) -> str:
    """How many conflicts there are of which kinds, in one sentence."""
    count = Counter(str(one.conflict_type) for one in conflicts)
    kinds = ", ".join(f"{number} × {kind.lower()}" for kind, number in count.most_common())
    return f"{plural(len(conflicts), 'conflict')} ({kinds})"


def _outcome(found: MergeResult) -> dict[str, Any]:
    states = {"merged": "clean", "fast-forward": "forward", "up-to-date": "same"}
    nodes = [
        {"path": one.path, "title": str(one.conflict_type), "chunks": one.num_chunks}
        for one in found.conflicts
    ]
    return {
        "state": states.get(found.outcome, "conflicts"),
        "chunks": sum(node["chunks"] for node in nodes),
        "nodes": nodes[:_MOST_NODES],
    }
