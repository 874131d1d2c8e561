"""The operations log in the repo object, newest entry first: its records, read and written.

Icechunk spec 2, repo info, table ``Update``: 0 type of the union, 1 union value, 2 updated_at, 3
backup_path.  Every update is one record of 56 bytes that holds its ``Update`` table and, at 24, the
table of its kind; each kind's vtable picks the fields it has::

     0 i32 soffset | 4 → value | 8 u64 updated_at | 16 → backup_path | 20 u8 type
    24 i32 soffset | 28 → name, branch or status | 32 previous id | 44 new id

Small numbers use the place of the ids; the status of a ``RepoStatusChanged`` is a third table, at
32: i32 soffset, → reason, u64 set_at, u8 availability.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from icechunk.core.clock import MAX_SKEW_US, to_datetime
from icechunk.core.errors import ErrorKind, FormatError, SessionStateError
from icechunk.core.ids import OBJECT_ID_SIZE, ObjectId
from icechunk.spec.columns.text_pool import ABSENT, Ints, TextPool, insert_row
from icechunk.spec.flatbuffers.columns import TableColumn
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.snapshot_rows import offset_vector, read_times
from icechunk.spec.repo.updates import FieldType, RepoStatusValue, Update, UpdateKind

if TYPE_CHECKING:
    from icechunk.spec.flatbuffers.read import Body

RECORD = np.dtype(
    [
        ("soffset", "<i4"),
        ("value", "<u4"),
        ("updated_at", "<i8"),
        ("backup", "<u4"),
        ("type", "u1"),
        ("pad", "u1", 3),
        ("value_soffset", "<i4"),
        ("name", "<u4"),
        ("content", "u1", 24),
    ]
)
_VALUE, _STATUS = 24, 32  # where the second and third table of a record start
_SET_AT, _AVAILABILITY = 40, 48  # fields of the status


class Stamp(NamedTuple):
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


def _packed(kind: UpdateKind, at: int) -> tuple[bytes, bytes | None]:
    """Record and text of an update; what depends on its place in the file is left out."""
    raw = bytearray(RECORD.itemsize)
    raw[8:16] = at.to_bytes(8, "little")
    raw[20] = kind.tag if isinstance(kind, u.UnknownUpdate) else kind.TAG
    text: str | None = None
    for name, field in zip(kind.__match_args__, kind.FIELDS, strict=False):
        value, place = getattr(kind, name), _VALUE + field.position
        match field.type:
            case FieldType.TEXT:
                text = value
            case FieldType.ID:
                raw[place : place + OBJECT_ID_SIZE] = value
            case FieldType.U8:
                raw[place] = value
            case FieldType.U16:
                raw[place : place + 2] = value.to_bytes(2, "little")
            case FieldType.OPTIONAL_BOOL:
                raw[place : place + 2] = bool(value), value is not None
            case FieldType.STATUS:
                text = value.reason
                raw[_SET_AT : _SET_AT + 8] = value.set_at.to_bytes(8, "little")
                raw[_AVAILABILITY] = value.availability
    return bytes(raw), None if text is None else text.encode()


def _unpacked(raw: bytes, text: str | None) -> UpdateKind:
    """Inverse of `_packed`, without the time."""
    kind = u.KINDS.get(raw[20])
    if kind is None:
        return u.UnknownUpdate(raw[20])
    values: list[Any] = []
    for field in kind.FIELDS:
        place = _VALUE + field.position
        match field.type:
            case FieldType.TEXT:
                values.append(text or "")
            case FieldType.ID:
                values.append(ObjectId(raw[place : place + OBJECT_ID_SIZE]))
            case FieldType.U8:
                values.append(raw[place])
            case FieldType.U16:
                values.append(int.from_bytes(raw[place : place + 2], "little"))
            case FieldType.OPTIONAL_BOOL:
                values.append(bool(raw[place]) if raw[place + 1] else None)
            case FieldType.STATUS:
                set_at = int.from_bytes(raw[_SET_AT : _SET_AT + 8], "little")
                values.append(RepoStatusValue(raw[_AVAILABILITY], set_at, text))
    return kind(*values)


@dataclass(frozen=True, slots=True, eq=False)
class UpdateLog:
    """Updates, newest first, in the form of the file; an `Update` is made when it is asked for.

    Attributes
    ----------
    records : array of `RECORD`, shape (n,)
        Offsets in them are filled in when the log is written.
    backups, texts : TextPool
        Backup path; name, branch or reason.
    """

    records: npt.NDArray[np.void]
    backups: TextPool
    texts: TextPool

    @classmethod
    def from_updates(cls, updates: Iterable[Update]) -> UpdateLog:
        """Log of the given entries, newest first."""
        listed = list(updates)
        rows = [_packed(update.kind, update.updated_at) for update in listed]
        return cls(
            np.frombuffer(b"".join([raw for raw, _ in rows]), RECORD),
            TextPool.from_raw(_utf8(update.backup_path) for update in listed),
            TextPool.from_raw(text for _, text in rows),
        )

    @property
    def tags(self) -> npt.NDArray[np.uint8]:
        """Union tag of each entry, shape (n,)."""
        return self.records["type"]

    @property
    def times(self) -> Ints:
        """Time of each entry, microseconds since 1970, strictly decreasing, shape (n,)."""
        return self.records["updated_at"]

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
        kind = _unpacked(self.records[row].tobytes(), self.texts.text(row))
        return Update(kind, int(self.times[row]), self.backups.text(row))

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
        raw, text = _packed(kind, stamp.at)
        log = UpdateLog(
            insert_row(self.records, 0, np.frombuffer(raw, RECORD)[0]),
            backups,
            self.texts.inserted(0, text),
        )
        if len(log) <= stamp.limit and _known(log.tags).all():
            return log, None
        unwanted = ~_known(log.tags)
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
        return stamp if stamp.at > former else stamp._replace(at=former + 1)

    def _first(self, count: int) -> UpdateLog:
        """The newest entries."""
        head = slice(0, count)
        return UpdateLog(self.records[head], self.backups.taken(head), self.texts.taken(head))


def _known(tags: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which tags are of kinds that this library can write."""
    return (tags >= 1) & (tags <= max(u.KINDS))


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def check_decreasing(times: npt.NDArray[Any]) -> bool:
    """Whether times decrease strictly from the newest entry to the oldest."""
    return bool((times[1:] < times[:-1]).all())


