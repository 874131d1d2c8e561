"""Trying something that may fail in any way, or never come back."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from icechunk.core.errors import ErrorKind, IcechunkError
from icechunk.diagnostics.report import NOT_TRIED

T = TypeVar("T")


class Cause(StrEnum):
    """What stands in the way, as far as it matters for going on."""

    MISSING = "missing"
    DENIED = "denied"
    NO_PLACE = "no place"
    NO_ANSWER = "no answer"
    CANNOT_LIST = "cannot list"
    NOT_TRIED = "not tried"
    OTHER = "other"


class Trouble(NamedTuple):
    """Why something did not work."""

    cause: Cause
    text: str


class Tried(NamedTuple, Generic[T]):
    """What came of trying: a value, or trouble."""

    value: T | None
    trouble: Trouble | None


class Bounds:
    """Tries things, each for a limited time; the first that never comes back is the last.

    Parameters
    ----------
    step : float
        Seconds for one call.
    whole : float
        Seconds for all of them.
    """

    def __init__(self, step: float, whole: float) -> None:
        self._step = step
        self._end = time.monotonic() + whole
        self.stopped: str = ""
        """Why nothing is tried any more; empty while things are."""

    @property
    def why_not(self) -> str:
        """Why nothing is tried any more, as the reason of a check; empty while things are."""
        return f"{NOT_TRIED}{self.stopped}" if self.stopped else ""

    def tried(self, call: Callable[[], T], *, last: bool = False, go_on: bool = False) -> Tried[T]:
        """Do a call on a thread of its own.

        Parameters
        ----------
        call : callable
            What to do.
        last : bool
            Do it even when nothing else is tried any more: clearing up.
        go_on : bool
            That it takes too long does not mean that the storage does not answer.
        """
        left = self._end - time.monotonic()
        if not self.stopped and left <= 0:
            self.stopped = "the time for the whole examination was over"
        if self.stopped and not last:
            return Tried(None, Trouble(Cause.NOT_TRIED, f"{NOT_TRIED}{self.stopped}"))
        limit = self._step if last else min(self._step, left)
        box: list[Tried[T]] = []

        def run() -> None:
            try:
                box.append(Tried(call(), None))
            except Exception as error:  # an ill storage may raise anything
                box.append(Tried(None, trouble_of(error)))

        thread = threading.Thread(target=run, name="icechunk-doctor", daemon=True)
        thread.start()
        thread.join(limit)
        if box:
            return box[0]
        if not go_on:
            self.stopped = self.stopped or "an earlier step got no answer"
        return Tried(None, Trouble(Cause.NO_ANSWER, f"no answer within {limit:.3g} s"))


def trouble_of(error: Exception) -> Trouble:
    """Return what an error means, in words that hold no secrets."""
    if not isinstance(error, IcechunkError):
        return Trouble(Cause.OTHER, f"an unexpected {type(error).__name__}")
    text = error.message.strip().split("\n\n")[0]
    origin: Any = error.__cause__
    if error.kind == ErrorKind.OBJECT_NOT_FOUND:
        return Trouble(Cause.MISSING, text)
    if error.kind == ErrorKind.STORAGE_OTHER and "cannot be listed" in text:
        return Trouble(Cause.CANNOT_LIST, text)
    if text.startswith(("the bucket or container of", "wrong region")) or "a redirect: " in text:
        return Trouble(Cause.NO_PLACE, text)
    if text.startswith(("permission denied", "no credentials")) or _denied(origin):
        return Trouble(Cause.DENIED, text)
    if error.kind == ErrorKind.THROTTLED or "cannot be reached" in text or "in time" in text:
        return Trouble(Cause.NO_ANSWER, text)
    return Trouble(Cause.OTHER, text)


def _denied(origin: Any) -> bool:
    """Whether a file system refused, for lack of rights or because nothing can be written."""
    if not isinstance(origin, OSError):
        return False
    return isinstance(origin, PermissionError) or origin.errno == errno.EROFS
