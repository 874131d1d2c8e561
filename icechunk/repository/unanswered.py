"""Repeated changes of refs after calls whose outcome did not reach the caller."""

from __future__ import annotations

from collections.abc import Callable

from icechunk.core.answers import Answer
from icechunk.core.errors import IcechunkError, StorageError
from icechunk.core.locks import guarded

Change = tuple[str, ...]
"""The name of the method and its arguments."""


class Unanswered:
    """The interrupted and cancelled calls of one handle, so that they can be repeated.

    An interrupt may arrive after the repository was changed. Without this record, repeating the
    call would fail: the branch that it creates exists already.
    """

    def __init__(self) -> None:
        self._calls: dict[Change, Answer] = {}

    def make(self, change: Change, make: Callable[[], None], is_made: Callable[[], bool]) -> None:
        """Make a change, unless an earlier call whose outcome did not arrive has made it.

        Parameters
        ----------
        change : tuple of str
            Identifies the change.
        make : callable
            Makes the change, or raises.
        is_made : callable
            Whether the change is in effect; called when `make` raises after an unanswered call
            for the same change.

        Raises
        ------
        IcechunkError
            What `make` raises.
        """
        former = self._calls.get(change)
        answer = Answer()

        def attempt() -> None:
            try:
                make()
            except IcechunkError as error:
                if former is None or former.reached or not is_made():
                    answer.returned = not isinstance(error, StorageError)
                    raise

        def note() -> None:
            others = {known: one for known, one in self._calls.items() if not one.reached}
            self._calls = {**others, change: answer}

        guarded(attempt, note)
        answer.returned = True
