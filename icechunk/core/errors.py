"""Exceptions: classes according to what a handler can do, `kind` for the exact cause.

::

    IcechunkError
    ├── ConflictError                 another writer was first: rebase or start again
    │   └── RebaseFailedError         unresolved conflicts: decide them
    ├── NotFoundError (KeyError)      ask for something else
    │   ├── NodeNotFoundError
    │   ├── SnapshotNotFoundError
    │   ├── RefNotFoundError
    │   └── RepositoryNotFoundError
    ├── AlreadyExistsError            choose another name
    ├── ReadOnlyError (ValueError)    open it writable
    ├── InvalidInputError (ValueError)  correct the argument
    ├── SessionStateError             not allowed in this state of the session or repository
    ├── StorageError                  failure of storage, network or credentials
    ├── FormatError                   damaged or unsupported data
    └── InternalError                 a bug
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from icechunk.core.error_data import ConflictErrorData, RebaseFailedData

if TYPE_CHECKING:
    from typing import Self


class ErrorKind(StrEnum):
    """Stable codes of the causes of an `IcechunkError`; compare `error.kind` with them."""

    # Refs and concurrent changes
    COMMIT_CONFLICT = "commit-conflict"
    BRANCH_UPDATE_CONFLICT = "branch-update-conflict"
    CONFIG_UPDATED = "config-updated"
    REPO_INFO_UPDATED = "repo-info-updated"
    UPDATE_ATTEMPTS_EXHAUSTED = "update-attempts-exhausted"
    REBASE_FAILED = "rebase-failed"
    # Not found
    REPOSITORY_NOT_FOUND = "repository-not-found"
    REF_NOT_FOUND = "ref-not-found"
    BRANCH_NOT_FOUND = "branch-not-found"
    TAG_NOT_FOUND = "tag-not-found"
    SNAPSHOT_NOT_FOUND = "snapshot-not-found"
    NO_SNAPSHOT_AT_TIME = "no-snapshot-at-time"
    NODE_NOT_FOUND = "node-not-found"
    ANCESTOR_NODE_NOT_FOUND = "ancestor-node-not-found"
    CHUNK_NOT_FOUND = "chunk-not-found"
    KEY_NOT_FOUND = "key-not-found"
    # Already exists
    BRANCH_ALREADY_EXISTS = "branch-already-exists"
    TAG_ALREADY_EXISTS = "tag-already-exists"
    TAG_PREVIOUSLY_DELETED = "tag-previously-deleted"
    NODE_ALREADY_EXISTS = "node-already-exists"
    MOVE_WONT_OVERWRITE = "move-wont-overwrite"
    # Read-only
    READ_ONLY_SESSION = "read-only-session"
    READ_ONLY_STORE = "read-only-store"
    READ_ONLY_STORAGE = "read-only-storage"
    READ_ONLY_REPOSITORY = "read-only-repository"
    # Bad input
    INVALID_KEY = "invalid-key"
    INVALID_CHUNK_INDEX = "invalid-chunk-index"
    ZERO_LENGTH_CHUNK = "zero-length-chunk"
    INVALID_SNAPSHOT_ID = "invalid-snapshot-id"
    INVALID_REF_NAME = "invalid-ref-name"
    INVALID_REF_TYPE = "invalid-ref-type"
    INVALID_PATH = "invalid-path"
    BAD_KEY_PREFIX = "bad-key-prefix"
    BAD_PREFIX = "bad-prefix"
    BAD_METADATA = "bad-metadata"
    INVALID_ARRAY_METADATA = "invalid-array-metadata"
    INVALID_BYTE_RANGE = "invalid-byte-range"
    INVALID_FEATURE_FLAG = "invalid-feature-flag"
    NOT_AN_ARRAY = "not-an-array"
    NOT_A_GROUP = "not-a-group"
    INVALID_VIRTUAL_REF = "invalid-virtual-ref"
    NO_CONTAINER_FOR_VIRTUAL_CHUNK = "no-container-for-virtual-chunk"
    UNAUTHORIZED_VIRTUAL_CHUNK_CONTAINER = "unauthorized-virtual-chunk-container"
    INVALID_CREDENTIALS = "invalid-credentials"
    EMPTY_PREFIX_CREATION = "empty-prefix-creation"
    PARENT_DIRECTORY_NOT_CLEAN = "parent-directory-not-clean"
    BAD_SNAPSHOT_CHAIN_FOR_DIFF = "bad-snapshot-chain-for-diff"
    INVALID_COMMIT_CONFIGURATION = "invalid-commit-configuration"
    INVALID_MANIFEST_SPLIT_INDEX = "invalid-manifest-split-index"
    SHARED_CHUNK = "shared-chunk"
    ENCODING_MISMATCH = "encoding-mismatch"
    INVALID_REGION = "invalid-region"
    # State
    NO_CHANGES_TO_COMMIT = "no-changes-to-commit"
    COMMIT_NOT_ALLOWED = "commit-not-allowed"
    MERGE_NOT_ALLOWED = "merge-not-allowed"
    MERGE_FAILED = "merge-failed"
    MERGE_CONFLICT = "merge-conflict"
    UNRELATED_HISTORIES = "unrelated-histories"
    FAST_FORWARD_ONLY = "fast-forward-only"
    CANNOT_FORK_READ_ONLY_SESSION = "cannot-fork-read-only-session"
    REARRANGE_SESSION_ONLY = "rearrange-session-only"
    NON_REARRANGE_SESSION = "non-rearrange-session"
    MOVE_INTO_SELF_OR_DESCENDANT = "move-into-self-or-descendant"
    MOVE_DESTINATION_PARENT_MISSING = "move-destination-parent-missing"
    MOVE_DESTINATION_PARENT_NOT_GROUP = "move-destination-parent-not-group"
    NO_AMEND_FOR_INITIAL_COMMIT = "no-amend-for-initial-commit"
    CANNOT_DELETE_MAIN = "cannot-delete-main"
    FEATURE_FLAG_DISABLED = "feature-flag-disabled"
    INVALID_REPOSITORY_MIGRATION = "invalid-repository-migration"
    NOT_ALLOWED = "not-allowed"
    UNIMPLEMENTED = "unimplemented"
    REBASE_TX_LOG_PRUNED = "rebase-tx-log-pruned"
    TAG_ERROR = "tag-error"
    UNCOMMITTED_CHANGES = "uncommitted-changes"
    NOT_ON_BRANCH = "not-on-branch"
    NO_SNAPSHOT = "no-snapshot"
    CLOCK_SKEW = "clock-skew"
    # Storage
    OBJECT_NOT_FOUND = "object-not-found"
    OBJECT_STORE = "object-store"
    IO = "io"
    STORAGE_CONFIG = "storage-config"
    CANNOT_PARSE_URL = "cannot-parse-url"
    BAD_REDIRECT = "bad-redirect"
    STORAGE_OTHER = "storage-other"
    VIRTUAL_CHUNK_FETCH = "virtual-chunk-fetch"
    VIRTUAL_CHUNK_MODIFIED = "virtual-chunk-modified"
    INVALID_OBJECT_SIZE = "invalid-object-size"
    SEMAPHORE_ACQUIRE = "semaphore-acquire"
    THROTTLED = "throttled"
    GC_DELETES_FAILING = "gc-deletes-failing"
    # Format
    UNSUPPORTED_SPEC_VERSION = "unsupported-spec-version"
    UNSUPPORTED_OPERATION_FOR_VERSION = "unsupported-operation-for-version"
    INVALID_FILE_FORMAT = "invalid-file-format"
    SERIALIZATION = "serialization"
    DESERIALIZATION = "deserialization"
    CONFIG_DESERIALIZATION = "config-deserialization"
    SNAPSHOT_TIMESTAMP = "snapshot-timestamp"
    DUPLICATE_SNAPSHOT_ID = "duplicate-snapshot-id"
    MANIFEST_INFO_NOT_FOUND = "manifest-info-not-found"
    # Bugs
    FLUSH = "flush"
    CONCURRENCY = "concurrency"
    POISON_LOCK = "poison-lock"
    PICKLE = "pickle"
    INCONSISTENT_MANIFESTS = "inconsistent-manifests"
    CONFLICTING_PATH_NOT_FOUND = "conflicting-path-not-found"
    PARTIAL_VALUES_PANIC = "partial-values-panic"
    UNKNOWN = "unknown"


_DURING = "while "


class IcechunkError(Exception):
    """Base class of all errors that this library raises deliberately.

    Parameters
    ----------
    message : str
        What is wrong and what to do next.
    kind : str, optional
        Stable code of the cause, one of `ErrorKind`; ``"unknown"`` by default.
    """

    __module__ = "icechunk"

    _noted: ClassVar[bool] = True
    """Whether notes (PEP 678) give the kind and the operation, as in the reference library."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__ == __name__:
            cls.__module__ = "icechunk"  # the public name, in tracebacks and pickles

    def __init__(self, message: str = "", kind: str | None = None) -> None:
        self._message = message
        self._kind = ErrorKind.UNKNOWN.value if kind is None else str(kind)
        super().__init__(message, self._kind)
        if self._noted:
            self.add_note(f"kind of this error: {self._kind}")

    @property
    def message(self) -> str:
        """The text of ``str(error)``."""
        return self._message

    @property
    def kind(self) -> str:
        """Stable code of the cause, comparable with `ErrorKind`."""
        return self._kind

    def during(self, what: str) -> None:
        """Add a note of the operation, once: calls that wait for the same request share its error.

        Parameters
        ----------
        what : str
            The operation, such as ``reading `a/c/0` ``.
        """
        if self._noted and not any(note.startswith(_DURING) for note in self.__notes__):
            self.add_note(_DURING + what)

    def label(self, text: str) -> None:
        """Put `text` before the message, once."""
        if not self._message.startswith(text):
            self._message = text + self._message
            self.args = (self._message, *self.args[1:])

    def __getstate__(self) -> dict[str, Any]:
        return vars(self).copy()

    def __str__(self) -> str:
        return self._message

    def __repr__(self) -> str:
        return f'icechunk.{type(self).__name__}(message="{self._message}", kind="{self._kind}")'


