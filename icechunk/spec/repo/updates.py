"""Entries of the operations log: one class per kind of change to a repository.

Source: Icechunk spec 2, repo info, union ``UpdateType``.  The `TAG` of each class is its union tag;
`FIELDS` are the fields of its table in the order of their slots, which is that of the attributes.
`icechunk/spec/repo/update_log.py` reads and writes all kinds by these two.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias, get_args

from icechunk.core.clock import to_datetime

if TYPE_CHECKING:
    from icechunk.core.ids import ObjectId

ONLINE, READ_ONLY, OFFLINE = 0, 1, 2
"""Values of `RepoStatusValue.availability`; the reference treats offline as online."""


class RepoStatusValue(NamedTuple):
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

# Named tuples, because a data class costs the import six times as much.


class _Kind:
    """A kind of change; equal only to its own kind."""

    __slots__ = ()
    TAG: ClassVar[int]
    FIELDS: ClassVar[tuple[Field, ...]] = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _values(self) == _values(other)

    def __ne__(self, other: object) -> bool:
        return not self == other  # else that of a tuple, which compares the fields alone

    def __hash__(self) -> int:
        return hash((type(self), _values(self)))


def _values(kind: Any) -> tuple[Any, ...]:
    return tuple(getattr(kind, name) for name in kind.__match_args__)


class _Plain(_Kind):
    """A kind without fields."""

    __slots__ = ()
    __match_args__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Name(NamedTuple):
    name: str


class _NameAndPrevious(NamedTuple):
    name: str
    previous_snap_id: ObjectId


class _Ref(_Kind, _Name):
    """A kind that concerns a ref."""

    __slots__ = ()
    FIELDS = (_NAME,)


class _RefLeft(_Kind, _NameAndPrevious):
    """A kind that concerns a ref, and what it pointed to."""

    __slots__ = ()
    FIELDS = (_NAME, _PREVIOUS)


class RepoInitialized(_Plain):
    """The repository was created."""

    __slots__ = ()
    TAG = 1


class _RepoMigratedValues(NamedTuple):
    from_version: int
    to_version: int


class RepoMigrated(_Kind, _RepoMigratedValues):
    """The repository was moved from one spec version to another."""

    __slots__ = ()
    TAG = 2
    FIELDS = (Field(FieldType.U8, 8), Field(FieldType.U8, 9))


class ConfigChanged(_Plain):
    """The stored configuration was replaced."""

    __slots__ = ()
    TAG = 3


class MetadataChanged(_Plain):
    """The repository's own metadata was replaced."""

    __slots__ = ()
    TAG = 4


class TagCreated(_Ref):
    """A tag was created."""

    __slots__ = ()
    TAG = 5


class TagDeleted(_RefLeft):
    """A tag was deleted; its name cannot be used again."""

    __slots__ = ()
    TAG = 6


class BranchCreated(_Ref):
    """A branch was created."""

    __slots__ = ()
    TAG = 7


class BranchDeleted(_RefLeft):
    """A branch was deleted."""

    __slots__ = ()
    TAG = 8


class BranchReset(_RefLeft):
    """A branch was moved to another snapshot."""

    __slots__ = ()
    TAG = 9


class _NewCommitValues(NamedTuple):
    branch: str
    new_snap_id: ObjectId


class NewCommit(_Kind, _NewCommitValues):
    """A commit became the tip of a branch."""

    __slots__ = ()
    TAG = 10
    FIELDS = (_NAME, _NEW)


class _CommitAmendedValues(NamedTuple):
    branch: str
    previous_snap_id: ObjectId
    new_snap_id: ObjectId


class CommitAmended(_Kind, _CommitAmendedValues):
    """The tip of a branch was replaced by an amended commit."""

    __slots__ = ()
    TAG = 11
    FIELDS = (_NAME, _PREVIOUS, _NEW)


class _NewDetachedSnapshotValues(NamedTuple):
    new_snap_id: ObjectId


class NewDetachedSnapshot(_Kind, _NewDetachedSnapshotValues):
    """A snapshot that no branch points to was registered."""

    __slots__ = ()
    TAG = 12
    FIELDS = (_NEW,)


class GCRan(_Plain):
    """Garbage was collected."""

    __slots__ = ()
    TAG = 13


class ExpirationRan(_Plain):
    """Old snapshots were expired."""

    __slots__ = ()
    TAG = 14


class _FeatureFlagChangedValues(NamedTuple):
    id: int
    new_value: bool | None


class FeatureFlagChanged(_Kind, _FeatureFlagChangedValues):
    """A feature flag was set, or (None) returned to its default."""

    __slots__ = ()
    TAG = 15
    FIELDS = (
        Field(FieldType.U16, 8),
        Field(FieldType.OPTIONAL_BOOL, 10),
    )


class _RepoStatusChangedValues(NamedTuple):
    status: RepoStatusValue


class RepoStatusChanged(_Kind, _RepoStatusChangedValues):
    """The repository's availability was set."""

    __slots__ = ()
    TAG = 16
    FIELDS = (Field(FieldType.STATUS, 4),)


class _UnknownUpdateValues(NamedTuple):
    tag: int


class UnknownUpdate(_Kind, _UnknownUpdateValues):
    """A kind of change that a newer library recorded; it can be shown, not written back."""

    __slots__ = ()
    TAG = 0


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


class Update(NamedTuple):
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
