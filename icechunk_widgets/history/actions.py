"""Actions on a commit of the history, each with the Python code that it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icechunk import ErrorKind, IcechunkError, InvalidInputError, Repository, Session
from icechunk_widgets.history.merge_dry_run import MERGING, dry_run
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import short
from icechunk_widgets.workspace import Workspace


@dataclass(frozen=True)
class Action:
    """A planned action.

    Attributes
    ----------
    python : str
        One line of code that runs it, with ``repo`` for the repository.
    warning : str
        What to confirm first; empty when nothing becomes unreachable.
    done : str
        One sentence that reports the result.
    run : callable
        Runs the action.
    outcome : dict, optional
        What the dry run of a merge, cherry-pick or revert found, see `of_branch` of
        `merge_dry_run`.
    """

    python: str
    warning: str
    done: str
    run: Callable[[], Any]
    outcome: dict[str, Any] | None = None


def plan(
    repo: Repository,
    action: str,
    snapshot_id: str,
    name: str,
    names: dict[str, Any] | None,
    session: Session | None = None,
) -> Action:
    """Plan an action.

    Parameters
    ----------
    repo : Repository
        The repository.
    action : str
        ``branch``, ``tag``, ``checkout``, ``reset``, ``merge``, ``pick`` or ``revert``.
    snapshot_id : str
        The commit.
    name : str
        Name of the branch or tag; for ``checkout`` the branch to open, empty for a read-only
        session; for the last three actions the branch that gets a commit.
    names : dict or None
        Variables of the notebook, in which a checkout sets ``session`` and ``store``, and so does
        a merge into the branch of ``session``.
    session : Session, optional
        The session of the view: nothing is merged into its branch while it has changes.

    Raises
    ------
    InvalidInputError
        For an unknown action, or when the name is missing.
    """
    repo.lookup_snapshot(snapshot_id)
    if action not in ("branch", "tag", "checkout", "reset", *MERGING):
        raise InvalidInputError(
            f"unknown action {action!r} for a commit; choose branch, tag, checkout, reset, merge, "
            "pick or revert",
            ErrorKind.NOT_ALLOWED,
        )
    if action == "checkout":
        return _checkout(repo, snapshot_id, name, names)
    if not name:
        raise InvalidInputError("the name is missing; enter one", ErrorKind.INVALID_REF_NAME)
    where = short(snapshot_id)
    if action in MERGING:
        return _merging(repo, action, snapshot_id, name, names, session)
    if action == "branch":
        return Action(
            f"repo.create_branch({name!r}, {snapshot_id!r})",
            "",
            f"Branch {name} starts at {where}.",
            lambda: repo.create_branch(name, snapshot_id),
        )
    if action == "tag":
        return Action(
            f"repo.create_tag({name!r}, {snapshot_id!r})",
            "A tag cannot be moved, and its name can never be used again.",
            f"Tag {name} points to {where}.",
            lambda: repo.create_tag(name, snapshot_id),
        )
    return _reset(repo, snapshot_id, name)


def _merging(
    repo: Repository,
    action: str,
    snapshot_id: str,
    name: str,
    names: dict[str, Any] | None,
    session: Session | None,
) -> Action:
    """A merge, cherry-pick or revert, with what its dry run found."""
    found = dry_run(repo, action, snapshot_id, name)
    space = None if names is None else Workspace(names)
    current = None if space is None or not _works_on(space, repo) else space.held_session
    on_branch = [
        one
        for one in (current, session)
        if one is not None and not one.read_only and one.branch == name
    ]
    python, warning, outcome = found.python, found.text, found.outcome
    if outcome["state"] != "same" and any(one.has_uncommitted_changes for one in on_branch):
        warning = f"The session on {name} has uncommitted changes: commit, stash or discard them."
        outcome = {**outcome, "state": "blocked"}

    source = found.source
    if action == "merge" and outcome["state"] == "conflicts" and space is not None:
        return _merge_session(repo, source, name, space, warning, outcome)

    def run() -> None:
        if outcome["state"] in ("blocked", "conflicts", "same"):
            raise refusal(warning.rstrip("."), found.hint)
        found.run()
        # The new commit is below the session now: it goes on from there.
        if space is not None and current in on_branch:
            space.bind(repo, repo.writable_session(name))

    return Action(python, warning, found.done, run, outcome)


def _merge_session(
    repo: Repository,
    source: str,
    branch: str,
    space: Workspace,
    warning: str,
    outcome: dict[str, Any],
) -> Action:
    """Open the merge as the notebook's session, in which its conflicts are decided."""

    def run() -> None:
        space.check_clean(discard=False)
        space.bind(repo, repo.merge_session(source, into=branch))

    return Action(
        f"session = repo.merge_session({source!r}, into={branch!r})",
        warning,
        f"session holds the merge of {source} into {branch}; nothing is committed. "
        "ConflictResolver(session) shows its conflicts.",
        run,
        {**outcome, "session": True},
    )


def _works_on(space: Workspace, repo: Repository) -> bool:
    """Whether a notebook's current repository is this one."""
    try:
        return space.repo.storage.identity == repo.storage.identity
    except IcechunkError:
        return False


def _reset(repo: Repository, snapshot_id: str, name: str) -> Action:
    tip = repo.lookup_branch(name)
    above = {info.id for info in repo.ancestry(branch=name)}
    left = above - {info.id for info in repo.ancestry(snapshot_id=snapshot_id)}
    what = f"{len(left)} commit{'' if len(left) == 1 else 's'}"
    warning = f"{name} moves from {short(tip)} to {short(snapshot_id)}"
    warning += f" and leaves out {what}." if left else "; it keeps all commits."
    if left:
        warning += " Garbage collection deletes those that no other branch or tag contains."
    return Action(
        f"repo.reset_branch({name!r}, {snapshot_id!r}, from_snapshot_id={tip!r})",
        warning,
        f"{name} points to {short(snapshot_id)} (was {tip}).",
        lambda: repo.reset_branch(name, snapshot_id, from_snapshot_id=tip),
    )


def _checkout(
    repo: Repository, snapshot_id: str, name: str, names: dict[str, Any] | None
) -> Action:
    if name and repo.lookup_branch(name) != snapshot_id:
        raise InvalidInputError(
            f"{name} points to another commit; check out its tip, or reset it to this commit first",
            ErrorKind.NOT_ALLOWED,
        )
    python = (
        f"session = repo.writable_session({name!r})"
        if name
        else f"session = repo.readonly_session(snapshot_id={snapshot_id!r})"
    )

    def run() -> None:
        if names is None:
            raise refusal("no notebook is running, so `session` cannot be set", f"run `{python}`")
        space = Workspace(names)
        space.check_clean(discard=False)
        session = (
            repo.writable_session(name) if name else repo.readonly_session(snapshot_id=snapshot_id)
        )
        space.bind(repo, session)

    what = f"is writable, on {name}" if name else f"is at {short(snapshot_id)}, read-only"
    return Action(python, "", f"session {what}; store is its Zarr store.", run)
