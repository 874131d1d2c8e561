"""``%icechunk``: repositories by short commands, in a notebook or an IPython console.

Errors are one line on standard error; a cell never stops with a traceback of ours.
"""

from __future__ import annotations

from typing import Any

from icechunk_widgets.magic.completion import complete
from icechunk_widgets.magic.parser import UsageError, parse
from icechunk_widgets.magic.run import run

NAME = "icechunk"

__all__ = ["NAME", "UsageError", "complete", "parse", "register", "run", "unregister"]


def register(ipython: Any) -> None:
    """Add the magic and its completion to a shell."""

    def icechunk(line: str) -> Any:
        """Work with a repository; ``%icechunk help`` lists the commands."""
        return run(line, ipython.user_ns)

    def completer(_shell: Any, event: Any) -> list[str]:
        return complete(event.line, ipython.user_ns)

    ipython.register_magic_function(icechunk, magic_kind="line", magic_name=NAME)
    for key in (f"%{NAME}", NAME):
        ipython.set_hook("complete_command", completer, str_key=key)


def unregister(ipython: Any) -> None:
    """Take the magic out of a shell again."""
    ipython.magics_manager.magics["line"].pop(NAME, None)
