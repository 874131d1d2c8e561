"""What tests of code on top of Icechunk need: awkward storages, models, strategies, invariants.

`icechunk.testing.storages` needs nothing else.  The other modules need Hypothesis, and load it only
when they are imported themselves.
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
