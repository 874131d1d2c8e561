"""Floor 8: `Session`, the public transaction handle.

This is also the public module `icechunk.session`.
"""

from icechunk.core.errors import ConflictError, RebaseFailedError
from icechunk.engine.transaction import SessionMode
from icechunk.session.nodes import NodeInfo
from icechunk.session.references import ChunkReferences
from icechunk.session.session import ForkSession, Session

__all__ = [
    "ChunkReferences",
    "ConflictError",
    "ForkSession",
    "NodeInfo",
    "RebaseFailedError",
    "Session",
    "SessionMode",
]
