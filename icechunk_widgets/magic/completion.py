"""Tab completion of ``%icechunk``: verbs, options, branches, tags, snapshots, paths of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import click

from icechunk import Repository
from icechunk.cli.aliases import Aliases
from icechunk.cli.grammar import VERBS
from icechunk.cli.settings import DEFAULTS
from icechunk.config.logs import LEVELS
from icechunk_widgets.magic.parser import command_of
from icechunk_widgets.workspace import Workspace

MOST_SNAPSHOTS = 20
_CELL_VERBS = ("commit", "amend")


def complete(line: str, namespace: MutableMapping[str, Any]) -> list[str]:
    """Completions of the last word of a line.

    Parameters
    ----------
    line : str
        The line up to the cursor, ``%icechunk`` included.
    namespace : mutable mapping
        The user's variables.

    Returns
    -------
    list of str
        Words that begin with the word at the cursor.
    """
    words = line.split()
    typed = "" if not words or line[-1:].isspace() else words[-1]
    finished = words[1 : len(words) - bool(typed)]
    if not finished:
        verbs = _CELL_VERBS if line.lstrip().startswith("%%") else tuple(VERBS)
        return [verb for verb in verbs if verb.startswith(typed)]
    verb = finished[0]
    if verb not in VERBS:
        return []
    if verb == "help":
        return [name for name in VERBS if name.startswith(typed)]
    params = command_of(verb).params
    place = _place(params, finished[1:])
    if typed.startswith("-") and not isinstance(place, click.Option):
        return [
            text
            for param in params
            if isinstance(param, click.Option) and not param.hidden
            for text in param.opts
            if text.startswith(typed)
        ]
    if place is None:
        return []
    try:
        return _offered(place, finished, typed, Workspace(namespace))
    except Exception:
        return []  # a key press must not raise


def _place(params: list[click.Parameter], finished: list[str]) -> click.Parameter | None:
    """The parameter of the word at the cursor: an option that takes a value, or an argument."""
    options = {
        text: param for param in params if isinstance(param, click.Option) for text in param.opts
    }
    arguments = [param for param in params if isinstance(param, click.Argument)]
    position = 0
    value_of: click.Option | None = None
    for word in finished:
        if value_of is not None:
            value_of = None
        elif word in options:
            value_of = None if options[word].is_flag else options[word]
        else:
            position += 1
    if value_of is not None:
        return value_of
    if position < len(arguments):
        return arguments[position]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


def _offered(
    place: click.Parameter, finished: list[str], typed: str, space: Workspace
) -> list[str]:
    """Values of a parameter that begin with the typed text."""
    verb = finished[0]
    if isinstance(place.type, click.Choice):
        return _beginning(typed, map(str, place.type.choices))
    if verb == "config":
        if place.name != "value":
            return _beginning(typed, DEFAULTS)
        return _beginning(typed, LEVELS if finished[1:2] == ["log"] else ("on", "off"))
    if place.name == "address":
        return _beginning(typed, _places(space))
    if place.name in ("path", "where"):
        return _beginning(typed, _paths(space))
    if place.name == "states":
        head, mark, tail = typed.rpartition("..")
        return [f"{head}{mark}{name}" for name in _refs(space, tail)]
    names: dict[str, Callable[[], list[str]]] = {
        "delete": lambda: sorted(_kind(space.repo, verb)),
        "force_delete": lambda: sorted(_kind(space.repo, verb)),
        "ref": lambda: _refs(space, typed),
        "start": lambda: _refs(space, typed),
        "expected": lambda: _refs(space, typed),
        "target": lambda: _refs(space, typed),
    }
    if verb == "checkout":
        names["name"] = names["ref"]
    found = names.get(place.name or "")
    return [] if found is None else _beginning(typed, found())


def _beginning(typed: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(typed)]


def _kind(repo: Repository, verb: str) -> list[str]:
    return [
        _quoted(name) for name in (repo.list_branches() if verb == "branch" else repo.list_tags())
    ]


def _refs(space: Workspace, typed: str) -> list[str]:
    """Branches and tags, and for a non-empty text also the newest snapshot ids that match."""
    repo = space.repo
    names = [*sorted(repo.list_branches()), *sorted(repo.list_tags())]
    found = [_quoted(name) for name in names if name.startswith(typed)]
    if not typed:
        return found
    ids = (info.id for info in repo.history()["commits"])
    newest = [one for one in ids if one.startswith(typed.upper())]
    return found + newest[:MOST_SNAPSHOTS]


def _quoted(name: str) -> str:
    """A name in quotes, if the command line would split it."""
    return name if name.isprintable() and " " not in name else repr(name)


def _paths(space: Workspace) -> list[str]:
    """Paths of nodes that the session sees."""
    session = space.held_session or space.repo.readonly_session("main")
    return [node.path for node in session.nodes()]


def _places(space: Workspace) -> list[str]:
    """Variables that hold a storage or a repository, and aliases."""
    from icechunk import Storage

    held = [
        name
        for name, value in list(space.names.items())
        if not name.startswith("_") and isinstance(value, Repository | Storage)
    ]
    return [*sorted(held), *Aliases(), "memory"]
