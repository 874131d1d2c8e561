"""One conflict and the decisions about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from icechunk import Conflict, ConflictType
from icechunk.conflicts import CHOICES
from icechunk.conflicts.decision import MERGE_CHOICES
from icechunk.session import ChunkReferences
from icechunk_widgets.arrays.chunk_refs import Coords, flat, runs_of

NOT_HERE, UNDECIDED, OURS, THEIRS, BASE, ONLY_OURS, ONLY_THEIRS, MERGE_OURS, MERGE_THEIRS = range(9)
NAME: Final = {
    UNDECIDED: None,
    OURS: "ours",
    THEIRS: "theirs",
    BASE: "base",
    MERGE_OURS: "merge-ours",
    MERGE_THEIRS: "merge-theirs",
}
CODE: Final = {name: code for code, name in NAME.items()}
MERGES: Final = {MERGE_OURS: "ours", MERGE_THEIRS: "theirs"}
"""Cell-wise merges, with the side of the cells that both changed."""
# The engine takes a merged chunk from theirs; the merged values are written after the rebase.
_SETTLED: Final = ((OURS, (OURS,)), (THEIRS, (THEIRS, *MERGES)), (BASE, (BASE,)))

TITLES: Final = {
    ConflictType.NewNodeConflictsWithExistingNode: "Both sides created a node here",
    ConflictType.NewNodeInInvalidGroup: "I created nodes inside; they deleted or replaced it",
    ConflictType.ZarrMetadataDoubleUpdate: "Both sides changed the metadata",
    ConflictType.ZarrMetadataUpdateOfDeletedArray: "I changed the metadata; they deleted the array",
    ConflictType.ZarrMetadataUpdateOfDeletedGroup: "I changed the metadata; they deleted the group",
    ConflictType.ChunkDoubleUpdate: "Both sides wrote the same chunks",
    ConflictType.ChunksUpdatedInDeletedArray: "I wrote chunks; they deleted the array",
    ConflictType.ChunksUpdatedInUpdatedArray: "I wrote chunks; they changed the array's metadata",
    ConflictType.DeleteOfUpdatedArray: "I deleted the array; they changed it",
    ConflictType.DeleteOfUpdatedGroup: "I deleted the group; they changed it",
    ConflictType.MoveOperationCannotBeRebased: "They moved nodes; this cannot be rebased",
    # Only merges report these; they do not say which side did what.
    ConflictType.AppendDoubleUpdate: "Both sides appended along one axis",
    ConflictType.ChunksUpdatedBeyondResize: "One side shrank the array; the other wrote beyond",
    ConflictType.NewNodeInDeletedGroup: "One side deleted the group; the other added nodes to it",
    ConflictType.NodeMovedTwice: "Both sides moved the node, or one moved what the other deleted",
    ConflictType.MoveTargetTaken: "The two sides put different nodes at one path",
    ConflictType.EncodingChanged: "One side changed the encoding; the other wrote chunks",
    ConflictType.FillValueChanged: "One side changed the fill value; the other left chunks empty",
    ConflictType.BaseExpired: "Both sides changed the node; the state before both expired",
}

MERGE_TITLES: Final = TITLES | {
    ConflictType.NewNodeInInvalidGroup: "One side created nodes inside; the other replaced it",
    ConflictType.ZarrMetadataUpdateOfDeletedArray: (
        "One side changed the metadata; the other deleted the array"
    ),
    ConflictType.ZarrMetadataUpdateOfDeletedGroup: (
        "One side changed the metadata; the other deleted the group"
    ),
    ConflictType.ChunksUpdatedInDeletedArray: "One side wrote chunks; the other deleted the array",
    ConflictType.ChunksUpdatedInUpdatedArray: (
        "One side wrote chunks; the other changed the array's metadata"
    ),
    ConflictType.DeleteOfUpdatedArray: "One side deleted the array; the other changed it",
    ConflictType.DeleteOfUpdatedGroup: "One side deleted the group; the other changed it",
    ConflictType.MoveOperationCannotBeRebased: "The sides moved nodes so that they do not fit",
}
"""Titles in a merge, where either side may have done either."""

_BUTTONS = ("ours", "theirs", "base")

Key = tuple[ConflictType, str]


@dataclass(frozen=True)
class NodeChoice:
    """A decision about a whole node.

    Attributes
    ----------
    choice : str
        One of `icechunk.conflicts.CHOICES` for its kind.
    extra : dict
        ``metadata`` or ``new_path``, if the choice needs them.
    """

    choice: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Entry:
    """A conflict and the decisions about it.

    Attributes
    ----------
    number : int
        Its place in the list, and its key in the view.
    conflict : Conflict
        The conflict as the engine reports it.
    grid : tuple of int
        Chunk grid of our array; empty for conflicts of nodes.
    merging : bool
        Whether it is a conflict of a merge; ours is the source then, and theirs the target.
    ours : ChunkReferences or None
        References of our array when the conflict was found.
    metadata : bytes or None
        Our node's ``zarr.json`` when the conflict was found.
    states : ndarray of uint8
        One of UNDECIDED, OURS, THEIRS, BASE, MERGE_OURS, MERGE_THEIRS per conflicting chunk, in
        row-major order.
    node : NodeChoice or None
        Decision about a whole node.
    """

    number: int
    conflict: Conflict
    grid: tuple[int, ...] = ()
    ours: ChunkReferences | None = None
    metadata: bytes | None = None
    node: NodeChoice | None = None
    merging: bool = False
    coords: Coords = field(init=False)
    positions: NDArray[np.int64] = field(init=False)
    states: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        held = self.conflict.chunk_array
        self.coords = np.empty((0, len(self.grid)), np.uint32) if held is None else held
        self.positions = flat(self.coords, self.grid)
        self.states = np.full(len(self.coords), UNDECIDED, np.uint8)

    @property
    def key(self) -> Key:
        """Type and path, which identify the conflict."""
        return self.conflict.conflict_type, self.conflict.path

    @property
    def path(self) -> str:
        """Path of the conflict; empty for moves."""
        return self.conflict.path

    @property
    def is_chunks(self) -> bool:
        """Whether it is decided chunk by chunk."""
        return self.conflict.conflict_type is ConflictType.ChunkDoubleUpdate

    @property
    def choices(self) -> tuple[str, ...]:
        """The possible choices."""
        # Instead of "cells", which a rebase cannot carry out, the resolver merges cells itself.
        possible = MERGE_CHOICES if self.merging else CHOICES
        offered = tuple(one for one in possible[self.conflict.conflict_type] if one != "cells")
        merged = tuple(str(NAME[code]) for code in MERGES) if self.is_chunks else ()
        return (*offered, *merged)

    @property
    def total(self) -> int:
        """Number of decisions to make."""
        return len(self.states) if self.is_chunks else 1

    @property
    def undecided(self) -> int:
        """Number of decisions left."""
        if self.is_chunks:
            return int(np.count_nonzero(self.states == UNDECIDED))
        return int(self.node is None)

    @property
    def choice(self) -> str | None:
        """The decision, if it is the same for all chunks."""
        if not self.is_chunks:
            return None if self.node is None else self.node.choice
        first = int(self.states[0]) if len(self.states) else UNDECIDED
        return NAME[first] if bool((self.states == first).all()) else None

    def payload(self, undecided: int) -> dict[str, Any]:
        """The conflict in the list of the view."""
        return {
            "key": self.number,
            "path": self.path,
            "type": self.conflict.conflict_type.name,
            "title": (MERGE_TITLES if self.merging else TITLES)[self.conflict.conflict_type],
            "kind": "chunks" if self.is_chunks else "node",
            "choices": [choice for choice in self.choices if choice in _BUTTONS],
            "chunks": len(self.states),
            "undecided": undecided,
            "choice": self.choice,
        }

    def decisions(self, shown: NDArray[np.uint8] | None = None) -> list[dict[str, Any]]:
        """The decisions in the form of `icechunk.DecisionSolver`.

        Merged chunks are theirs here; `merges` lists them.  Chunks are always listed, even if all
        have the same decision, so that none applies to chunks of later commits.

        Parameters
        ----------
        shown : ndarray of uint8, optional
            Effective states of the chunks; `states` by default.
        """
        head = {"path": self.path, "type": self.conflict.conflict_type.name}
        if not self.is_chunks:
            if self.node is None:
                return []
            return [{**head, "choice": self.node.choice, **self.node.extra}]
        states = self.states if shown is None else shown
        settled = [(code, np.isin(states, codes)) for code, codes in _SETTLED]
        return [
            {
                **head,
                "choice": NAME[code],
                "runs": runs_of(self.positions[rows]),
                "grid": list(self.grid),
            }
            for code, rows in settled
            if rows.any()
        ]

    def merges(self) -> list[tuple[str, list[int], Literal["ours", "theirs"]]]:
        """Chunks to merge cell by cell: path, coordinates, side for cells that both changed."""
        return [
            (self.path, chunk, "ours" if code == MERGE_OURS else "theirs")
            for code in MERGES
            for chunk in self.coords[self.states == code].tolist()
        ]

    def merge_runs(self) -> list[tuple[str, list[int], list[int], str]]:
        """The same as runs: path, grid, ``[start, length, ...]`` over the grid, side."""
        return [
            (self.path, list(self.grid), runs_of(self.positions[self.states == code]), side)
            for code, side in MERGES.items()
            if (self.states == code).any()
        ]
