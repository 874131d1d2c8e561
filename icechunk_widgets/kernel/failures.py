"""Exceptions as the views and the magic show them: kind, what is wrong, what to do next."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from icechunk import ErrorKind, IcechunkError

_STORAGE_HINT = "Check that the storage can be reached, and try again"
_log = logging.getLogger("icechunk_widgets")


def describe(error: BaseException) -> dict[str, str]:
    """Describe an exception for a view, without a traceback.

    Parameters
    ----------
    error : BaseException
        Anything raised while a request was answered.

    Returns
    -------
    dict
        ``kind`` (stable code), ``message`` (what is wrong) and ``hint`` (what to do, or "").
    """
    if isinstance(error, IcechunkError):
        message, hint = sentences(error.message)
        return {"kind": str(error.kind), "message": message, "hint": hint}
    if not isinstance(error, ValueError | TypeError | KeyError | OSError):
        _log.error("unexpected error", exc_info=error)
    text = str(error).strip().split("\n")[0]
    name = type(error).__name__
    hint = _STORAGE_HINT if isinstance(error, OSError) else ""
    return {"kind": "error", "message": f"{name}: {text}" if text else name, "hint": hint}


def sentences(text: str) -> tuple[str, str]:
    """Split an error message into what is wrong and what to do next."""
    head = text.strip().split("\n\n")[0].replace("\n", " ").strip()
    what, mark, hint = head.partition("; ")
    if not mark:
        what, *rest = re.split(r"\. (?=[A-Z])", head, maxsplit=1)
        hint = rest[0] if rest else ""
    if not hint:
        return head, ""
    return what, hint[:1].upper() + hint[1:]


def one_line(error: BaseException) -> str:
    """An exception as one line: ``icechunk: what is wrong; what to do (kind)``."""
    parts = describe(error)
    hint = f"; {parts['hint'][:1].lower()}{parts['hint'][1:]}" if parts["hint"] else ""
    return f"icechunk: {parts['message']}{hint} ({parts['kind']})"


def refusal(what: str, hint: str, kind: ErrorKind = ErrorKind.NOT_ALLOWED) -> IcechunkError:
    """An error of this package, in the form that `describe` splits."""
    return IcechunkError(f"{what}; {hint}", kind)


class ChunkUnreadable(IcechunkError):
    """A chunk exists, but its bytes cannot be read or decoded."""


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn errors of damaged or lost chunks into `ChunkUnreadable`.

    Raises
    ------
    ChunkUnreadable
        Instead of the exception of a codec.  Errors of the storage are raised unchanged: they
        concern the next chunk too.
    """
    hint = "decide it without its values, or write the chunk again"
    try:
        yield
    except IcechunkError as error:
        if error.kind not in (ErrorKind.OBJECT_NOT_FOUND, ErrorKind.CHUNK_NOT_FOUND):
            raise
        raise ChunkUnreadable(f"a chunk of `{path}` is lost; {hint}", error.kind) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        text = str(error).strip().split("\n")[0] or type(error).__name__
        raise ChunkUnreadable(
            f"a chunk of `{path}` cannot be decoded ({text}); {hint}", ErrorKind.DESERIALIZATION
        ) from error
