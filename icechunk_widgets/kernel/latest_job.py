"""One piece of background work at a time: a newer one puts an end to the one that is running."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LatestJob:
    """Runs a function on a thread of its own; the next `start` tells it to stop.

    Parameters
    ----------
    name : str
        Of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[Callable[[], bool]], None]) -> None:
        """Begin.

        Parameters
        ----------
        work : callable
            Gets a function to ask whether it is out of date; must not raise.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
            self._thread = threading.Thread(
                target=work, args=(lambda: self._turn != turn,), name=self._name, daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Tell what is running that nobody waits for it."""
        with self._lock:
            self._turn += 1

    def join(self, timeout: float | None = None) -> None:
        """Wait for what is running."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
