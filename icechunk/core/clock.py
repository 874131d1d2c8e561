"""The current time, and conversions of microseconds since 1970."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAX_SKEW_US = 600_000_000
"""Largest accepted difference, in microseconds, between the clocks of a writer and the storage."""


def now_us() -> int:
    """Return the current time in microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000


def to_datetime(us: int) -> datetime:
    """Convert microseconds since 1970 to a UTC datetime with a time zone."""
    return _EPOCH + timedelta(microseconds=us)


def from_datetime(when: datetime) -> int:
    """Convert a datetime with a time zone to microseconds since 1970.

    Raises
    ------
    TypeError
        If `when` is not a datetime, or carries no time zone.
    """
    if not isinstance(when, datetime) or when.tzinfo is None:
        raise TypeError("expected a datetime with non-None tzinfo")
    return (when - _EPOCH) // timedelta(microseconds=1)
