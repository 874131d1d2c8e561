"""Tools for tests of code that uses Icechunk: storages, models, strategies, invariants.

Importing `icechunk.testing` and `icechunk.testing.storages` needs no further package.  The other
modules import Hypothesis.
"""

from __future__ import annotations

from icechunk.storage.wrapper import Call, StorageWrapper
from icechunk.testing.storages import (
    FaultyStorage,
    LatencyStorage,
    RecordingStorage,
    ThrottledStorage,
)

__all__ = [
    "Call",
    "FaultyStorage",
    "LatencyStorage",
    "RecordingStorage",
    "StorageWrapper",
    "ThrottledStorage",
]
