"""Log output: the `logging` tree below ``icechunk``, configured by the environment.

``ICECHUNK_LOG`` holds directives such as ``warn`` or ``info,icechunk.storage=debug``;
``ICECHUNK_NO_LOGS`` leaves logging unconfigured; ``ICECHUNK_LOG_TO_STDOUT`` writes to standard
output.

Level ``info`` shows commits, rebases, retries and slow requests, ``debug`` also every request and
every metadata file that is not in a cache.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

_ROOT = "icechunk"
_DEFAULT = "warn"
LEVELS = {
    "off": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG - 5,
}
"""Levels of filters, as `logging` counts them."""
_PACKAGE = Path(__file__).parent.parent
_SIMILAR = 0.65
"""Similarity (`difflib` ratio) above which a name is taken for a misspelt one."""

_adjusted: set[str] = set()


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to the current standard stream, unless a handler of the root logger does."""

    @property
    def stream(self) -> TextIO:
        return sys.stdout if "ICECHUNK_LOG_TO_STDOUT" in os.environ else sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """Ignore a fixed stream: the standard ones may be replaced at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, once."""
        root = logging.getLogger()
        passed_on = logging.getLogger(_ROOT).propagate
        if not (passed_on and any(_prints(handler, record) for handler in root.handlers)):
            super().emit(record)


def _prints(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Return whether a handler prints a record to a standard stream, as `basicConfig` sets up."""
    stream: Any = getattr(handler, "stream", None)
    if stream is None:  # rich's handler
        stream = getattr(getattr(handler, "console", None), "file", None)
    standard = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return record.levelno >= handler.level and any(stream is one for one in standard if one)


def initialize_logs() -> None:
    """Configure log output from the environment; called when icechunk is imported.

    Lines go to standard error (standard output with ``ICECHUNK_LOG_TO_STDOUT``), except those that
    a handler of the root logger prints there. Nothing happens when ``ICECHUNK_NO_LOGS`` is set.
    """
    if "ICECHUNK_NO_LOGS" in os.environ:
        return
    logger = logging.getLogger(_ROOT)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        handler = _ConsoleHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
    set_logs_filter(None)


def set_logs_filter(log_filter_directive: str | None) -> None:
    """Set which records are logged.

    Parameters
    ----------
    log_filter_directive : str or None
        Comma-separated ``level``, ``target=level`` or ``target`` (everything from there), e.g.
        ``warn,icechunk.storage=debug``. Levels are off, error, warn, info, debug and trace, or 0
        to 5; targets are modules, with dots or double colons. None reads ``ICECHUNK_LOG`` again.
        A directive that cannot be read is reported on standard error and ignored.

    Examples
    --------
    >>> icechunk.set_logs_filter("info,icechunk.storage=debug")  # doctest: +SKIP
    """
    text = log_filter_directive
    if text is None:
        text = os.environ.get("ICECHUNK_LOG", _DEFAULT)
    levels, complaints = read_filter(text)
    for complaint in complaints:
        print(f"icechunk: {complaint}", file=sys.stderr)
    for name in _adjusted - levels.keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    _adjusted.update(levels)


def _nearest(word: str, words: Iterable[str], least: float = 0.6) -> str:
    """Return a suggestion of the word that was probably meant, or an empty text."""
    import difflib  # only needed for misspelt names, and slow to import

    near = difflib.get_close_matches(word, sorted(words), 1, least)
    return f", did you mean `{near[0]}`?" if near else ""


def read_filter(text: str) -> tuple[dict[str, int], list[str]]:
    """Parse the directives of a filter.

    Parameters
    ----------
    text : str
        As `set_logs_filter` takes it.

    Returns
    -------
    levels : dict of str to int
        Level by logger name; ``icechunk`` is always included.
    complaints : list of str
        One sentence for each directive that was ignored.
    """
    levels = {_ROOT: LEVELS[_DEFAULT]}
    complaints: list[str] = []
    for directive in filter(None, map(str.strip, text.split(","))):
        target, equals, level = (part.strip() for part in directive.partition("="))
        if not equals and _level(target) is not None:
            target, level = "", target
        target = target.replace("::", ".")
        found = _level(level or "trace")
        problem = _problem(target, bool(equals), level, found)
        if problem:
            complaints.append(f"ignoring the log directive {directive!r}: {problem}")
        elif found is not None and (not target or target.split(".")[0] == _ROOT):
            levels[target or _ROOT] = found
    return levels, complaints


def _level(word: str) -> int | None:
    if word in ("0", "1", "2", "3", "4", "5"):
        return [*LEVELS.values()][int(word)]
    return LEVELS.get(word.lower())


def _problem(target: str, has_level: bool, level: str, found: int | None) -> str | None:
    """Return what is wrong with a directive; targets of other libraries are not checked."""
    if found is None:
        hint = _nearest(level.lower(), LEVELS)
        return f"{level!r} is not a level ({', '.join(LEVELS)}, or 0 to 5){hint}"
    if not target:
        return "it has no target; write `level` or `target=level`" if has_level else None
    head, *inner = target.split(".")
    if head == _ROOT:
        return _unknown_module(target, inner)
    hint = _nearest(head.lower(), (_ROOT,) if has_level else (_ROOT, *LEVELS), _SIMILAR)
    if hint:
        return f"{target!r} is neither a level nor a logger below icechunk{hint}"
    if not has_level:
        return f"{target!r} is neither a level ({', '.join(LEVELS)}) nor a logger below icechunk"
    return None


def _unknown_module(target: str, inner: list[str]) -> str | None:
    """Return the problem with a target that is not a module of this package."""
    folder = _PACKAGE
    for name in inner:
        here = {entry.name.removesuffix(".py") for entry in _entries(folder)}
        if name not in here:
            return f"there is no module {target!r}{_nearest(name, here)}"
        folder /= name
    return None


def _entries(folder: Path) -> list[Path]:
    """Return the modules and packages of a folder; none if the package is not in a folder."""
    if not folder.is_dir():
        return []
    return [entry for entry in folder.iterdir() if entry.is_dir() or entry.suffix == ".py"]


def shutdown_telemetry() -> None:
    """Flush the log handlers."""
    for handler in logging.getLogger(_ROOT).handlers:
        handler.flush()
