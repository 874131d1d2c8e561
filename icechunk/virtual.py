"""Virtual chunks: containers that references may point into, and single references."""

from __future__ import annotations

from icechunk.config.containers import VirtualChunkContainer
from icechunk.config.virtual import VirtualChunkSpec

__all__ = ["VirtualChunkContainer", "VirtualChunkSpec"]