def when(us: int) -> str:
    """Time as messages show it."""
    text = to_datetime(us).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.removesuffix(".000000") + " UTC"


_UPDATE_SHAPES = [[24, 20, 4, 8], [24, 20, 4, 8, 16]]
_STATUS_SHAPES = [[24, 16, 8], [24, 16, 8, 4]]


def _shape(kind: type[UpdateKind]) -> list[int]:
    """Size of the table of a kind, and positions of its fields: a vtable without its own size."""
    shape = [32 if kind.FIELDS else 4]
    for field in kind.FIELDS:
        if field.type is FieldType.STATUS:
            shape[0] = 8
        shape.append(field.position)
        if field.type is FieldType.OPTIONAL_BOOL:
            shape.append(field.position + 1)
    return shape


def _vtables(shapes: list[list[int]]) -> tuple[bytes, list[int]]:
    """Bytes of the vtables of some shapes, and where each starts."""
    out, starts = b"", []
    for shape in shapes:
        starts.append(len(out))
        out += np.array([2 + 2 * len(shape), *shape], "<u2").tobytes()
    return out + bytes(-len(out) % 8), starts


_TABLES, _STARTS = _vtables(
    [*_UPDATE_SHAPES, *_STATUS_SHAPES, *(_shape(u.KINDS[tag]) for tag in sorted(u.KINDS))]
)
_UPDATE_VTABLE = np.array(_STARTS[0:2])
_STATUS_VTABLE = np.array(_STARTS[2:4])
_VALUE_VTABLE = np.array([0, *_STARTS[4:]])


