"""Background work of which only the newest piece counts: a newer one cancels the running one."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LatestJob:
    """Run a function on a thread; the next `start` cancels it.

    Parameters
    ----------
    name : str
        Name of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[Callable[[], bool]], None]) -> None:
        """Cancel the running function and start another.

        Parameters
        ----------
        work : callable
            Called with a function that returns whether it is cancelled; must not raise.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
            self._thread = threading.Thread(
                target=work, args=(lambda: self._turn != turn,), name=self._name, daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Cancel the running function."""
        with self._lock:
            self._turn += 1

    def join(self, timeout: float | None = None) -> None:
        """Wait for the running function."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
