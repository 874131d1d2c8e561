"""``%icechunk``: commands on repositories in a notebook or an IPython console.

A command that did not do what was requested raises an exception, which stops the cell, Run All,
and programs that run notebooks.  It is displayed as one line; a conflict also displays the
resolver.  ``%%icechunk commit MESSAGE`` commits what a cell changes, and discards it on an error.
"""

from __future__ import annotations

import re
from typing import Any

from icechunk.cli.settings import Settings
from icechunk_widgets.magic.cells import Cells
from icechunk_widgets.magic.completion import complete
from icechunk_widgets.magic.lines import NAME, on_one_line
from icechunk_widgets.magic.parser import UsageError, parse
from icechunk_widgets.magic.run import error_line, run

__all__ = ["NAME", "UsageError", "complete", "error_line", "parse", "register", "run", "unregister"]


def register(ipython: Any) -> None:
    """Register the magics and their completion with a shell."""
    unregister(ipython)
    Settings().apply_log()
    cells = Cells(ipython)

    def icechunk(line: str, cell: str | None = None) -> Any:
        """Work with a repository; ``%icechunk help`` lists the commands."""
        if (
            cell is not None and cell.strip()
        ):  # called as a function, not as the first line of a cell
            return cells.run_nested(f"%%{NAME} {line}\n{cell}")
        try:
            if cell is not None:
                return cells.begin(line)
            return run(line, ipython.user_ns, cells.current, show=cells.show_below)
        except Exception as error:
            on_one_line(error, ipython)
            raise

    def completer(_shell: Any, event: Any) -> list[str]:
        start = re.search(rf"%%?{NAME}\b", event.line)
        return complete(event.line[start.start() if start else 0 :], ipython.user_ns)

    ipython.register_magic_function(icechunk, magic_kind="line_cell", magic_name=NAME)
    for key in (f"%{NAME}", f"%%{NAME}", NAME):
        ipython.set_hook("complete_command", completer, str_key=key)
    ipython.set_hook("complete_command", completer, re_key=rf"\s*[^=%]+=\s*%{NAME}\b")
    cells.watch()
    ipython.__dict__["_icechunk_cells"] = cells


def unregister(ipython: Any) -> None:
    """Remove the magics from a shell."""
    for kind in ("line", "cell"):
        ipython.magics_manager.magics[kind].pop(NAME, None)
    cells = ipython.__dict__.pop("_icechunk_cells", None)
    if cells is not None:
        cells.leave()
