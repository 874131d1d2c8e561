"""Conflicts of a rebase, and solvers (layer 4, public); no I/O."""

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
