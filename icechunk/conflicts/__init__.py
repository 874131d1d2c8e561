"""Floor 4, public: conflicts met by a rebase, and how to solve them; no I/O."""

from icechunk.conflicts.basic import BasicConflictSolver
from icechunk.conflicts.decision import CHOICES, Decision
from icechunk.conflicts.decisions import DecisionSolver
from icechunk.conflicts.detector import ConflictDetector, detect
from icechunk.conflicts.model import (
    Conflict,
    ConflictReport,
    ConflictSolver,
    ConflictType,
    Patched,
    Unsolvable,
    VersionSelection,
)
from icechunk.conflicts.selection import ChunkBoxes, ChunkRuns, ChunkSelection, ListedChunks

__all__ = [
    "BasicConflictSolver",
    "CHOICES",
    "ChunkBoxes",
    "ChunkRuns",
    "ChunkSelection",
    "Conflict",
    "ConflictDetector",
    "ConflictReport",
    "ConflictSolver",
    "ConflictType",
    "Decision",
    "DecisionSolver",
    "ListedChunks",
    "Patched",
    "Unsolvable",
    "VersionSelection",
    "detect",
]
