"""``icechunk doctor``: test a storage."""

from __future__ import annotations

import click

from icechunk.cli.addresses import locate
from icechunk.cli.grammar import VERBS
from icechunk.cli.output import Answer, Cell, joined, styled, table
from icechunk.cli.shell import offer
from icechunk.diagnostics import doctor as examine
from icechunk.diagnostics.report import Check, StorageReport, mark

_COLOURS = {"ok": "green", "FAILED": "bold red", "warning": "yellow", "-": "dim"}


def register(app: click.Group) -> None:
    """Add the command."""
    offer(app, VERBS["doctor"], doctor)


def doctor(address: str | None, read_only: bool, timeout: float) -> Answer:
    """Test what a storage supports."""
    if address is None:
        raise click.UsageError("Missing argument 'REPO'.", click.get_current_context(silent=True))
    storage, config = locate(address)
    settings = None if config is None else config.storage
    report = examine(storage, read_only=read_only, settings=settings, timeout=timeout)
    return as_answer(report)


def as_answer(report: StorageReport) -> Answer:
    """Turn a report into the result of a command."""
    rows: list[tuple[Cell, ...]] = []
    for check in (check for check in report if not check.untried):
        rows.append((_mark(check), check.title, _on_one_line(check.found)))
        if check.failed:
            rows.append(("", "", styled(check.meaning, "dim")))
            advice = report.advice(check)
            rows += [("", "", f"→ {advice}")] if advice else []
    if report.untried:
        rows.append(("-", "", styled(report.untried, "dim")))
    colour = "bold green" if report.ok else "bold red"
    lines = [styled(report.storage, "bold"), *table(rows, indent="  ")]
    return Answer(
        report.to_dict(), [*lines, joined(styled(report.verdict, colour))], bad=not report.ok
    )


def _mark(check: Check) -> Cell:
    word = mark(check)
    return styled(word, _COLOURS[word])


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
