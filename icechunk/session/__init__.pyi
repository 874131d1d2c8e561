"""Public names of `icechunk.session`."""

from icechunk.core.errors import ConflictError as ConflictError
from icechunk.core.errors import RebaseFailedError as RebaseFailedError
from icechunk.engine.transaction import SessionMode as SessionMode
from icechunk.session.nodes import NodeInfo as NodeInfo
from icechunk.session.references import ChunkReferences as ChunkReferences
from icechunk.session.session import ForkSession as ForkSession
from icechunk.session.session import Session as Session
