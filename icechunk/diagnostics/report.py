"""The result of an examination of a storage, as text, HTML and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any, NamedTuple


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class _About(NamedTuple):
    """Title and meaning of a check."""

    title: str
    meaning: str
    needed: bool


_ABOUT = {
    "connection": _About("connection", "Every check needs an answer from the storage.", True),
    "credentials": _About("credentials", "Reads and commits need permissions.", True),
    "place": _About("bucket or folder", "Repositories live in a bucket or folder.", True),
    "repository": _About(
        "existing content",
        "A repository can be created only in an empty prefix.",
        False,
    ),
    "list": _About(
        "listing",
        "Creating a repository and garbage collection list objects; commits do not.",
        False,
    ),
    "write": _About("writing", "Commits write chunks and metadata as new objects.", True),
    "read": _About("reading back", "Written data must be readable unchanged, at once.", True),
    "range": _About("byte ranges", "Chunks are read as byte ranges of objects.", True),
    "create": _About(
        "conditional create",
        "Two processes that create the same repository must not overwrite each other.",
        True,
    ),
    "update": _About(
        "conditional update", "A commit replaces the newest state of the repository.", True
    ),
    "stale-update": _About(
        "stale update refused",
        "Of two commits at the same time one must fail, or the other is lost silently.",
        True,
    ),
    "missing-update": _About(
        "update of a deleted object refused",
        "A commit must not bring back a repository that was deleted.",
        True,
    ),
    "delete": _About("deleting", "Garbage collection deletes objects; commits do not.", False),
    "filesystem": _About(
        "file system",
        "Some network file systems acknowledge locks and flushes without doing them.",
        False,
    ),
    "rename": _About("atomic rename", "Readers see the old state or the new one.", True),
    "flush": _About("flushing", "A commit that was acknowledged survives a power cut.", True),
    "lock": _About("file locks", "Commits of several processes take turns.", True),
    "clock": _About(
        "clocks",
        "Signed requests are refused when clocks differ by minutes; garbage collection goes by "
        "the age of objects.",
        False,
    ),
    "latency": _About(
        "latency", "A commit waits for a handful of requests, one after the other.", False
    ),
}


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name : str
        Stable name, such as ``"stale-update"``.
    outcome : Outcome
        How it ended.
    found : str
        The observation, or why the check was not made.
    advice : str
        What to do; empty where nothing is wrong.
    needed : bool
        Whether commits depend on it.
    """

    name: str
    outcome: Outcome
    found: str
    advice: str = ""
    needed: bool = True

    @property
    def title(self) -> str:
        """Title of the check."""
        return _ABOUT[self.name].title

    @property
    def meaning(self) -> str:
        """What it means for commits."""
        return _ABOUT[self.name].meaning

    @property
    def passed(self) -> bool:
        """Whether the check was made and found no problem."""
        return self.outcome is Outcome.PASSED

    @property
    def untried(self) -> bool:
        """Whether the examination ended before this check."""
        return self.outcome is Outcome.NOT_APPLICABLE and self.found.startswith(NOT_TRIED)

    @property
    def failed(self) -> bool:
        """Whether the check was made and found a problem."""
        return self.outcome is Outcome.FAILED


def passed(name: str, found: str) -> Check:
    """Return a check without a problem."""
    return Check(name, Outcome.PASSED, found, needed=_ABOUT[name].needed)


def failed(name: str, found: str, advice: str, *, needed: bool | None = None) -> Check:
    """Return a check with a problem."""
    matters = _ABOUT[name].needed if needed is None else needed
    return Check(name, Outcome.FAILED, found, advice, matters)


def not_applicable(name: str, why: str) -> Check:
    """Return a check that could not or should not be made."""
    return Check(name, Outcome.NOT_APPLICABLE, why, needed=_ABOUT[name].needed)


NOT_TRIED = "not tried: "
"""How the reason of a check begins that the examination did not come to."""

_ACCESS = ("connection", "credentials", "place")
_MARKS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.NOT_APPLICABLE: "-"}
_COLOURS = {"ok": "#2e7d32", "FAILED": "#c62828", "warning": "#b26a00", "-": "inherit"}


def mark(check: Check) -> str:
    """Return the word in front of a check."""
    return "warning" if check.failed and not check.needed else _MARKS[check.outcome]


