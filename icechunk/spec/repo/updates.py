"""Entries of the operations log: one class per kind of change to a repository.

Source: Icechunk spec 2, repo info, union ``UpdateType``.  The `TAG` of each class is its union tag;
`FIELDS` are the fields of its table in the order of their slots, which is that of the attributes.
`icechunk/spec/repo/update_log.py` reads and writes all kinds by these two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias, get_args

from icechunk.core.clock import to_datetime

if TYPE_CHECKING:
    from icechunk.core.ids import ObjectId

ONLINE, READ_ONLY, OFFLINE = 0, 1, 2
"""Values of `RepoStatusValue.availability`; the reference treats offline as online."""


@dataclass(frozen=True, slots=True)
class RepoStatusValue:
    """Whether the repository takes changes.

    Attributes
    ----------
    availability : int
        0 online, 1 read-only, 2 offline (which reads as online).
    set_at : int
        When it was set, microseconds since 1970, UTC.
    reason : str or None
        Why it was set.
    """

    availability: int
    set_at: int
    reason: str | None = None

    @property
    def writable(self) -> bool:
        """Whether changes other than of the status itself are accepted."""
        return self.availability != READ_ONLY

    def describe(self) -> str:
        """Sentence that errors carry, in the reference library's words."""
        name = "ReadOnly" if self.availability == READ_ONLY else "Online"
        when = to_datetime(self.set_at).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
        why = "None" if self.reason is None else f'Some("{self.reason}")'
        return f"Repo status is {name}, set at {when}, reason: {why}"


class FieldType(Enum):
    """How a field of an update is stored."""

    TEXT = auto()
    ID = auto()
    """Snapshot id, 12 bytes."""
    U8 = auto()
    U16 = auto()
    OPTIONAL_BOOL = auto()
    """Two slots: the value, and whether there is one."""
    STATUS = auto()
    """A table of its own: availability, time and reason."""


class Field(NamedTuple):
    """Type of a field, and its position in the table that this library writes."""

    type: FieldType
    position: int


_NAME = Field(FieldType.TEXT, 4)
_PREVIOUS, _NEW = Field(FieldType.ID, 8), Field(FieldType.ID, 20)

# One data class per set of fields, and subclasses by kind: each one made costs every import.


@dataclass(frozen=True, slots=True)
class _Plain:
    """A kind without fields; equal only to its own kind."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()


@dataclass(frozen=True, slots=True)
class _Ref:
    """A kind that concerns a ref."""

    FIELDS: ClassVar[tuple[Field, ...]] = (_NAME,)
    name: str


@dataclass(frozen=True, slots=True)
class _RefLeft(_Ref):
    """A kind that concerns a ref, and what it pointed to."""

    FIELDS: ClassVar[tuple[Field, ...]] = (_NAME, _PREVIOUS)
    previous_snap_id: ObjectId


class RepoInitialized(_Plain):
    """The repository was created."""

    __slots__ = ()
    TAG: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class RepoMigrated:
    """The repository was moved from one spec version to another."""

    TAG: ClassVar[int] = 2
    FIELDS: ClassVar[tuple[Field, ...]] = (Field(FieldType.U8, 8), Field(FieldType.U8, 9))
    from_version: int
    to_version: int


class ConfigChanged(_Plain):
    """The stored configuration was replaced."""

    __slots__ = ()
    TAG: ClassVar[int] = 3


class MetadataChanged(_Plain):
    """The repository's own metadata was replaced."""

    __slots__ = ()
    TAG: ClassVar[int] = 4


class TagCreated(_Ref):
    """A tag was created."""

    __slots__ = ()
    TAG: ClassVar[int] = 5


class TagDeleted(_RefLeft):
    """A tag was deleted; its name cannot be used again."""

    __slots__ = ()
    TAG: ClassVar[int] = 6


class BranchCreated(_Ref):
    """A branch was created."""

    __slots__ = ()
    TAG: ClassVar[int] = 7


class BranchDeleted(_RefLeft):
    """A branch was deleted."""

    __slots__ = ()
    TAG: ClassVar[int] = 8


class BranchReset(_RefLeft):
    """A branch was moved to another snapshot."""

    __slots__ = ()
    TAG: ClassVar[int] = 9


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit became the tip of a branch."""

    TAG: ClassVar[int] = 10
    FIELDS: ClassVar[tuple[Field, ...]] = (_NAME, _NEW)
    branch: str
    new_snap_id: ObjectId


@dataclass(frozen=True, slots=True)
class CommitAmended:
    """The tip of a branch was replaced by an amended commit."""

    TAG: ClassVar[int] = 11
    FIELDS: ClassVar[tuple[Field, ...]] = (_NAME, _PREVIOUS, _NEW)
    branch: str
    previous_snap_id: ObjectId
    new_snap_id: ObjectId


@dataclass(frozen=True, slots=True)
class NewDetachedSnapshot:
    """A snapshot that no branch points to was registered."""

    TAG: ClassVar[int] = 12
    FIELDS: ClassVar[tuple[Field, ...]] = (_NEW,)
    new_snap_id: ObjectId


class GCRan(_Plain):
    """Garbage was collected."""

    __slots__ = ()
    TAG: ClassVar[int] = 13


class ExpirationRan(_Plain):
    """Old snapshots were expired."""

    __slots__ = ()
    TAG: ClassVar[int] = 14


@dataclass(frozen=True, slots=True)
class FeatureFlagChanged:
    """A feature flag was set, or (None) returned to its default."""

    TAG: ClassVar[int] = 15
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(FieldType.U16, 8),
        Field(FieldType.OPTIONAL_BOOL, 10),
    )
    id: int
    new_value: bool | None


@dataclass(frozen=True, slots=True)
class RepoStatusChanged:
    """The repository's availability was set."""

    TAG: ClassVar[int] = 16
    FIELDS: ClassVar[tuple[Field, ...]] = (Field(FieldType.STATUS, 4),)
    status: RepoStatusValue


@dataclass(frozen=True, slots=True)
class UnknownUpdate:
    """A kind of change that a newer library recorded; it can be shown, not written back."""

    TAG: ClassVar[int] = 0
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    tag: int


UpdateKind: TypeAlias = (
    RepoInitialized
    | RepoMigrated
    | ConfigChanged
    | MetadataChanged
    | TagCreated
    | TagDeleted
    | BranchCreated
    | BranchDeleted
    | BranchReset
    | NewCommit
    | CommitAmended
    | NewDetachedSnapshot
    | GCRan
    | ExpirationRan
    | FeatureFlagChanged
    | RepoStatusChanged
    | UnknownUpdate
)


KINDS: dict[int, type[UpdateKind]] = {kind.TAG: kind for kind in get_args(UpdateKind) if kind.TAG}
"""Kinds that this library knows, by tag."""


@dataclass(frozen=True, slots=True)
class Update:
    """One entry of the operations log.

    Attributes
    ----------
    kind : UpdateKind
        What changed.
    updated_at : int
        Microseconds since 1970, UTC; strictly increasing along the log.
    backup_path : str or None
        Name, below ``overwritten/``, of the repo object as this change left it, once a later
        change has replaced it; None for the newest entry.
    """

    kind: UpdateKind
    updated_at: int
    backup_path: str | None = None
