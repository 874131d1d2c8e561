"""Run one line of ``%icechunk``; whatever goes wrong is one line of text."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

from icechunk import IcechunkError
from icechunk_widgets.faults import one_line
from icechunk_widgets.magic.parser import UsageError, parse
from icechunk_widgets.magic.verbs import VERB
from icechunk_widgets.magic.workspace import Workspace


def run(line: str, namespace: MutableMapping[str, Any]) -> Any:
    """Do what a line says.

    Parameters
    ----------
    line : str
        What follows ``%icechunk``.
    namespace : mutable mapping
        The user's variables; ``repo``, ``session`` and ``store`` are set in it.

    Returns
    -------
    object
        A small object with a text and an HTML form, a widget, or None after an error.
    """
    try:
        verb, options = parse(line)
        return VERB[verb](Workspace(namespace), options)
    except UsageError as error:
        print(f"icechunk: {error} (usage)", file=sys.stderr)
    except (IcechunkError, ValueError, TypeError, OSError) as error:
        print(one_line(error), file=sys.stderr)
    return None
