"""What a failure looks like to a person: kind, one sentence, what to do next."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from icechunk import ErrorKind, IcechunkError

_TROUBLE = "Check that the storage can be reached, and try again"
_log = logging.getLogger("icechunk_widgets")


def describe(error: BaseException) -> dict[str, str]:
    """Turn an exception into what a view shows; never a traceback.

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
    hint = _TROUBLE if isinstance(error, OSError) else ""
    return {"kind": "error", "message": f"{name}: {text}" if text else name, "hint": hint}


def sentences(text: str) -> tuple[str, str]:
    """Split an error's text into what is wrong and what to do next."""
    head = text.strip().split("\n\n")[0].replace("\n", " ").strip()
    what, mark, hint = head.partition("; ")
    if not mark:
        what, *rest = re.split(r"\. (?=[A-Z])", head, maxsplit=1)
        hint = rest[0] if rest else ""
    if not hint:
        return head, ""
    return what, hint[:1].upper() + hint[1:]


def one_line(error: BaseException) -> str:
    """A failure as one line: ``icechunk: what is wrong; what to do (kind)``."""
    told = describe(error)
    hint = f"; {told['hint'][:1].lower()}{told['hint'][1:]}" if told["hint"] else ""
    return f"icechunk: {told['message']}{hint} ({told['kind']})"


def refusal(what: str, hint: str, kind: ErrorKind = ErrorKind.NOT_ALLOWED) -> IcechunkError:
    """An error of this package, in the words that `describe` takes apart."""
    return IcechunkError(f"{what}; {hint}", kind)


class ChunkUnreadable(IcechunkError):
    """A chunk is there, and its bytes cannot be turned into values."""


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Say of damaged or lost chunks what they are, where values of an array are read.

    Raises
    ------
    ChunkUnreadable
        Instead of whatever a codec made of the bytes.  Trouble with the storage stays what it is:
        the next chunk would meet it too.
    """
    hint = "decide it without its values, or write it again"
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
