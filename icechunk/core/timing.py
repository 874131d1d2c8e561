"""Log lines that say what an operation did, how long it took and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any


def outcome_of(error: BaseException) -> str:
    """Name a failure for the log: the kind of one of our errors, otherwise the class.

    Messages of foreign errors may quote addresses with signatures, so they are left out.
    """
    return str(getattr(error, "kind", None) or type(error).__name__)


def pairs(facts: dict[str, Any]) -> str:
    """Write facts as ``name=value``; a value that could break the line is quoted."""
    return " ".join(f"{name}={_plain(value)}" for name, value in facts.items())


def _plain(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


@contextmanager
def timed(log: logging.Logger, operation: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Log an operation at its end, with milliseconds and outcome, at level INFO.

    Parameters
    ----------
    log : logging.Logger
        Where to.
    operation : str
        First word of the line.
    **facts
        What else the line says, as ``name=value``.

    Yields
    ------
    dict
        The facts; more can be added while the operation runs.
    """
    if not log.isEnabledFor(logging.INFO):
        yield facts
        return
    began = perf_counter()
    outcome = "ok"
    try:
        yield facts
    except BaseException as error:
        outcome = outcome_of(error)
        raise
    finally:
        facts |= {"ms": f"{(perf_counter() - began) * 1000:.3f}", "outcome": outcome}
        log.info("%s %s", operation, pairs(facts))
