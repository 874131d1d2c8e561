"""The ``icechunk`` command (layer 12).

`grammar` declares the verbs and options, also those of a notebook's ``%icechunk``; `shell` turns
them into commands. Repositories are named by an alias of the configuration file, by a folder or by
a URL. Every command prints text or, with ``--json``, one JSON document. Commands that would discard
data print what they would do and need ``--yes``. Errors are one line on standard error; the exit
status is 1, and 2 for a command line that cannot be parsed.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line that the process was started with."""
    from icechunk.cli.app import app

    app(prog_name="icechunk")
