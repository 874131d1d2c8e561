"""Values as JSON types, and short texts, for the views."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """A copy of a value in JSON types; NaN and infinities become None.

    Parameters
    ----------
    value : object
        Nested mappings, sequences, numpy scalars and arrays, times; anything else as text.
    """
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    return str(value)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, as browsers read it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def short(snapshot_id: str) -> str:
    """The first eight characters of a snapshot id."""
    return snapshot_id[:8]


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 chunk``, ``12 chunks``."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
