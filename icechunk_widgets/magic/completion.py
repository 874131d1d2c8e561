"""Tab completion of ``%icechunk``: verbs, options, branches and tags."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from icechunk_widgets.magic.parser import VERBS, parser_for
from icechunk_widgets.magic.workspace import Workspace

_REFS = {"log", "checkout", "diff", "reset", "branch", "tag"}


def complete(line: str, namespace: MutableMapping[str, Any]) -> list[str]:
    """Words that may stand at the end of a line.

    Parameters
    ----------
    line : str
        The line up to the cursor, ``%icechunk`` included.
    namespace : mutable mapping
        The user's variables, where the repository is looked for.

    Returns
    -------
    list of str
        Those that begin like the word at the cursor.
    """
    words = line.split()
    typed = "" if not words or line[-1:].isspace() else words[-1]
    finished = words[1 : len(words) - bool(typed)]
    if not finished:
        return [verb for verb in VERBS if verb.startswith(typed)]
    verb = finished[0]
    if verb not in VERBS:
        return []
    if verb == "help":
        return [name for name in VERBS if name.startswith(typed)]
    if typed.startswith("-"):
        options = [text for action in parser_for(verb)._actions for text in action.option_strings]
        return [option for option in options if option.startswith(typed)]
    if verb not in _REFS:
        return []
    head, mark, tail = typed.rpartition("..")
    names = _names(namespace, verb, finished)
    return [f"{head}{mark}{name}" for name in names if name.startswith(tail)]


def _names(namespace: MutableMapping[str, Any], verb: str, finished: list[str]) -> list[str]:
    """Branches and tags, those that fit the verb."""
    try:
        repo = Workspace(namespace).repo
        branches, tags = sorted(repo.list_branches()), sorted(repo.list_tags())
    except Exception:
        return []  # a key press must not raise
    if "-d" in finished or "--delete" in finished:
        return branches if verb == "branch" else tags
    found = [*branches, *tags]
    # what the shell would split must be quoted
    return [name if name.isprintable() and " " not in name else repr(name) for name in found]