def _carried(given: Any) -> Any:
    """Return the data of an early version's error: the value itself, or the one that it wraps."""
    while isinstance(given, BaseException) and given.args:
        given = given.args[0]
    return given


def _some(value: str | None) -> str:
    return "None" if value is None else f'Some("{value}")'


class ConflictError(IcechunkError):
    """The branch, or another mutable object, was changed by another writer first.

    Parameters
    ----------
    expected_parent, actual_parent : str, optional
        Snapshot ids: the base of the session, and the current tip of the branch.
        Early versions passed one `ConflictErrorData`, or an error that wraps it.
    message, kind : str, optional
        Override the standard sentence and the code ``commit-conflict``.
    """

    _noted = False

    def __init__(
        self,
        expected_parent: str | ConflictErrorData | None = None,
        actual_parent: str | None = None,
        message: str | None = None,
        kind: str | None = None,
    ) -> None:
        if expected_parent is None or isinstance(expected_parent, str):
            expected, actual = expected_parent, actual_parent
        else:
            data = _carried(expected_parent)
            expected, actual = data.expected_parent, data.actual_parent
        if message is None:
            message = (
                f"Failed to commit, expected parent: {_some(expected)}, "
                f"actual parent: {_some(actual)}"
            )
        super().__init__(message, ErrorKind.COMMIT_CONFLICT if kind is None else kind)
        self._expected_parent = expected
        self._actual_parent = actual
        self.args = (expected, actual)

    @property
    def data(self) -> ConflictErrorData | RebaseFailedData:
        """The ids, or the conflicts, as one value."""
        return ConflictErrorData(self._expected_parent, self._actual_parent)

    @property
    def expected_parent(self) -> str | None:
        """Id of the snapshot that the session is based on."""
        return self._expected_parent

    @property
    def actual_parent(self) -> str | None:
        """Id of the snapshot the branch points to now."""
        return self._actual_parent

    def __repr__(self) -> str:
        return (
            f"icechunk.{type(self).__name__}(expected_parent={self._expected_parent}, "
            f"actual_parent={self._actual_parent})"
        )

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        arguments = (self._expected_parent, self._actual_parent, self._message, self._kind)
        return type(self), arguments


