"""Run calls that may raise any error or never return."""

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
    """Cause of a failure, as far as later checks depend on it."""

    MISSING = "missing"
    DENIED = "denied"
    NO_PLACE = "no place"
    NO_ANSWER = "no answer"
    CANNOT_LIST = "cannot list"
    NOT_TRIED = "not tried"
    OTHER = "other"


class Failure(NamedTuple):
    """Cause and text of a failure."""

    cause: Cause
    text: str


class Tried(NamedTuple, Generic[T]):
    """Result of a call: a value or a failure."""

    value: T | None
    failure: Failure | None


class Bounds:
    """Runs calls with a time limit each; after one that does not return, no more are made.

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
        """Why no more calls are made; empty as long as they are."""

    @property
    def why_not(self) -> str:
        """The reason for a check that was not made; empty as long as calls are made."""
        return f"{NOT_TRIED}{self.stopped}" if self.stopped else ""

    def tried(self, call: Callable[[], T], *, last: bool = False, go_on: bool = False) -> Tried[T]:
        """Run a call on a thread of its own.

        Parameters
        ----------
        call : callable
            The call.
        last : bool
            Run it even when no more calls are made: cleaning up.
        go_on : bool
            A time-out of this call does not mean that the storage does not answer.
        """
        left = self._end - time.monotonic()
        if not self.stopped and left <= 0:
            self.stopped = "the time for the whole examination was over"
        if self.stopped and not last:
            return Tried(None, Failure(Cause.NOT_TRIED, f"{NOT_TRIED}{self.stopped}"))
        limit = self._step if last else min(self._step, left)
        box: list[Tried[T]] = []

        def run() -> None:
            try:
                box.append(Tried(call(), None))
            except Exception as error:  # a broken storage may raise any error
                box.append(Tried(None, failure_of(error)))

        thread = threading.Thread(target=run, name="icechunk-doctor", daemon=True)
        thread.start()
        thread.join(limit)
        if box:
            return box[0]
        if not go_on:
            self.stopped = self.stopped or "an earlier step got no answer"
        return Tried(None, Failure(Cause.NO_ANSWER, f"no answer within {limit:.3g} s"))


def failure_of(error: Exception) -> Failure:
    """Return the failure that an error means, without secrets in its text."""
    if not isinstance(error, IcechunkError):
        return Failure(Cause.OTHER, f"an unexpected {type(error).__name__}")
    text = error.message.strip().split("\n\n")[0]
    origin: Any = error.__cause__
    if error.kind == ErrorKind.OBJECT_NOT_FOUND:
        return Failure(Cause.MISSING, text)
    if error.kind == ErrorKind.STORAGE_OTHER and "cannot be listed" in text:
        return Failure(Cause.CANNOT_LIST, text)
    if text.startswith(("the bucket or container of", "wrong region")) or "a redirect: " in text:
        return Failure(Cause.NO_PLACE, text)
    if text.startswith(("permission denied", "no credentials")) or _denied(origin):
        return Failure(Cause.DENIED, text)
    if error.kind == ErrorKind.THROTTLED or "cannot be reached" in text or "in time" in text:
        return Failure(Cause.NO_ANSWER, text)
    return Failure(Cause.OTHER, text)


def _denied(origin: Any) -> bool:
    """Whether a file system refused: no permission, or it is read-only."""
    if not isinstance(origin, OSError):
        return False
    return isinstance(origin, PermissionError) or origin.errno == errno.EROFS