@dataclass(frozen=True)
class StorageReport:
    """What a storage can do, as `icechunk.doctor` found out.

    Attributes
    ----------
    storage : str
        Kind and location of the storage, without secrets.
    checks : tuple of Check
        In the order of the examination.
    latency_ms : dict of str to float
        Medians of small requests by verb (``put``, ``get``, ``list``), in milliseconds.
    clock_skew_s : float or None
        How far the storage's clock is ahead of this machine's, in seconds; None when unknown.
    """

    storage: str
    checks: tuple[Check, ...]
    latency_ms: dict[str, float]
    clock_skew_s: float | None

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    @property
    def ok(self) -> bool:
        """Whether all checks that commits depend on passed."""
        return not any(check.failed and check.needed for check in self.checks)

    @property
    def can_commit(self) -> bool | None:
        """Whether commits are safe here; None when writing was not tried."""
        if not self.ok:
            return False
        tried = {check.name for check in self.checks if check.passed}
        return True if {"write", "update", "stale-update"} <= tried else None

    def advice(self, check: Check) -> str:
        """Return what to do about a check, on one line; empty where one before says the same."""
        first = next((each for each in self.checks if each.advice == check.advice), check)
        return _on_one_line(check.advice) if first is check else ""

    @property
    def only_read(self) -> bool:
        """Whether the caller asked to write nothing."""
        return any(c.name == "write" and c.outcome is Outcome.NOT_APPLICABLE for c in self.checks)

    @property
    def untried(self) -> str:
        """Checks that were not made, and why, in one line; empty when all were made."""
        left = [check for check in self.checks if check.untried]
        return f"{left[0].found}: {', '.join(check.title for check in left)}" if left else ""

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        bad = [check.title for check in self.checks if check.failed and check.needed]
        shut = any(check.failed and check.name in _ACCESS for check in self.checks)
        odd = [check.title for check in self.checks if check.failed and not check.needed]
        if shut:
            said = f"cannot be used as it is: {', '.join(bad)}"
        elif bad and self.only_read:
            said = f"not to be read from: {', '.join(bad)}"
        elif bad:
            said = f"do not commit here: {', '.join(bad)}"
        elif self.can_commit:
            said = "commits are safe here"
        else:
            said = "reading is fine; whether commits are safe here was not tried"
        return said + (f"; look at: {', '.join(odd)}" if odd else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {
            "storage": self.storage,
            "ok": self.ok,
            "can_commit": self.can_commit,
            "verdict": self.verdict,
            "latency_ms": dict(self.latency_ms),
            "clock_skew_s": self.clock_skew_s,
            "checks": [
                {
                    "name": check.name,
                    "title": check.title,
                    "outcome": check.outcome.value,
                    "needed": check.needed,
                    "found": check.found,
                    "meaning": check.meaning,
                    "advice": check.advice,
                }
                for check in self.checks
            ],
        }

    def __repr__(self) -> str:
        width = max((len(check.title) for check in self.checks), default=0)
        lines = [self.storage]
        for check in (check for check in self.checks if not check.untried):
            lines.append(f"  {mark(check):7}  {check.title:{width}}  {_on_one_line(check.found)}")
            if check.failed:
                room = " " * (width + 13)
                lines.append(f"{room}{check.meaning}")
                advice = self.advice(check)
                lines += [f"{room}-> {advice}"] if advice else []
        left = [f"  {_MARKS[Outcome.NOT_APPLICABLE]:7}  {self.untried}"] if self.untried else []
        return "\n".join([*lines, *left, self.verdict])

    def _repr_html_(self) -> str:
        """Static HTML for notebooks, with every value escaped."""
        rows = "".join(
            _row(check, self.advice(check)) for check in self.checks if not check.untried
        )
        left = f"<div>{escape(self.untried)}</div>" if self.untried else ""
        return (
            '<div class="icechunk-doctor">'
            f"<div><b>{escape(self.storage)}</b>: {escape(self.verdict)}</div>"
            f'<table style="text-align:left"><tbody>{rows}</tbody></table>{left}</div>'
        )


def _row(check: Check, advice: str) -> str:
    """Return one check as a row of an HTML table."""
    word = mark(check)
    more = f"<br><i>{escape(check.meaning)}</i>" if check.failed else ""
    more += f"<br>&rarr; {escape(advice)}" if check.failed and advice else ""
    cell = '<td style="text-align:left;vertical-align:top'
    return (
        f'<tr>{cell};color:{_COLOURS[word]}">{escape(word)}</td>'
        f'{cell}" title="{escape(check.meaning)}">{escape(check.title)}</td>'
        f'{cell}">{escape(check.found)}{more}</td></tr>'
    )


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