class MergeConflictError(ConflictError):
    """A merge, cherry-pick or revert was not carried out: conflicts are left undecided.

    Parameters
    ----------
    branch : str
        The branch that was to be changed.
    sources : sequence of str
        Names of what was merged.
    conflicts : sequence of Conflict
        Everything that is not decided.
    """

    __module__ = "icechunk"

    _NAMED = 3

    def __init__(self, branch: str, sources: Sequence[str], conflicts: Sequence[Any]) -> None:
        self.branch = branch
        self.sources = list(sources)
        self.conflicts = list(conflicts)
        named = [f"{one.conflict_type} at {one.path}" for one in self.conflicts[: self._NAMED]]
        more = len(self.conflicts) - len(named)
        super().__init__(
            None,
            None,
            f"cannot merge {', '.join(self.sources)} into {branch}: {len(self.conflicts)} "
            f"conflict{'s' if len(self.conflicts) != 1 else ''} ({'; '.join(named)}"
            + (f" and {more} more" if more > 0 else "")
            + "). Nothing was changed. Give `prefer='source'` or `prefer='target'`, or decisions "
            "for each conflict",
            ErrorKind.MERGE_CONFLICT,
        )
        self.args = (self.branch, self.sources, self.conflicts)

    def __repr__(self) -> str:
        return f"icechunk.{type(self).__name__}({self._message!r})"

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        return type(self), (self.branch, self.sources, self.conflicts)


