"""Conflicts, the interface of solvers, and the report of a planned rebase."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.config.rendering import Entry, Label, Shown
from icechunk.core.choices import Choice

if TYPE_CHECKING:
    from icechunk.changes.change_set import ChangeSet
    from icechunk.spec.manifest.coordinates import Coords
    from icechunk.spec.protocols import ChunkReader, NodeReader
    from icechunk.spec.transaction_log.log import TransactionLog

_SHOWN_CHUNKS = 1000


def _not_a(wanted: str, value: object) -> str:
    return f"'{type(value).__name__}' object is not an instance of '{wanted}'"


class ConflictType(Choice):
    """Kind of a conflict between uncommitted changes and a commit made meanwhile.

    "We" are the session being rebased, "they" the commit. ``str()`` gives a sentence, ``int()``
    the number 1 to 11.
    """

    NewNodeConflictsWithExistingNode = 1
    """We made a node where they have one."""
    NewNodeInInvalidGroup = 2
    """We made a node in a group that they deleted, or that is an array for them."""
    ZarrMetadataDoubleUpdate = 3
    """Both changed the metadata of a node."""
    ZarrMetadataUpdateOfDeletedArray = 4
    """We changed the metadata of an array they deleted."""
    ZarrMetadataUpdateOfDeletedGroup = 5
    """We changed the metadata of a group they deleted."""
    ChunkDoubleUpdate = 6
    """Both wrote or deleted the same chunks, or one wrote chunks that the other's shape cuts."""
    ChunksUpdatedInDeletedArray = 7
    """We wrote chunks of an array they deleted."""
    ChunksUpdatedInUpdatedArray = 8
    """We wrote chunks of an array whose metadata they changed."""
    DeleteOfUpdatedArray = 9
    """We deleted an array they changed, or made nodes below."""
    DeleteOfUpdatedGroup = 10
    """We deleted a group they changed, or made nodes in."""
    MoveOperationCannotBeRebased = 11
    """They moved nodes; nothing can be rebased over that."""
    # Kinds that only merges of states report, never a rebase.
    AppendDoubleUpdate = 101
    """Both appended along one axis of an array, with different lengths."""
    ChunksUpdatedBeyondResize = 102
    """One made an array smaller, the other wrote what that removes."""
    NewNodeInDeletedGroup = 103
    """One deleted a group, the other made a node in it."""
    NodeMovedTwice = 104
    """Both moved a node, to different places; or one moved what the other deleted."""
    MoveTargetTaken = 105
    """The two sides move or make different nodes so that they cannot both have their places."""
    EncodingChanged = 106
    """One changed grid, data type, codecs or rank of an array, the other wrote chunks of it."""
    FillValueChanged = 107
    """One changed the fill value, the other deleted chunks or left new ones unwritten."""
    BaseExpired = 108
    """Both changed a node, and the state that both started from expired."""
    # Names used before metadata conflicts were distinguished by the type of the node.
    UserAttributesDoubleUpdate = 3
    UserAttributesUpdateOfDeletedNode = 4

    @classmethod
    def _missing_(cls, value: object) -> ConflictType:
        if not isinstance(value, int):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        raise ValueError(f"Invalid ConflictType value: {value}")

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        words = "".join(f" {char.lower()}" if char.isupper() else char for char in self.name)
        return words[1].upper() + words[2:]


class VersionSelection(Choice):
    """Whose version `BasicConflictSolver` keeps."""

    Fail = 0
    """Neither: the rebase stops."""
    UseOurs = 1
    """The one of the session being rebased."""
    UseTheirs = 2
    """The one of the commit made meanwhile."""


