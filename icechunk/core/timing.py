"""Log lines with the operation, its duration and its outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any


def outcome_of(error: BaseException) -> str:
    """Return the outcome of a failure for the log: the kind of an `IcechunkError`, else the class.

    Messages of other libraries may contain URLs with signatures, so they are not logged.
    """
    return str(getattr(error, "kind", None) or type(error).__name__)


def pairs(fields: dict[str, Any]) -> str:
    """Format fields as ``name=value``; values with spaces or control characters are quoted."""
    return " ".join(f"{name}={_plain(value)}" for name, value in fields.items())


def _plain(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


@contextmanager
def timed(log: logging.Logger, operation: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Log an operation when it ends, with milliseconds and outcome, at level INFO.

    Parameters
    ----------
    log : logging.Logger
        The logger.
    operation : str
        First word of the line.
    **fields
        Further content of the line, as ``name=value``.

    Yields
    ------
    dict
        The fields; more can be added while the operation runs.
    """
    if not log.isEnabledFor(logging.INFO):
        yield fields
        return
    began = perf_counter()
    outcome = "ok"
    try:
        yield fields
    except BaseException as error:
        outcome = outcome_of(error)
        raise
    finally:
        fields |= {"ms": f"{(perf_counter() - began) * 1000:.3f}", "outcome": outcome}
        log.info("%s %s", operation, pairs(fields))
