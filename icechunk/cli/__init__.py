"""The ``icechunk`` command (layer 11).

`grammar` says what may be typed, here and after a notebook's ``%icechunk``; `shell` makes commands
of it. Repositories are named by an alias of the configuration file, by a folder or by a URL. Every
command prints lines for people or, with ``--json``, one JSON document. What loses something is told
first and waits for a yes. What goes wrong is one line on standard error; the exit status is then 1,
and 2 for a command line that makes no sense.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line that the process was started with."""
    from icechunk.cli.app import app

    app(prog_name="icechunk")
