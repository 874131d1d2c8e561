"""Actions on a commit of the history, each with the Python code that it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icechunk import ErrorKind, InvalidInputError, Repository
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import short


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
    """

    python: str
    warning: str
    done: str
    run: Callable[[], Any]


def plan(
    repo: Repository, action: str, snapshot_id: str, name: str, names: dict[str, Any] | None
) -> Action:
    """Plan an action.

    Parameters
    ----------
    repo : Repository
        The repository.
    action : str
        ``branch``, ``tag``, ``checkout`` or ``reset``.
    snapshot_id : str
        The commit.
    name : str
        Name of the branch or tag; for ``checkout`` the branch to open, empty for a read-only
        session.
    names : dict or None
        Variables of the notebook, in which a checkout sets ``session`` and ``store``.

    Raises
    ------
    InvalidInputError
        For an unknown action, or when the name is missing.
    """
    repo.lookup_snapshot(snapshot_id)
    if action not in ("branch", "tag", "checkout", "reset"):
        raise InvalidInputError(
            f"unknown action {action!r} for a commit; choose branch, tag, checkout or reset",
            ErrorKind.NOT_ALLOWED,
        )
    if action == "checkout":
        return _checkout(repo, snapshot_id, name, names)
    if not name:
        raise InvalidInputError("the name is missing; enter one", ErrorKind.INVALID_REF_NAME)
    where = short(snapshot_id)
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
        from icechunk_widgets.workspace import Workspace

        space = Workspace(names)
        space.check_clean(discard=False)
        session = (
            repo.writable_session(name) if name else repo.readonly_session(snapshot_id=snapshot_id)
        )
        space.bind(repo, session)

    what = f"is writable, on {name}" if name else f"is at {short(snapshot_id)}, read-only"
    return Action(python, "", f"session {what}; store is its Zarr store.", run)
