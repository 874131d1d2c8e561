"""Public names of `icechunk.conflicts`."""

from icechunk.conflicts.basic import BasicConflictSolver as BasicConflictSolver
from icechunk.conflicts.decision import CHOICES as CHOICES
from icechunk.conflicts.decision import Decision as Decision
from icechunk.conflicts.decisions import DecisionSolver as DecisionSolver
from icechunk.conflicts.detector import ConflictDetector as ConflictDetector
from icechunk.conflicts.detector import detect as detect
from icechunk.conflicts.model import Conflict as Conflict
from icechunk.conflicts.model import ConflictReport as ConflictReport
from icechunk.conflicts.model import ConflictSolver as ConflictSolver
from icechunk.conflicts.model import ConflictType as ConflictType
from icechunk.conflicts.model import Patched as Patched
from icechunk.conflicts.model import Unsolvable as Unsolvable
from icechunk.conflicts.model import VersionSelection as VersionSelection
from icechunk.conflicts.selection import ChunkBoxes as ChunkBoxes
from icechunk.conflicts.selection import ChunkRuns as ChunkRuns
from icechunk.conflicts.selection import ChunkSelection as ChunkSelection
from icechunk.conflicts.selection import ListedChunks as ListedChunks