class Conflict(Shown):
    """One conflict between uncommitted changes and a commit made meanwhile.

    Compares and hashes by value.

    Parameters
    ----------
    conflict_type : ConflictType
        Its kind.
    path : str
        Absolute path of the node; empty for moves.
    conflicted_chunks : sequence of sequence of int, optional
        Coordinates of the chunks both sides changed; only for ``ChunkDoubleUpdate``.
    """

    __slots__ = ("_array", "_chunks", "_path_text", "_type")

    def __init__(
        self,
        conflict_type: ConflictType,
        path: str,
        conflicted_chunks: Sequence[Sequence[int]] | None = None,
    ) -> None:
        if not isinstance(conflict_type, ConflictType):
            raise TypeError(_not_a("ConflictType", conflict_type))
        if not isinstance(path, str):
            raise TypeError(_not_a("str", path))
        self._type = conflict_type
        self._path_text = path
        self._array: Coords | None = None
        self._chunks: list[list[int]] | None = None
        if conflicted_chunks is not None:
            self._chunks = [[int(position) for position in chunk] for chunk in conflicted_chunks]

    @classmethod
    def of_chunks(cls, path: str, coords: Coords) -> Conflict:
        """Chunk double update, with its coordinates as an array.

        Parameters
        ----------
        path : str
            Absolute path of the array.
        coords : ndarray
            uint32, shape ``(n, d)``, in lexicographic order.
        """
        conflict = cls(ConflictType.ChunkDoubleUpdate, path)
        conflict._array = coords
        return conflict

    @property
    def conflict_type(self) -> ConflictType:
        """Kind of the conflict."""
        return self._type

    @property
    def path(self) -> str:
        """Absolute path of the node; empty for moves."""
        return self._path_text

    @property
    def conflicted_chunks(self) -> list[list[int]] | None:
        """Coordinates of the chunks both sides changed; None for other kinds."""
        if self._chunks is None and self._array is not None:
            self._chunks = self._array.tolist()
        return self._chunks

    @property
    def chunk_array(self) -> Coords | None:
        """The same coordinates as an array, uint32 of shape ``(n, d)``; None for other kinds."""
        if self._array is None and self._chunks is not None:
            rank = len(self._chunks[0]) if self._chunks else 0
            self._array = np.array(self._chunks, np.uint32).reshape(len(self._chunks), rank)
        return self._array

    @property
    def num_chunks(self) -> int:
        """How many chunks both sides changed; 0 for other kinds."""
        held = self._chunks if self._array is None else self._array
        return 0 if held is None else len(held)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: ``type``, ``path`` and ``chunks``."""
        return {"type": self._type.name, "path": self._path_text, "chunks": self.conflicted_chunks}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conflict):
            return NotImplemented
        if (self._type, self._path_text) != (other._type, other._path_text):
            return False
        mine, theirs = self.chunk_array, other.chunk_array
        if mine is None or theirs is None:
            return mine is theirs
        return bool(np.array_equal(mine, theirs))

    def __hash__(self) -> int:
        return hash((self._type, self._path_text, self.num_chunks))

    def _path(self) -> str:
        return "icechunk.conflicts.Conflict"

    def _entries(self) -> Iterable[Entry]:
        chunks: object = self._chunks
        if self._array is not None:
            # A traceback or notebook cell must not show millions of coordinates.
            first = str(self._array[:_SHOWN_CHUNKS].tolist())
            more = len(self._array) - _SHOWN_CHUNKS
            chunks = Label(f"{first[:-1]}, ... {more} more]" if more > 0 else first)
        return [
            Entry("conflict_type", self._type),
            Entry("path", Label(self._path_text)),
            Entry("conflicted_chunks", chunks),
        ]

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return object.__new__, (type(self),), self.__getstate__()

    def __getstate__(self) -> tuple[Any, ...]:
        chunks = self._chunks if self._array is None else None
        return self._type, self._path_text, chunks, self._array

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._type, self._path_text, self._chunks, self._array = state


@dataclass(frozen=True, slots=True)
class Patched:
    """A solver's answer: the changes to continue with after the commit."""

    changes: ChangeSet


@dataclass(frozen=True, slots=True)
class Unsolvable:
    """A solver's answer: the conflicts that stop the rebase."""

    conflicts: list[Conflict]


class ConflictSolver(ABC):
    """Decides whether, and with which changes, a session can pass a commit made meanwhile.

    Subclass it for a policy of your own. `solve` must not modify `current_changes`; it edits a
    ``copy()`` and returns that.
    """

    def __getstate__(self) -> dict[str, Any]:
        return vars(self).copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    @abstractmethod
    def solve(
        self,
        previous_change: TransactionLog,
        previous_repo: NodeReader,
        current_changes: ChangeSet,
        current_repo: ChunkReader,
    ) -> Patched | Unsolvable:
        """Fit our changes to one commit.

        Parameters
        ----------
        previous_change : TransactionLog
            What the commit touched.
        previous_repo : NodeReader
            The hierarchy of that commit.
        current_changes : ChangeSet
            Our uncommitted changes.
        current_repo : ChunkReader
            The hierarchy as our session sees it; `chunk` answers from the snapshot that both
            sides started from.

        Returns
        -------
        Patched or Unsolvable
            The changes to continue with, or the conflicts that stop the rebase.
        """


@dataclass(frozen=True, slots=True, repr=False)
class ConflictReport(Shown):
    """The conflicts that a rebase would have.

    Attributes
    ----------
    branch : str
        The session's branch.
    base : str
        Id of the session's base snapshot.
    tip : str
        Id of the snapshot the branch points to.
    snapshot : str or None
        Id of the first commit that conflicts; None when the rebase would pass.
    conflicts : list of Conflict
        All conflicts with the commits since the base.
    """

    branch: str
    base: str
    tip: str
    snapshot: str | None
    conflicts: list[Conflict]

    def __len__(self) -> int:
        """Number of conflicts."""
        return len(self.conflicts)

    def _path(self) -> str:
        return "icechunk.conflicts.ConflictReport"

    def _entries(self) -> Iterable[Entry]:
        return [Entry(name, getattr(self, name)) for name in self.__slots__]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form with the same field names."""
        return {
            "branch": self.branch,
            "base": self.base,
            "tip": self.tip,
            "snapshot": self.snapshot,
            "conflicts": [conflict.to_dict() for conflict in self.conflicts],
        }
