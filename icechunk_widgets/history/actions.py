"""What can be done with a commit from the history: each as the Python that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icechunk import ErrorKind, InvalidInputError, Repository
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import short


@dataclass(frozen=True)
class Action:
    """Something that can be done, not done yet.

    Attributes
    ----------
    python : str
        One line that does it, with ``repo`` for the repository.
    warning : str
        What a person must know first; empty for what loses nothing.
    done : str
        One sentence for afterwards.
    run : callable
        Does it.
    """

    python: str
    warning: str
    done: str
    run: Callable[[], Any]


def plan(
    repo: Repository, action: str, snapshot_id: str, name: str, names: dict[str, Any] | None
) -> Action:
    """Work out an action.

    Parameters
    ----------
    repo : Repository
        The repository.
    action : str
        ``branch``, ``tag``, ``checkout`` or ``reset``.
    snapshot_id : str
        The commit.
    name : str
        Of the branch or tag; for ``checkout`` the branch to go on with, empty for a read-only
        session.
    names : dict or None
        Variables of the notebook, where a checkout binds ``session`` and ``store``.

    Raises
    ------
    InvalidInputError
        For another action, or a name that is missing.
    """
    repo.lookup_snapshot(snapshot_id)
    if action not in ("branch", "tag", "checkout", "reset"):
        raise InvalidInputError(
            f"there is no action {action!r} for a commit; choose branch, tag, checkout or reset",
            ErrorKind.NOT_ALLOWED,
        )
    if action == "checkout":
        return _checkout(repo, snapshot_id, name, names)
    if not name:
        raise InvalidInputError("a name is missing; type one", ErrorKind.INVALID_REF_NAME)
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
            "A tag stays where it is for ever: its name cannot be used again.",
            f"Tag {name} marks {where}.",
            lambda: repo.create_tag(name, snapshot_id),
        )
    return _reset(repo, snapshot_id, name)


def _reset(repo: Repository, snapshot_id: str, name: str) -> Action:
    tip = repo.lookup_branch(name)
    above = {info.id for info in repo.ancestry(branch=name)}
    left = above - {info.id for info in repo.ancestry(snapshot_id=snapshot_id)}
    what = f"{len(left)} commit{'' if len(left) == 1 else 's'}"
    warning = f"{name} moves from {short(tip)} to {short(snapshot_id)}"
    warning += f" and lets go of {what}." if left else "; no commit is let go of."
    if left:
        warning += " What no other branch or tag holds is lost with the next garbage collection."
    return Action(
        f"repo.reset_branch({name!r}, {snapshot_id!r}, from_snapshot_id={tip!r})",
        warning,
        f"{name} points to {short(snapshot_id)}; before, to {tip}.",
        lambda: repo.reset_branch(name, snapshot_id, from_snapshot_id=tip),
    )


def _checkout(
    repo: Repository, snapshot_id: str, name: str, names: dict[str, Any] | None
) -> Action:
    if name and repo.lookup_branch(name) != snapshot_id:
        raise InvalidInputError(
            f"{name} points elsewhere; check out its tip, or reset it to this commit first",
            ErrorKind.NOT_ALLOWED,
        )
    python = (
        f"session = repo.writable_session({name!r})"
        if name
        else f"session = repo.readonly_session(snapshot_id={snapshot_id!r})"
    )

    def run() -> None:
        if names is None:
            raise refusal("there is no notebook to bind `session` in", f"run `{python}`")
        from icechunk_widgets.workspace import Workspace

        space = Workspace(names)
        space.check_clean(discard=False)
        session = (
            repo.writable_session(name) if name else repo.readonly_session(snapshot_id=snapshot_id)
        )
        space.bind(repo, session)

    what = f"can be changed, on {name}" if name else f"is at {short(snapshot_id)}, read-only"
    return Action(python, "", f"session {what}; store is its Zarr store.", run)
