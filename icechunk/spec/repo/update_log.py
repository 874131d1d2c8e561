"""The operations log kept in the repo object, newest entry first, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from icechunk.core.clock import MAX_SKEW_US, to_datetime
from icechunk.core.errors import ErrorKind, FormatError, SessionStateError
from icechunk.core.ids import OBJECT_ID_SIZE, ObjectId
from icechunk.spec.columns.text_pool import Ints, TextPool, insert_row
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.updates import RepoStatusValue, Update, UpdateKind

Bytes: TypeAlias = "npt.NDArray[np.uint8]"

_NO_ID = bytes(OBJECT_ID_SIZE)

LAST_TAG = u.RepoStatusChanged.TAG
"""Updates with higher tags are of kinds that this library does not know."""

NAMED: dict[int, type[u.TagCreated | u.BranchCreated]] = {5: u.TagCreated, 7: u.BranchCreated}
"""Kinds that carry a name only, by tag."""
NAMED_PREVIOUS: dict[int, type[u.TagDeleted | u.BranchDeleted | u.BranchReset]] = {
    6: u.TagDeleted,
    8: u.BranchDeleted,
    9: u.BranchReset,
}
"""Kinds that carry a name and a previous snapshot, by tag."""
BARE: dict[
    int,
    type[u.RepoInitialized | u.ConfigChanged | u.MetadataChanged | u.GCRan | u.ExpirationRan],
] = {
    1: u.RepoInitialized,
    3: u.ConfigChanged,
    4: u.MetadataChanged,
    13: u.GCRan,
    14: u.ExpirationRan,
}
"""Kinds without content, by tag."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a change is made, and what becomes of the state that it replaces.

    Attributes
    ----------
    at : int
        The present time, microseconds since 1970.
    backup_path : str
        Name, below ``overwritten/``, of the copy of the state being replaced.
    limit : int
        How many updates one repo object holds (``num_updates_per_repo_info_file``).
    """

    at: int
    backup_path: str
    limit: int


class UpdateRow(NamedTuple):
    """Content of an update of any kind, spread over columns that all kinds share.

    `text` is the name, branch or reason; `old` and `new` are the previous and new snapshot;
    `numbers` are (from, to), (flag id, new value, is set) or (availability, set at).
    """

    tag: int
    text: str | None = None
    old: bytes = _NO_ID
    new: bytes = _NO_ID
    numbers: tuple[int, int, int] = (0, 0, 0)


def to_row(kind: UpdateKind) -> UpdateRow:
    """Spread an update's content over the shared columns."""
    tag = kind.TAG
    match kind:
        case u.TagCreated() | u.BranchCreated():
            return UpdateRow(tag, kind.name)
        case u.TagDeleted() | u.BranchDeleted() | u.BranchReset():
            return UpdateRow(tag, kind.name, kind.previous_snap_id)
        case u.NewCommit():
            return UpdateRow(tag, kind.branch, new=kind.new_snap_id)
        case u.CommitAmended():
            return UpdateRow(tag, kind.branch, kind.previous_snap_id, kind.new_snap_id)
        case u.NewDetachedSnapshot():
            return UpdateRow(tag, new=kind.new_snap_id)
        case u.RepoMigrated():
            return UpdateRow(tag, numbers=(kind.from_version, kind.to_version, 0))
        case u.FeatureFlagChanged():
            is_set = kind.new_value is not None
            return UpdateRow(tag, numbers=(kind.id, int(bool(kind.new_value)), int(is_set)))
        case u.RepoStatusChanged():
            status = kind.status
            return UpdateRow(tag, status.reason, numbers=(status.availability, status.set_at, 0))
        case u.UnknownUpdate():
            return UpdateRow(kind.tag)
        case _:
            return UpdateRow(tag)


def from_row(row: UpdateRow) -> UpdateKind:
    """Value of an update whose content is spread over the shared columns."""
    tag, name, old, new = row.tag, row.text or "", ObjectId(row.old), ObjectId(row.new)
    first, second, third = row.numbers
    if tag in BARE:
        return BARE[tag]()
    if tag in NAMED:
        return NAMED[tag](name)
    if tag in NAMED_PREVIOUS:
        return NAMED_PREVIOUS[tag](name, old)
    if tag == u.NewCommit.TAG:
        return u.NewCommit(name, new)
    if tag == u.CommitAmended.TAG:
        return u.CommitAmended(name, old, new)
    if tag == u.NewDetachedSnapshot.TAG:
        return u.NewDetachedSnapshot(new)
    if tag == u.RepoMigrated.TAG:
        return u.RepoMigrated(first, second)
    if tag == u.FeatureFlagChanged.TAG:
        return u.FeatureFlagChanged(first, bool(second) if third else None)
    if tag == u.RepoStatusChanged.TAG:
        return u.RepoStatusChanged(RepoStatusValue(first, second, row.text))
    return u.UnknownUpdate(tag)


