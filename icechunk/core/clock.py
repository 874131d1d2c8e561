"""The one source of time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAX_SKEW_US = 600_000_000
"""Largest accepted distance, in microseconds, between a writer's clock and the storage's."""


def now_us() -> int:
    """Microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000


def to_datetime(us: int) -> datetime:
    """Aware UTC datetime of a count of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=us)


def from_datetime(when: datetime) -> int:
    """Microseconds since 1970 of an aware datetime.

    Raises
    ------
    TypeError
        If `when` is not a datetime, or carries no time zone.
    """
    if not isinstance(when, datetime) or when.tzinfo is None:
        raise TypeError("expected a datetime with non-None tzinfo")
    return (when - _EPOCH) // timedelta(microseconds=1)
