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
    """Run one command line.

    Parameters
    ----------
    line : str
        What follows ``%icechunk``.
    namespace : mutable mapping
        The user's variables; sets ``repo``, ``session`` and ``store`` in it.
    cell : callable, optional
        Returns the cell being run, for the provenance of commits.
    **screen
        ``show``, which displays an object below the cell; see `Workspace`.

    Returns
    -------
    object
        A small object with a text and an HTML form, or a widget.

    Raises
    ------
    UsageError
        For an invalid line; `error_line` renders it and the others.
    IcechunkError
        For errors of the engine, and when ``--yes`` is missing.
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


def error_line(error: BaseException) -> str:
    """An error as one line: what is wrong; what to do (kind)."""
    if isinstance(error, UsageError):
        return f"{error} (usage)"
    return one_line(error).removeprefix("icechunk: ")
