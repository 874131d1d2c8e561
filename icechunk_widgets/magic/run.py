"""Run one line of ``%icechunk``."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import click

from icechunk_widgets.kernel.faults import one_line
from icechunk_widgets.magic.parser import UsageError, parse, usage
from icechunk_widgets.magic.verbs import VERB
from icechunk_widgets.workspace import Workspace

if TYPE_CHECKING:
    from icechunk_widgets.provenance import Cell


def run(
    line: str,
    namespace: MutableMapping[str, Any],
    cell: Callable[[], Cell | None] = lambda: None,
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

    Returns
    -------
    object
        A small object with a text and an HTML form, or a widget.

    Raises
    ------
    UsageError
        For a line that makes no sense, and whatever goes wrong; see `told`.
    IcechunkError
        What the engine refuses.
    """
    verb, words = parse(line)
    try:
        return VERB[verb](Workspace(namespace, cell), **words)
    except click.ClickException as error:
        raise usage(verb, error.format_message()) from None


def told(error: BaseException) -> str:
    """A failure in one line: what is wrong; what to do (kind)."""
    if isinstance(error, UsageError):
        return f"{error} (usage)"
    return one_line(error).removeprefix("icechunk: ")
