"""Test many chunks for a limited time per call, so that a request returns soon."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.kernel.failures import ChunkUnreadable

UNREADABLE = -1


class ChunkSearch:
    """A test of many chunks that can be interrupted and continued.

    Parameters
    ----------
    rows : ndarray of int64
        Numbers of the chunks.
    ask : callable
        Returns a number from 0 for the number of a chunk.  A chunk whose values cannot be read
        (`ChunkUnreadable`) counts as `UNREADABLE`, and the search continues.
    """

    def __init__(self, rows: NDArray[np.int64], ask: Callable[[int], int]) -> None:
        self.rows = rows
        self._ask = ask
        self._answers = np.zeros(len(rows), np.int64)
        self._lock = threading.Lock()
        self.looked = 0

    @property
    def done(self) -> bool:
        """Whether every chunk has been tested."""
        return self.looked == len(self.rows)

    @property
    def answers(self) -> NDArray[np.int64]:
        """The results so far, in the order of `rows`."""
        return self._answers[: self.looked]

    @property
    def unreadable(self) -> int:
        """Number of chunks that could not be read."""
        return int(np.count_nonzero(self.answers == UNREADABLE))

    def go_on(self, seconds: float = math.inf) -> bool:
        """Test chunks for some seconds; return whether all are done."""
        until = time.monotonic() + seconds
        with self._lock:
            while self.looked < len(self.rows) and time.monotonic() < until:
                try:
                    answer = self._ask(int(self.rows[self.looked]))
                except ChunkUnreadable:
                    answer = UNREADABLE
                self._answers[self.looked] = answer
                self.looked += 1
        return self.done