def write_updates(log: UpdateLog) -> tuple[bytes, int]:
    """Bytes of the operations log.

    Parameters
    ----------
    log : UpdateLog
        Entries, newest first.

    Returns
    -------
    bytes
        Self-contained block, to be placed at a multiple of 8.
    int
        Position, within the block, of the vector.

    Raises
    ------
    FormatError
        Kind ``serialization`` for kinds of update that this library does not know.
    """
    unknown = log.tags[~_known(log.tags)]
    if len(unknown):
        raise FormatError(
            f"the operations log holds an update of the unknown kind {unknown[0]}, which this "
            "library cannot write back. Upgrade icechunk to change this repository.",
            ErrorKind.SERIALIZATION,
        )
    count = len(log)
    backups, texts = log.backups.ready(), log.texts.ready()
    records_at = len(_TABLES) + (4 + 4 * count + 7) // 8 * 8
    texts_at = records_at + RECORD.itemsize * count
    backups_at = texts_at + len(texts.data)

    row_at = records_at + RECORD.itemsize * np.arange(count)
    records = log.records.copy()
    with_backup, with_text = backups.length >= 0, texts.length >= 0
    records["soffset"] = row_at - _UPDATE_VTABLE[with_backup.astype(int)]
    records["value"] = _VALUE - 4
    backup = backups_at + backups.start - 4 - (row_at + 16)
    records["backup"] = np.where(with_backup, backup, 0)
    records["value_soffset"] = row_at + _VALUE - _VALUE_VTABLE[log.tags]
    name = texts_at + texts.start - 4 - (row_at + 28)
    records["name"] = np.where(with_text, name, 0)
    for row in np.flatnonzero(log.tags == u.RepoStatusChanged.TAG).tolist():
        soffset = int(row_at[row]) + _STATUS - int(_STATUS_VTABLE[int(with_text[row])])
        # The reason is the second word of the status, which comes after the offset of the status.
        reason = int(records["name"][row]) - (_STATUS + 4 - 28) if with_text[row] else 0
        records["content"][row, :8] = np.array([soffset, reason], "<i4").view(np.uint8)
        records["name"][row] = _STATUS - 28

    head = offset_vector(len(_TABLES), row_at)
    parts = [_TABLES, head, records.tobytes(), texts.data, backups.data]
    return b"".join(parts), len(_TABLES)


def read_updates(rows: TableColumn) -> UpdateLog:
    """Operations log from the tables of a `Repo` table.

    Parameters
    ----------
    rows : TableColumn
        The vector of updates.

    Raises
    ------
    FormatError
        For positions outside the buffer, missing fields and impossible times.
    """
    count = len(rows)
    rows.require(1)
    tags, values = rows.u8(0), rows.targets(1)
    records = np.zeros(count, RECORD)
    records["updated_at"], records["type"] = read_times(rows, 2), tags
    text_at, text_length = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for tag in sorted(set(tags.tolist()) & u.KINDS.keys()):
        at = np.flatnonzero(tags == tag)
        tables = TableColumn(rows.body, values[at])
        slot = 0
        for field in u.KINDS[tag].FIELDS:
            if field.type is FieldType.TEXT:
                tables.require(slot)
                text_at[at], text_length[at] = tables.vectors(slot, 1)
            elif field.type is FieldType.STATUS:
                tables.require(slot)
                status = TableColumn(rows.body, tables.targets(slot))
                text_at[at], text_length[at] = status.vectors(2, 1)
                _put(records, at, _AVAILABILITY, status.u8(0))
                _put(records, at, _SET_AT, read_times(status, 1))
            else:
                _read_field(records, at, tables, slot, field)
            slot += 1 + (field.type is FieldType.OPTIONAL_BOOL)
    backups = _texts(rows.body, *rows.vectors(3, 1))
    return UpdateLog(records, backups, _texts(rows.body, text_at, text_length))


def _read_field(
    records: npt.NDArray[np.void],
    at: npt.NDArray[np.intp],
    tables: TableColumn,
    slot: int,
    field: u.Field,
) -> None:
    """Copy a field of fixed size into the records of one kind."""
    place = _VALUE + field.position
    match field.type:
        case FieldType.ID:
            tables.require(slot)
            _put(records, at, place, tables.structs(slot, OBJECT_ID_SIZE))
        case FieldType.U8:
            _put(records, at, place, tables.u8(slot))
        case FieldType.U16:
            _put(records, at, place, tables.u16(slot))
        case FieldType.OPTIONAL_BOOL:
            _put(records, at, place, tables.u8(slot) != 0)
            _put(records, at, place + 1, tables.u8(slot + 1) != 0)


def _put(
    records: npt.NDArray[np.void], at: npt.NDArray[np.intp], place: int, values: npt.NDArray[Any]
) -> None:
    """Write values into some records, at one position in each."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(at), -1)
    records.view(np.uint8).reshape(-1, RECORD.itemsize)[at, place : place + raw.shape[1]] = raw


def _texts(body: Body, start: Ints, length: Ints) -> TextPool:
    """Texts at some spans; position 0 stands for none."""
    return TextPool.of_spans(body.data, start, np.where(start > 0, length, ABSENT))
