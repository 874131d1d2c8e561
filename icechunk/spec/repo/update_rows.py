"""The operations log in the repo object: columns to flatbuffer bytes and back.

Icechunk spec 2, repo info, table ``Update``: 0 type of the union, 1 union value, 2 updated_at, 3
backup_path.  Every update written here is one record of 56 bytes that holds its ``Update`` table
and, at 24, the table of its kind; each kind's vtable picks the fields it has::

     0 i32 soffset | 4 → value | 8 u64 updated_at | 16 → backup_path | 20 u8 type
    24 i32 soffset | 28 → name, branch or status | 32 previous id | 44 new id

Small numbers use the place of the ids; the status of a ``RepoStatusChanged`` is a third table, at
32.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.spec.columns.text_pool import ABSENT, TextPool
from icechunk.spec.flatbuffers.columns import TableColumn
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.snapshot_rows import offset_vector, read_times
from icechunk.spec.repo.update_log import BARE, LAST_TAG, NAMED, NAMED_PREVIOUS, UpdateLog

if TYPE_CHECKING:
    import numpy.typing as npt

    from icechunk.spec.columns.text_pool import Ints
    from icechunk.spec.flatbuffers.read import Body

_RECORD = np.dtype(
    [
        ("soffset", "<i4"),
        ("value", "<u4"),
        ("updated_at", "<u8"),
        ("backup", "<u4"),
        ("type", "u1"),
        ("pad", "u1", 3),
        ("value_soffset", "<i4"),
        ("name", "<u4"),
        ("old", "u1", 12),
        ("new", "u1", 12),
    ]
)
_VALUE, _STATUS = 24, 32  # where the second and third table of a record start

_MIGRATED, _FLAG = u.RepoMigrated.TAG, u.FeatureFlagChanged.TAG
_COMMIT, _AMENDED = u.NewCommit.TAG, u.CommitAmended.TAG
_DETACHED, _CHANGED = u.NewDetachedSnapshot.TAG, u.RepoStatusChanged.TAG

_NUMBERED = np.zeros(256, np.bool_)
_NUMBERED[[_MIGRATED, _FLAG, _CHANGED]] = True

# Fields of each kind relative to its table: vtables without their own size.
_SHAPES: dict[int, list[int]] = (
    {tag: [4] for tag in BARE}
    | {tag: [32, 4] for tag in NAMED}
    | {tag: [32, 4, 8] for tag in NAMED_PREVIOUS}
    | {
        _MIGRATED: [32, 8, 9],
        _COMMIT: [32, 4, 20],
        _AMENDED: [32, 4, 8, 20],
        _DETACHED: [32, 20],
        _FLAG: [32, 8, 10, 11],
        _CHANGED: [8, 4],
    }
)
_UPDATE_SHAPES = [[24, 20, 4, 8], [24, 20, 4, 8, 16]]
_STATUS_SHAPES = [[24, 16, 8], [24, 16, 8, 4]]


def _vtables(shapes: list[list[int]]) -> tuple[bytes, list[int]]:
    """Bytes of the vtables of some shapes, and where each starts."""
    out, starts = b"", []
    for shape in shapes:
        starts.append(len(out))
        out += np.array([2 + 2 * len(shape), *shape], "<u2").tobytes()
    return out + bytes(-len(out) % 8), starts


_TABLES, _STARTS = _vtables(
    [*_UPDATE_SHAPES, *_STATUS_SHAPES, *(_SHAPES[tag] for tag in range(1, LAST_TAG + 1))]
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
    if len(log) and (log.tags.min() < 1 or log.tags.max() > LAST_TAG):
        raise FormatError(
            f"the operations log holds an update of the unknown kind {int(log.tags.max())}, which "
            "this library cannot write back. Upgrade icechunk to change this repository.",
            ErrorKind.SERIALIZATION,
        )
    count = len(log)
    backups, texts = log.backups.ready(), log.texts.ready()
    records_at = len(_TABLES) + (4 + 4 * count + 7) // 8 * 8
    texts_at = records_at + _RECORD.itemsize * count
    backups_at = texts_at + len(texts.data)

    row_at = records_at + _RECORD.itemsize * np.arange(count)
    records = np.zeros(count, _RECORD)
    with_backup, with_text = backups.length >= 0, texts.length >= 0
    records["soffset"] = row_at - _UPDATE_VTABLE[with_backup.astype(int)]
    records["value"] = _VALUE - 4
    records["updated_at"] = log.times
    backup = backups_at + backups.start - 4 - (row_at + 16)
    records["backup"] = np.where(with_backup, backup, 0)
    records["type"] = log.tags
    records["value_soffset"] = row_at + _VALUE - _VALUE_VTABLE[log.tags]
    name = texts_at + texts.start - 4 - (row_at + 28)
    records["name"] = np.where(with_text, name, 0)
    records["old"], records["new"] = log.old, log.new
    _write_numbers(records, log, row_at, texts_at + texts.start - 4)

    head = offset_vector(len(_TABLES), row_at)
    parts = [_TABLES, head, records.tobytes(), texts.data, backups.data]
    return b"".join(parts), len(_TABLES)


def _write_numbers(
    records: npt.NDArray[np.void], log: UpdateLog, row_at: Ints, reason_at: Ints
) -> None:
    """Fill in the few updates that carry numbers instead of ids."""
    for row in np.flatnonzero(_NUMBERED[log.tags]).tolist():
        first, second, third = log.numbers[row].tolist()
        tag = int(log.tags[row])
        if tag == _CHANGED:
            has_reason = int(log.texts.length[row]) >= 0
            here = int(row_at[row]) + _STATUS
            soffset = here - int(_STATUS_VTABLE[int(has_reason)])
            reason = int(reason_at[row]) - here - 4 if has_reason else 0
            raw = np.array([soffset, reason], "<i4").tobytes() + second.to_bytes(8, "little")
            raw += bytes([first])
            records["name"][row] = _STATUS - 28
        elif tag == _FLAG:
            raw = first.to_bytes(2, "little") + bytes([second, third])
        else:
            raw = bytes([first, second])
        both = np.frombuffer(raw.ljust(24, b"\0"), np.uint8)
        records["old"][row], records["new"][row] = both[:12], both[12:]


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
    text_at, text_length = np.zeros(count, np.int64), np.zeros(count, np.int64)
    log = UpdateLog(
        tags=tags,
        times=read_times(rows, 2),
        backups=_texts(rows.body, *rows.vectors(3, 1)),
        texts=TextPool.empty(),
        old=np.zeros((count, 12), np.uint8),
        new=np.zeros((count, 12), np.uint8),
        numbers=np.zeros((count, 3), np.int64),
    )
    for tag in sorted(set(tags.tolist())):
        at = np.flatnonzero(tags == tag)
        kind = TableColumn(rows.body, values[at])
        if tag in NAMED or tag in NAMED_PREVIOUS or tag in (_COMMIT, _AMENDED):
            kind.require(0)
            text_at[at], text_length[at] = kind.vectors(0, 1)
        elif tag == _CHANGED:
            kind.require(0)
            status = TableColumn(rows.body, kind.targets(0))
            text_at[at], text_length[at] = status.vectors(2, 1)
        _read_content(log, tag, at, kind)
    return replace(log, texts=_texts(rows.body, text_at, text_length))


def _texts(body: Body, start: Ints, length: Ints) -> TextPool:
    """Texts at some spans; position 0 stands for none."""
    return TextPool.of_spans(body.data, start, np.where(start > 0, length, ABSENT))


def _read_content(log: UpdateLog, tag: int, at: npt.NDArray[np.intp], kind: TableColumn) -> None:
    """Fill the columns of a log for the entries of one kind, besides their texts."""
    if tag in NAMED_PREVIOUS or tag == _AMENDED:
        kind.require(1)
        log.old[at] = kind.structs(1, 12)
    if tag in _NEW_SLOT:
        kind.require(_NEW_SLOT[tag])
        log.new[at] = kind.structs(_NEW_SLOT[tag], 12)
    elif tag == _MIGRATED:
        log.numbers[at, 0], log.numbers[at, 1] = kind.u8(0), kind.u8(1)
    elif tag == _FLAG:
        log.numbers[at, 0] = kind.u16(0)
        log.numbers[at, 1], log.numbers[at, 2] = kind.u8(1) != 0, kind.u8(2) != 0
    elif tag == _CHANGED:
        status = TableColumn(kind.body, kind.targets(0))
        log.numbers[at, 0], log.numbers[at, 1] = status.u8(0), read_times(status, 1)


_NEW_SLOT = {_COMMIT: 1, _AMENDED: 2, _DETACHED: 0}
