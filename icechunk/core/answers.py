"""Whether callers get to know what became of what they asked for."""

from __future__ import annotations

import contextvars


class AsyncCall:
    """One call of an asynchronous twin.

    Attributes
    ----------
    abandoned : bool
        It was cancelled: its result reaches nobody, although its body runs on.
    """

    def __init__(self) -> None:
        self.abandoned = False


ASYNC_CALL: contextvars.ContextVar[AsyncCall | None] = contextvars.ContextVar(
    "icechunk_async_call", default=None
)
"""The call of an asynchronous twin that the present code runs for; None for synchronous calls."""


class Answer:
    """Whether a caller gets to know the outcome of the operation that runs for it now.

    Attributes
    ----------
    returned : bool
        The operation came to its end; set by the operation.
    """

    def __init__(self) -> None:
        self.returned = False
        self._call = ASYNC_CALL.get()

    @property
    def reached(self) -> bool:
        """Whether it did: the call was neither interrupted nor, an asynchronous one, cancelled."""
        return self.returned and (self._call is None or not self._call.abandoned)
