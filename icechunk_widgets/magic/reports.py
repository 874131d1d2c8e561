"""The report of a command of the shell that a notebook runs."""

from __future__ import annotations

from icechunk.cli.output import Answer
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.magic.results import Report
from icechunk_widgets.workspace import Workspace


def reported(space: Workspace, answer: Answer) -> Report:
    """The report of a command.

    Raises
    ------
    IcechunkError
        When ``--yes`` is missing, or the command failed in part.  The report is displayed below.
    """
    report = Report(answer)
    if answer.pending or answer.bad:
        space.show_below(report)
    if answer.pending:
        raise refusal("nothing was done", f"add --yes to {answer.pending}")
    if answer.bad:
        raise refusal(
            "not all of it was done", "correct the errors that the report lists, and run it again"
        )
    return report
