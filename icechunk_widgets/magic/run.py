"""Run one line of ``%icechunk``."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import click

from icechunk_widgets.kernel.failures import one_line
from icechunk_widgets.magic import open_conflicts
from icechunk_widgets.magic.parser import UsageError, parse, usage
from icechunk_widgets.magic.verbs import VERB
from icechunk_widgets.workspace import Workspace

if TYPE_CHECKING:
    from icechunk_widgets.provenance import Cell


def run(
    line: str,
    namespace: MutableMapping[str, Any],
    cell: Callable[[], Cell | None] = lambda: None,
    **screen: Callable[[Any], None],
) -> Any:
    """Do what a line says.

    Parameters
    ----------
    line : str
        What follows ``%icechunk``.
    namespace : mutable mapping
        The user's variables; ``repo``, ``session`` and ``store`` are set in it.
    cell : callable, optional
        Tells which cell runs, for the provenance of commits.
    **screen
        ``show``, what shows an object below the cell; see `Workspace`.

    Returns
    -------
    object
        A small object with a text and an HTML form, or a widget.

    Raises
    ------
    UsageError
        For a line that makes no sense, and whatever goes wrong; see `told`.
    IcechunkError
        What the engine refuses, and what was not done because it needs a yes.
    ConflictError
        When a commit or a rebase conflicts, and while a conflict is pending.
    """
    verb, words = parse(line)
    space = Workspace(namespace, cell, **screen)
    open_conflicts.check(space, verb, words)
    session = namespace.get("session")
    try:
        result = VERB[verb](space, **words)
    except click.ClickException as error:
        raise usage(verb, error.format_message()) from None
    if verb == "discard" or words.get("discard"):
        open_conflicts.give_up(session)
    return result


def told(error: BaseException) -> str:
    """A failure in one line: what is wrong; what to do (kind)."""
    if isinstance(error, UsageError):
        return f"{error} (usage)"
    return one_line(error).removeprefix("icechunk: ")