class RebaseFailedError(ConflictError):
    """A rebase stopped at a commit with conflicts that the solver did not resolve.

    The session keeps its changes; its base is the last snapshot that it was rebased onto.

    Parameters
    ----------
    snapshot : str
        Id of the commit at which the rebase stopped.
    conflicts : sequence of Conflict
        All conflicts with that commit. Early versions passed one `RebaseFailedData` instead.
    """

    def __init__(
        self, snapshot: str | RebaseFailedData, conflicts: Sequence[Any] | None = None
    ) -> None:
        data = (
            RebaseFailedData(snapshot, list(conflicts or ()))
            if isinstance(snapshot, str)
            else (_carried(snapshot))
        )
        super().__init__(
            None,
            None,
            f"Rebase failed on snapshot {data.snapshot}: {len(data.conflicts)} conflicts found",
            ErrorKind.REBASE_FAILED,
        )
        self._snapshot: str = data.snapshot
        self._conflicts: list[Any] = data.conflicts
        self.args = (self._snapshot, self._conflicts)

    @property
    def data(self) -> RebaseFailedData:
        """The ids, or the conflicts, as one value."""
        return RebaseFailedData(self._snapshot, self._conflicts)

    @property
    def snapshot(self) -> str:
        """Id of the commit at which the rebase stopped."""
        return self._snapshot

    @property
    def snapshot_id(self) -> str:
        """Same as `snapshot`."""
        return self._snapshot

    @property
    def conflicts(self) -> list[Any]:
        """The conflicts found, a list of `icechunk.Conflict`."""
        return self._conflicts

    def __repr__(self) -> str:
        return (
            f'icechunk.{type(self).__name__}(snapshot="{self._snapshot}", '
            f"conflicts={self._conflicts})"
        )

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        return type(self), (self._snapshot, self._conflicts)


class NotFoundError(IcechunkError, KeyError):
    """A requested item does not exist."""


class NodeNotFoundError(NotFoundError):
    """No group, array or chunk at this path."""

    _noted = False


class SnapshotNotFoundError(NotFoundError):
    """No snapshot with this id, or none at this time."""


class RefNotFoundError(NotFoundError):
    """No branch or tag with this name."""


class RepositoryNotFoundError(NotFoundError):
    """The storage holds no repository."""


class AlreadyExistsError(IcechunkError):
    """A node, branch or tag with this name exists, or a tag with this name was deleted."""


class ReadOnlyError(IcechunkError, ValueError):
    """Attempt to write through a read-only session, store, storage or repository.

    Also a `ValueError`, which the stores of Zarr raise in this case.
    """


class InvalidInputError(IcechunkError, ValueError):
    """An argument is invalid, independently of the content of the repository."""


class SessionStateError(IcechunkError):
    """The operation is not allowed in the current state of the session, repository or clock."""


class StorageError(IcechunkError):
    """The object store, file system, network or its configuration failed."""


class FormatError(IcechunkError):
    """Stored data is corrupt, or has a version that this library does not support."""


class InternalError(IcechunkError):
    """An invariant of this library is violated: a bug, please report it."""
