"""A least-recently-used cache bounded by weight."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from icechunk.core.locks import ProcessLock, held

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WeightedCache(Generic[K, V]):
    """Values of immutable files, dropped oldest use first when their weight exceeds a bound.

    Parameters
    ----------
    capacity : int
        Largest total weight; 0 keeps nothing.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._weight = 0
        self._items: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = ProcessLock()

    def get(self, key: K) -> V | None:
        """Value of a key, or None."""
        return held(self._lock, self._get, key)

    def _get(self, key: K) -> V | None:
        item = self._items.get(key)
        if item is None:
            return None
        self._items.move_to_end(key)
        return item[0]

    def put(self, key: K, value: V, weight: int) -> bool:
        """Keep a value; False for one heavier than the whole cache, which is not kept."""
        return held(self._lock, self._put, key, value, weight)

    def _put(self, key: K, value: V, weight: int) -> bool:
        former = self._items.pop(key, None)
        if former is not None:
            self._weight -= former[1]
        if weight > self._capacity:
            return False
        self._items[key] = value, weight
        self._weight += weight
        while self._weight > self._capacity and self._items:
            _, (_, dropped) = self._items.popitem(last=False)
            self._weight -= dropped
        return True

    def __len__(self) -> int:
        return len(self._items)
