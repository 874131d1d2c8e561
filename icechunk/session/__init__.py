"""`Session`, the public handle on uncommitted changes, and what its methods return."""

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
