"""Log output of the library: the `logging` tree below ``icechunk``, steered by the environment.

``ICECHUNK_LOG`` holds directives such as ``warn`` or ``info,icechunk.storage=debug``;
``ICECHUNK_NO_LOGS`` leaves logging alone; ``ICECHUNK_LOG_TO_STDOUT`` writes to standard output.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import TextIO

_ROOT = "icechunk"
_DEFAULT = "warn"
_LEVELS = {
    "off": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG - 5,
}
_DIRECTIVE = re.compile(r"(?:(?P<target>[A-Za-z_][\w.:-]*)=)?(?P<level>[A-Za-z]+)")
_adjusted: set[str] = set()


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to the present standard stream, unless the application has set up logging itself."""

    @property
    def stream(self) -> TextIO:
        return sys.stdout if "ICECHUNK_LOG_TO_STDOUT" in os.environ else sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """Ignore a fixed stream: the standard ones may be replaced at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, once."""
        if not logging.getLogger().handlers:
            super().emit(record)


def initialize_logs() -> None:
    """Prepare log output as the environment asks; called when icechunk is imported.

    Nothing happens when ``ICECHUNK_NO_LOGS`` is set. Handlers on the root logger take precedence.
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
    """Choose what is logged.

    Parameters
    ----------
    log_filter_directive : str or None
        Comma-separated ``level`` or ``target=level``, e.g. ``warn,icechunk.store=trace``; levels
        are off, error, warn, info, debug and trace. None reads ``ICECHUNK_LOG`` again.
        A directive that cannot be read is reported on standard error and ignored.
    """
    text = log_filter_directive
    if text is None:
        text = os.environ.get("ICECHUNK_LOG", _DEFAULT)
    levels = {_ROOT: _LEVELS[_DEFAULT]}
    for directive in filter(None, map(str.strip, text.split(","))):
        parts = _DIRECTIVE.fullmatch(directive)
        level = _LEVELS.get(parts["level"].lower()) if parts else None
        if parts is None or level is None:
            print(f"icechunk: ignoring the log directive {directive!r}", file=sys.stderr)
            continue
        target = (parts["target"] or _ROOT).replace("::", ".")
        if target.split(".")[0] == _ROOT:
            levels[target] = level
    for name in _adjusted - levels.keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    _adjusted.update(levels)


def shutdown_telemetry() -> None:
    """Flush what log handlers still hold."""
    for handler in logging.getLogger(_ROOT).handlers:
        handler.flush()