@dataclass(frozen=True, slots=True, eq=False)
class UpdateLog:
    """Updates, newest first; an `Update` is made only when asked for.

    Attributes
    ----------
    tags : uint8 array, shape (n,)
        Union tag of each entry.
    times : int64 array, shape (n,)
        Microseconds since 1970, UTC, strictly decreasing.
    backups, texts : TextPool
        Backup path; name, branch or reason.
    old, new : uint8 array, shape (n, 12)
        Previous and new snapshot, zeros where the kind has none.
    numbers : int64 array, shape (n, 3)
        See `UpdateRow`.
    """

    tags: Bytes
    times: Ints
    backups: TextPool
    texts: TextPool
    old: Bytes
    new: Bytes
    numbers: Ints

    @classmethod
    def from_updates(cls, updates: Iterable[Update]) -> UpdateLog:
        """Log of the given entries, newest first."""
        listed = list(updates)
        rows = [to_row(update.kind) for update in listed]

        def ids(raws: Iterable[bytes]) -> Bytes:
            return np.frombuffer(b"".join(raws), np.uint8).reshape(-1, OBJECT_ID_SIZE)

        return cls(
            np.array([row.tag for row in rows], np.uint8),
            np.array([update.updated_at for update in listed], np.int64),
            TextPool.from_raw(_utf8(update.backup_path) for update in listed),
            TextPool.from_raw(_utf8(row.text) for row in rows),
            ids(row.old for row in rows),
            ids(row.new for row in rows),
            np.array([row.numbers for row in rows], np.int64).reshape(-1, 3),
        )

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[Update]:
        return (self._at(row) for row in range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Update: ...
    @overload
    def __getitem__(self, row: slice) -> list[Update]: ...
    def __getitem__(self, row: int | slice) -> Update | list[Update]:
        if isinstance(row, slice):
            return [self._at(index) for index in range(*row.indices(len(self)))]
        return self._at(range(len(self))[row])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, UpdateLog) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _at(self, row: int) -> Update:
        first, second, third = (int(number) for number in self.numbers[row])
        content = UpdateRow(
            int(self.tags[row]),
            self.texts.text(row),
            self.old[row].tobytes(),
            self.new[row].tobytes(),
            (first, second, third),
        )
        return Update(from_row(content), int(self.times[row]), self.backups.text(row))

    def pushed(self, kind: UpdateKind, stamp: Stamp) -> tuple[UpdateLog, str | None]:
        """Log after one more change (Icechunk spec 2, repo info update rules).

        The new entry goes first, without backup path; the former first entry receives that of the
        stamp.  Beyond the stamp's limit the log is cut at the first entry that has a backup path;
        also at one of a kind that this library does not know, which only the copy can hold.

        Parameters
        ----------
        kind : UpdateKind
            What changed.
        stamp : Stamp
            Its time and backup path.

        Returns
        -------
        UpdateLog
            The longer log.
        str or None
            Backup path of the entry it was cut at: where the rest of the log is found.  None
            when nothing was cut.
        """
        stamp = self._dated(stamp)
        if len(self) and int(self.backups.length[0]) >= 0:
            raise FormatError(
                "Invalid latest update iterator, last element has backup path. Restore the `repo` "
                "object from one of its copies below `overwritten/`.",
                ErrorKind.DESERIALIZATION,
            )
        # Row 0 had no path: it is that of the new entry, and the former first entry's follows.
        backups = self.backups.inserted(
            *((1, stamp.backup_path.encode()) if len(self) else (0, None))
        )
        content = to_row(kind)
        log = UpdateLog(
            insert_row(self.tags, 0, content.tag),
            insert_row(self.times, 0, stamp.at),
            backups,
            self.texts.inserted(0, _utf8(content.text)),
            insert_row(self.old, 0, np.frombuffer(content.old, np.uint8)),
            insert_row(self.new, 0, np.frombuffer(content.new, np.uint8)),
            insert_row(self.numbers, 0, content.numbers),
        )
        if len(log) <= stamp.limit and int(log.tags.max()) <= LAST_TAG:
            return log, None
        unwanted = log.tags > LAST_TAG
        unwanted[stamp.limit :] = True
        beyond = np.flatnonzero(unwanted & (log.backups.length >= 0))
        if not len(beyond):
            return log, None
        cut = int(beyond[0])
        return log._first(cut), log.backups.text(cut)

    def _dated(self, stamp: Stamp) -> Stamp:
        """A stamp later than the newest entry, as the spec demands.

        A clock that lags by up to ten minutes must not stop a change, so the entry is then dated
        one microsecond after the former one; a larger distance means that a clock is wrong.
        """
        if not len(self):
            return stamp
        former = int(self.times[0])
        if former - stamp.at > MAX_SKEW_US:
            raise SessionStateError(
                f"the clocks differ: the last change of the repository is dated {when(former)}, "
                f"but it is {when(stamp.at)} here. Set this machine's clock, or wait until then "
                "if the clock of the other was wrong.",
                ErrorKind.CLOCK_SKEW,
            )
        return replace(stamp, at=max(stamp.at, former + 1))

    def _first(self, count: int) -> UpdateLog:
        """The newest entries."""
        head = slice(0, count)
        return UpdateLog(
            self.tags[head],
            self.times[head],
            self.backups.taken(head),
            self.texts.taken(head),
            self.old[head],
            self.new[head],
            self.numbers[head],
        )


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def check_decreasing(times: npt.NDArray[Any]) -> bool:
    """Whether times decrease strictly from the newest entry to the oldest."""
    return bool((times[1:] < times[:-1]).all())


def when(us: int) -> str:
    """Time as messages show it."""
    text = to_datetime(us).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.removesuffix(".000000") + " UTC"
