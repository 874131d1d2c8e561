"""Records whether the result of an operation reaches its caller."""

from __future__ import annotations

import contextvars


class AsyncCall:
    """One call of a ``*_async`` method.

    Attributes
    ----------
    abandoned : bool
        The call was cancelled: its body runs to the end, but its result is discarded.
    """

    def __init__(self) -> None:
        self.abandoned = False


ASYNC_CALL: contextvars.ContextVar[AsyncCall | None] = contextvars.ContextVar(
    "icechunk_async_call", default=None
)
"""The ``*_async`` call on whose behalf the current code runs; None in synchronous calls."""


class Answer:
    """Whether the outcome of the current operation reaches its caller.

    Attributes
    ----------
    returned : bool
        The operation is complete; set by the operation.
    """

    def __init__(self) -> None:
        self.returned = False
        self._call = ASYNC_CALL.get()

    @property
    def reached(self) -> bool:
        """Whether the call was neither interrupted nor, if asynchronous, cancelled."""
        return self.returned and (self._call is None or not self._call.abandoned)
